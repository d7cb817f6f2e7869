"""HiFi-GAN: a vocoder that learnt from adversaries (arXiv:2010.05646)."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from seaspeak.collections.tts.losses.hifigan import DiscriminatorLoss, FeatureMatchingLoss, GeneratorLoss
from seaspeak.collections.tts.models.base import Vocoder
from seaspeak.collections.tts.modules.hifigan_discriminators import (
    Judged,
    MultiPeriodDiscriminator,
    MultiScaleDiscriminator,
)
from seaspeak.collections.tts.modules.weight_norm import split_weights
from seaspeak.core import registry
from seaspeak.core.config import Configuration
from seaspeak.core.errors import ConfigError
from seaspeak.core.optimization import build_optimizer, build_schedule
from seaspeak.core.registry import plain_class
from seaspeak.core.types import AudioSignal, MelSpectrogramType, NeuralType
from seaspeak.core.typing import typecheck

FIRST_CHUNK = 32  # frames: 0.37 s of sound, computed in a tenth of a second
LARGEST_CHUNK = 256
_FRONT_ENDS = {"audio_to_melspec_precessor": {}, "trg_melspec_fn": {"highfreq": None, "use_grads": True}}


class HifiGanModel(Vocoder):
    """Generator, two discriminators, and the mel front ends that they are trained with.

    Sections and keys of the configuration: ``preprocessor``, ``generator``; optional ``discriminators`` (false for
    a model that only speaks; shipped archives hold none), ``debug`` (narrow ones), ``l1_loss_factor`` (45),
    ``max_steps``, ``train_ds``, ``validation_ds``, ``test_ds``, ``optim``.

    Archives may also be older (residual blocks numbered through), hold plain or parametrised weights, be without
    discriminators and front ends, or hold the authors' generator alone.

    Shapes:
        spec           (B, n_mels, T)   natural log of mel magnitudes
        returns audio  (B, 1, samples)  samples in (-1, 1), T * hop_length of them

    Raises:
        ConfigError: a section is missing.
    """

    automatic_optimization = False  # two optimisers take turns within a step
    _schedule_interval = ""

    audio_to_melspec_precessor: Any  # NeMo's spelling, and part of the keys
    trg_melspec_fn: Any

    def __init__(self, cfg: Configuration, trainer: Any = None) -> None:
        super().__init__(cfg=cfg, trainer=trainer)
        if missing := [key for key in ("preprocessor", "generator") if self.cfg.get(key) is None]:
            raise ConfigError(
                f"the model's configuration lacks {', '.join(missing)}", got=", ".join(map(str, self.cfg))
            )
        for name, changes in _FRONT_ENDS.items():
            setattr(self, name, self._front_end(self.cfg.preprocessor, recipe=self.recipe, **changes))
        self.generator = self.build(self.cfg.generator)
        if self.cfg.get("discriminators", True):
            self._add_discriminators()
        self.feature_loss = FeatureMatchingLoss()
        self.discriminator_loss = DiscriminatorLoss()
        self.generator_loss = GeneratorLoss()

    @classmethod
    def _front_end(cls, section: DictConfig, **changes: Any) -> Any:
        """Build a front end with those of the changes that its class knows."""
        known = inspect.signature(registry.resolve(str(section.get("_target_")), caller=cls)).parameters
        changes = {name: value for name, value in changes.items() if name in known}
        return registry.instantiate(section, caller=plain_class(cls), **changes)

    def _add_discriminators(self) -> None:
        debug = bool(self.cfg.get("debug", False))
        self.mpd = MultiPeriodDiscriminator(debug=debug)
        self.msd = MultiScaleDiscriminator(debug=debug)

    @classmethod
    def adapt(cls, config: DictConfig, state: Mapping[str, Tensor]) -> tuple[DictConfig, Mapping[str, Tensor]]:
        """Return an archive's content in today's form; see the class for what may differ."""
        per_stage = len(config.generator.resblock_kernel_sizes)
        state = {_key(name, per_stage): tensor for name, tensor in state.items()}
        state = split_weights(state, owns=lambda name: name.startswith(("generator.", "mpd.", "msd.")))
        if not any(name.startswith("mpd.") for name in state):
            OmegaConf.update(config, "discriminators", False, force_add=True)
        for front_end, changes in _FRONT_ENDS.items():
            if not any(name.startswith(f"{front_end}.") for name in state):
                made = cls._front_end(config.preprocessor, **changes)
                state |= {f"{front_end}.{name}": tensor for name, tensor in made.state_dict().items()}
        return config, state

    def _config_to_save(self) -> DictConfig:
        """NeMo's class looks into the data section for the kind of data, also where there is none."""
        config = super()._config_to_save()
        if config.get("train_ds") is None:
            config.train_ds = {"dataset": {"_target_": "nemo.collections.tts.data.dataset.VocoderDataset"}}
        return config

    # --- speaking ---------------------------------------------------------------------------------------------------

    @property
    def sample_rate(self) -> int:
        """Of the sound, in Hz."""
        return int(self.cfg.preprocessor.sample_rate)

    @property
    def input_types(self) -> dict[str, NeuralType]:
        """A mel spectrogram."""
        return {"spec": NeuralType("B D T", MelSpectrogramType())}

    @property
    def output_types(self) -> dict[str, NeuralType]:
        """Sound, one channel."""
        return {"audio": NeuralType("B S T", AudioSignal(self.sample_rate))}

    @typecheck()
    def forward(self, *, spec: Tensor) -> Tensor:
        """Return the sound (B, 1, samples) of mel spectrograms."""
        audio: Tensor = self.generator(x=spec).audio
        return audio

    @torch.no_grad()
    def convert_spectrogram_to_audio(self, spec: Tensor, **kwargs: Any) -> Tensor:
        """Return the sound (B, samples) of mel spectrograms (B, n_mels, T).

        Raises:
            ModelError: the spectrogram has not the bands of this vocoder.
        """
        self.check_spectrogram(spec)
        audio: Tensor = self(spec=spec)
        return audio.squeeze(1)

    @torch.no_grad()
    def stream(
        self, spec: Tensor, *, first: int = FIRST_CHUNK, largest: int = LARGEST_CHUNK, **kwargs: Any
    ) -> Iterator[Tensor]:
        """Yield chunks of sound (B, samples) that make up the whole when put together, to 1e-4.

        Each chunk is computed with the frames around it that its samples depend on. Chunks grow, so that sound starts
        early and little is computed twice.

        Args:
            spec: (B, n_mels, T).
            first: frames of the first chunk; they double from chunk to chunk.
            largest: the most frames of a chunk.
            **kwargs: taken for the sake of other vocoders.
        """
        self.check_spectrogram(spec)
        context, start, size, frames = self.generator.context, 0, first, spec.shape[2]
        while start < frames:
            end = frames if start + size + size // 2 >= frames else start + size
            begin, stop = max(start - context, 0), min(end + context, frames)
            yield self.generator.inner(spec[..., begin:stop], start - begin, stop - end).squeeze(1)
            start, size = end, min(2 * size, largest)

    # --- training ---------------------------------------------------------------------------------------------------

    def setup_training_data(self, train_data_config: Any) -> None:
        """Make the loader of a section like ``cfg.train_ds``."""
        self._train_dl = self._loader("train_ds", train_data_config)

    def setup_validation_data(self, val_data_config: Any) -> None:
        """Make the loader of a section like ``cfg.validation_ds``."""
        self._validation_dl = self._loader("validation_ds", val_data_config)

    def setup_test_data(self, test_data_config: Any) -> None:
        """Make the loader of a section like ``cfg.test_ds``."""
        self._test_dl = self._loader("test_ds", test_data_config)

    def _loader(self, key: str, section: Any) -> Any:
        from seaspeak.collections.tts.data.vocoder import build_loader

        return build_loader(section, section=key)

    def configure_optimizers(self) -> Any:
        """Return an optimiser for the generator and one for the discriminators, with schedules if there are any."""
        if not hasattr(self, "mpd"):  # fine-tuning from an archive that only speaks
            self._add_discriminators()
            self.to(self.device)
            OmegaConf.update(self.cfg, "discriminators", True, force_add=True)
        section = self.cfg.optim
        judges = chain(self.msd.parameters(), self.mpd.parameters())
        optimizers = [build_optimizer(parameters, section) for parameters in (self.generator.parameters(), judges)]
        if section.get("sched") is None:
            return optimizers
        schedule = section.sched.copy()
        schedule.setdefault("max_steps", self.cfg.get("max_steps"))
        schedules = [build_schedule(optimizer, schedule, None) for optimizer in optimizers]
        described = [one for one in schedules if one is not None]
        self._schedule_interval = described[0]["interval"] if described else ""
        return optimizers, [one["scheduler"] for one in described]

    def _with_mels(self, batch: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Sound (B, 1, S), its lengths, and the spectrograms to make it from: given ones, or its own."""
        audio, lengths = batch[0], batch[1]
        mel = batch[2] if len(batch) > 2 else self.audio_to_melspec_precessor(audio, lengths)[0]
        return audio[:, None], lengths, mel

    def training_step(self, batch: Sequence[Tensor], batch_idx: int = 0) -> None:
        """Teach the discriminators, then the generator."""
        audio, lengths, mel = self._with_mels(batch)
        made = self.generator(x=mel).audio
        generator_optimizer, judge_optimizer = self.optimizers()  # type: ignore[operator]

        judge_optimizer.zero_grad()
        judge_losses = {name: self._judge_loss(judge(audio, made.detach())) for name, judge in self._judges.items()}
        judge_loss = sum(judge_losses.values())
        self.manual_backward(judge_loss)  # type: ignore[operator]
        judge_optimizer.step()

        generator_optimizer.zero_grad()
        parts = self._generator_losses(audio, made, lengths)
        loss = sum(parts.values()) + (self._l1_factor - 1) * parts["g_l1_loss"]
        self.manual_backward(loss)  # type: ignore[operator]
        generator_optimizer.step()
        self._step_schedules("step")

        self.log("g_l1_loss", parts.pop("g_l1_loss"), prog_bar=True)
        self.log_dict({**parts, "g_loss": loss, **{f"d_loss_{n}": part for n, part in judge_losses.items()}})
        self.log_dict({"d_loss": judge_loss, "lr": generator_optimizer.param_groups[0]["lr"]})

    @property
    def _judges(self) -> dict[str, Any]:
        return {"mpd": self.mpd, "msd": self.msd}

    @property
    def _l1_factor(self) -> float:
        return float(self.cfg.get("l1_loss_factor", 45))

    def _judge_loss(self, judged: Judged) -> Tensor:
        loss: Tensor = self.discriminator_loss(
            disc_real_outputs=judged.real_scores, disc_generated_outputs=judged.fake_scores
        ).loss
        return loss

    def _generator_losses(self, audio: Tensor, made: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        target, got = (self.trg_melspec_fn(signal.squeeze(1), lengths)[0] for signal in (audio, made))
        parts: dict[str, Tensor] = {"g_l1_loss": F.l1_loss(got, target)}
        for name, judge in self._judges.items():
            judged = judge(audio, made)
            parts[f"g_loss_fm_{name}"] = self.feature_loss(
                fmap_r=judged.real_feature_maps, fmap_g=judged.fake_feature_maps
            )
            parts[f"g_loss_gen_{name}"] = self.generator_loss(disc_outputs=judged.fake_scores).loss
        return parts

    def _step_schedules(self, interval: str) -> None:
        if self._schedule_interval == interval:
            for schedule in self.lr_schedulers():  # type: ignore[operator]
                schedule.step()

    def on_train_epoch_end(self) -> None:
        """Move schedules on that count epochs."""
        self._step_schedules("epoch")

    def validation_step(
        self, batch: Sequence[Tensor], batch_idx: int = 0, dataloader_idx: int = 0
    ) -> dict[str, Tensor]:
        """Return the distance between log-mel spectrograms of recordings and of what is made from them."""
        audio, lengths, mel = self._with_mels(batch)
        made = self(spec=mel).squeeze(1)[:, : audio.shape[2]]
        target, got = (self.audio_to_melspec_precessor(signal, lengths)[0] for signal in (audio.squeeze(1), made))
        return {"val_loss": F.l1_loss(got, target)}

    def test_step(self, batch: Sequence[Tensor], batch_idx: int = 0, dataloader_idx: int = 0) -> dict[str, Tensor]:
        """Return what a validation step does."""
        return {"test_loss": self.validation_step(batch, batch_idx, dataloader_idx)["val_loss"]}


def _key(name: str, per_stage: int) -> str:
    """Today's name of a weight: the authors' generator has no prefix, theirs and old archives count blocks through."""
    if name.startswith(("conv_pre.", "conv_post.", "ups.", "resblocks.")):
        name = f"generator.{name}"
    return re.sub(
        r"^generator\.resblocks\.(\d+)\.(?=convs)",
        lambda found: "generator.resblocks.{}.{}.".format(*divmod(int(found[1]), per_stage)),
        name,
    )
