"""WaveGlow: a vocoder that learns how likely sound is (arXiv:1811.00002)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig
from torch import Tensor

from seaspeak.collections.tts.losses.waveglow import WaveGlowLoss
from seaspeak.collections.tts.models.base import Vocoder
from seaspeak.collections.tts.modules.waveglow import Flow
from seaspeak.collections.tts.modules.weight_norm import split_weights
from seaspeak.collections.tts.pictures import log_picture
from seaspeak.core.config import Configuration
from seaspeak.core.errors import ConfigError
from seaspeak.core.module import evaluating
from seaspeak.core.types import (
    AudioSignal,
    LengthsType,
    LogDeterminantType,
    MelSpectrogramType,
    NeuralType,
    NormalDistributionSamplesType,
    VoidType,
)
from seaspeak.core.typing import typecheck

_BIAS_FRAMES = 88  # of the silence that is vocoded to hear what the vocoder itself adds
_NORMED = re.compile(r"waveglow\.wavenet\.\d+\.(start|cond_layer|in_layers\.\d+|res_skip_layers\.\d+)")


class Inverted(NamedTuple):
    """What the model gives with ``run_inverse``: also the sound of the recordings' own spectrograms, and those."""

    pred_normal_dist: Tensor
    log_s_list: list[Tensor]
    log_det_W_list: list[Tensor]
    audio_pred: Tensor
    spec: Tensor
    spec_len: Tensor


class WaveGlowModel(Vocoder):
    """A flow between sound and noise, and the mel front end that it is trained with.

    Sections and keys of the configuration: ``preprocessor``, ``waveglow``, ``sigma``; ``train_ds``,
    ``validation_ds``, ``optim``. Archives may hold plain weights in place of normalised ones, and inverses of the
    mixing matrices, which are computed here.

    Shapes:
        audio, audio_len   (B, S), (B,)  recordings
        pred_normal_dist   (B, G, P)     the noise that they stand for
        log_s_list, log_det_W_list       what the loss needs of each step

    Raises:
        ConfigError: a section is missing.
    """

    def __init__(self, cfg: Configuration, trainer: Any = None) -> None:
        super().__init__(cfg=cfg, trainer=trainer)
        if missing := [key for key in ("preprocessor", "waveglow") if self.cfg.get(key) is None]:
            keys = ", ".join(map(str, self.cfg))
            raise ConfigError(f"the model's configuration lacks {', '.join(missing)}", got=keys)
        self.audio_to_melspec_precessor = self.build_front_end()
        self.waveglow = self.build(self.cfg.waveglow)
        self.sigma = float(self.cfg.get("sigma", 1.0))
        self.loss = WaveGlowLoss()

    @classmethod
    def adapt(cls, config: DictConfig, state: Mapping[str, Tensor]) -> tuple[DictConfig, Mapping[str, Tensor]]:
        """Return an archive's content in today's form; see the class for what may differ."""
        kept = {name: tensor for name, tensor in state.items() if ".inv_conv." not in name}
        return config, split_weights(kept, owns=lambda name: _NORMED.fullmatch(name) is not None)

    # --- network ----------------------------------------------------------------------------------------------------

    @property
    def input_types(self) -> dict[str, NeuralType]:
        """Recordings; whether sound is made of their spectrograms too."""
        return {
            "audio": NeuralType("B T", AudioSignal(freq=self.mel_recipe.sample_rate)),
            "audio_len": NeuralType("B", LengthsType()),
            "run_inverse": NeuralType(elements_type=VoidType(), optional=True),
        }

    @property
    def output_types(self) -> dict[str, Any]:
        """Noise and what the loss needs; with ``run_inverse`` also sound, spectrograms and their lengths."""
        return {
            "pred_normal_dist": NeuralType(("B", "flowgroup", "T"), NormalDistributionSamplesType()),
            "log_s_list": [NeuralType(("B", "flowgroup", "T"), VoidType())],
            "log_det_W_list": [NeuralType(elements_type=LogDeterminantType())],
            "audio_pred": NeuralType("B T", AudioSignal(freq=self.mel_recipe.sample_rate), optional=True),
            "spec": NeuralType("B D T", MelSpectrogramType(), optional=True),
            "spec_len": NeuralType("B", LengthsType(), optional=True),
        }

    @typecheck()
    def forward(self, audio: Tensor, audio_len: Tensor, run_inverse: bool | None = None) -> Flow | Inverted:
        """Return the noise that recordings stand for.

        Args:
            audio: (B, S).
            audio_len: (B,).
            run_inverse: make sound of the recordings' spectrograms too; by default when not in training.
        """
        spec, spec_len = self.audio_to_melspec_precessor(audio, audio_len)
        flow: Flow = self.waveglow(spec=spec, audio=audio)
        if run_inverse is None:
            run_inverse = not self.training
        if not run_inverse:
            return flow
        with torch.no_grad():
            made = self.waveglow.inverse(spec, sigma=self.sigma)
        return Inverted(*flow, made, spec, spec_len)

    # --- speaking ---------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def convert_spectrogram_to_audio(
        self,
        spec: Tensor,
        sigma: float = 1.0,
        denoise: bool = True,
        denoiser_strength: float = 0.01,
        **kwargs: Any,
    ) -> Tensor:
        """Return the sound (B, samples) of mel spectrograms (B, n_mels, T), drawn at random: a seed gives it again.

        Args:
            spec: natural log of mel magnitudes.
            sigma: deviation of the noise; 0.6 to 1.0: less is cleaner and duller.
            denoise: take away what the vocoder itself adds.
            denoiser_strength: how much of it.
            **kwargs: taken for the sake of other vocoders.

        Raises:
            ModelError: the spectrogram has not the bands of this vocoder.
        """
        self.check_spectrogram(spec)
        with evaluating(self):
            audio: Tensor = self.waveglow.inverse(spec, sigma=sigma)
            return self.denoise(audio, denoiser_strength) if denoise else audio

    @torch.no_grad()
    def bias_spectrum(self) -> Tensor:
        """What the vocoder makes of silence without noise: magnitudes (1, n_fft // 2 + 1, 1)."""
        weight = self.waveglow.upsample.weight
        silence = weight.new_zeros(1, self.mel_recipe.n_mels, _BIAS_FRAMES)
        spectrum = self._spectrum(self.waveglow.inverse(silence, sigma=0.0))
        return spectrum[:, :, :1].abs()

    @torch.no_grad()
    def denoise(self, audio: Tensor, strength: float = 0.01) -> Tensor:
        """Return sound (B, S) without ``strength`` times the spectrum of silence, phases kept."""
        spectrum = self._spectrum(audio)
        size = spectrum.abs()
        kept = (size - strength * self.bias_spectrum()).clamp(min=0) / size.clamp(min=torch.finfo(size.dtype).tiny)
        recipe = self.mel_recipe
        return torch.istft(
            spectrum * kept, recipe.n_fft, recipe.hop_length, recipe.win_length, self._window, length=audio.shape[1]
        )

    @property
    def _window(self) -> Tensor:
        front_end = self.audio_to_melspec_precessor
        window: Tensor = getattr(front_end, "featurizer", front_end).window
        return window

    def _spectrum(self, audio: Tensor) -> Tensor:
        recipe = self.mel_recipe
        return torch.stft(audio, recipe.n_fft, recipe.hop_length, recipe.win_length, self._window, return_complex=True)

    # --- training ---------------------------------------------------------------------------------------------------

    def setup_training_data(self, train_data_config: Any) -> None:
        """Make the loader of a section like ``cfg.train_ds``."""
        self._train_dl = self._loader("train_ds", train_data_config)

    def setup_validation_data(self, val_data_config: Any) -> None:
        """Make the loader of a section like ``cfg.validation_ds``."""
        self._validation_dl = self._loader("validation_ds", val_data_config)

    def _loader(self, key: str, section: Any) -> Any:
        from seaspeak.collections.tts.data.vocoder import build_loader

        return build_loader(section, section=key)

    def _loss_of(self, flow: Flow | Inverted) -> Tensor:
        loss: Tensor = self.loss(
            z=flow.pred_normal_dist,
            log_s_list=flow.log_s_list,
            log_det_W_list=flow.log_det_W_list,
            sigma=self.sigma,
        )
        return loss

    def training_step(self, batch: Sequence[Tensor], batch_idx: int = 0) -> dict[str, Tensor]:
        """Return the loss of (audio, audio length) and log it."""
        loss = self._loss_of(self(audio=batch[0], audio_len=batch[1], run_inverse=False))
        self.log("train_loss", loss.detach())
        return {"loss": loss}

    def validation_step(
        self, batch: Sequence[Tensor], batch_idx: int = 0, dataloader_idx: int = 0
    ) -> dict[str, Tensor]:
        """Return the loss; of the first batch of the set, sound is made too, and its spectrogram shown."""
        result = self(audio=batch[0], audio_len=batch[1], run_inverse=batch_idx == 0)
        if isinstance(result, Inverted):
            heard, _ = self.audio_to_melspec_precessor(result.audio_pred[:1], batch[1][:1])
            log_picture(self, "val_mel_target", result.spec[0])
            log_picture(self, "val_mel_predicted", heard[0])
        return {"val_loss": self._loss_of(result).detach()}
