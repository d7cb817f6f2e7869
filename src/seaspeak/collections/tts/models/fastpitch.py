"""FastPitch: text to mel spectrograms in one pass, with the duration and the pitch of every token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig
from torch import Tensor

from seaspeak.collections.tts.losses.aligner import BinLoss, ForwardSumLoss
from seaspeak.collections.tts.losses.fastpitch import DurationLoss, EnergyLoss, MelLoss, PitchLoss
from seaspeak.collections.tts.models.base import SpectrogramGenerator, SpokenWord, Utterance
from seaspeak.collections.tts.models.text_front_end import ReadsText
from seaspeak.collections.tts.modules.fastpitch import FastPitchModule, Trained
from seaspeak.collections.tts.pictures import log_picture
from seaspeak.core.config import Configuration
from seaspeak.core.errors import ConfigError, DataError
from seaspeak.core.ports import PortTypes
from seaspeak.core.types import Index, MelSpectrogramType, NeuralType, RegressionValuesType, TokenIndex
from seaspeak.core.typing import typecheck

_NEEDED = ("preprocessor", "input_fft", "output_fft", "duration_predictor", "pitch_predictor")


class Losses(NamedTuple):
    """The parts of the training loss, scaled."""

    mel: Tensor
    duration: Tensor
    pitch: Tensor
    energy: Tensor
    forward_sum: Tensor
    bin: Tensor


class FastPitchModel(SpectrogramGenerator, ReadsText):
    """Tokens to mel spectrograms, by durations and pitch that are predicted.

    Sections and keys of the configuration are NeMo's (spec tts §5, §21): ``preprocessor``, ``input_fft``,
    ``output_fft``, ``duration_predictor``, ``pitch_predictor``, optional ``energy_predictor``; with
    ``learn_alignment`` also ``text_tokenizer`` and ``alignment_module``, without it (NeMo 1.0) ``labels``;
    ``n_speakers``, ``symbols_embedding_dim``, ``max_token_duration``, ``train_ds``, ``validation_ds``, ``optim``.

    With an aligner, durations are learnt from the recordings; where ``sup_data_types`` has ``durations``, those of
    the data are taken, and the aligner rests. With a section ``listening`` (``sentences``, ``vocoder``,
    ``recogniser``) a recogniser listens to the first sentences of ``validation_ds`` at each validation: ``val_cer``.

    Raises:
        ConfigError: a section is missing.
    """

    def __init__(self, cfg: Configuration, trainer: Any = None) -> None:
        super().__init__(cfg=cfg, trainer=trainer)
        if missing := [key for key in _NEEDED if self.cfg.get(key) is None]:
            keys = ", ".join(map(str, self.cfg))
            raise ConfigError(f"the model's configuration lacks {', '.join(missing)}", got=keys)
        cfg = self.cfg
        self.learn_alignment = bool(cfg.get("learn_alignment", False))
        scale = 0.1 if self.learn_alignment or self._is_first_release else 1.0
        self.mel_loss, self.duration_loss = MelLoss(), DurationLoss(cfg.get("dur_loss_scale", scale))
        self.pitch_loss = PitchLoss(cfg.get("pitch_loss_scale", scale))
        self.energy_loss = EnergyLoss(cfg.get("energy_loss_scale", scale))
        self.forward_sum_loss = ForwardSumLoss(loss_scale=cfg.get("aligner_loss_scale", 1.0))
        self.bin_loss = BinLoss(loss_scale=cfg.get("aligner_loss_scale", 1.0))
        self.aligner = self._part("alignment_module", "speaker_emb_condition_aligner") if self.learn_alignment else None
        self.preprocessor = self.build(cfg.preprocessor, recipe=self.recipe)
        self.fastpitch = FastPitchModule(
            self._part("input_fft", always=True, **self._vocabulary_size()),
            self._part("output_fft", "speaker_emb_condition_decoder"),
            self._part("duration_predictor", "speaker_emb_condition_prosody"),
            self._part("pitch_predictor", "speaker_emb_condition_prosody"),
            None if cfg.get("energy_predictor") is None else self._part("energy_predictor"),
            self.aligner,
            n_speakers=int(cfg.get("n_speakers") or 1),
            symbols_embedding_dim=cfg.symbols_embedding_dim,
            pitch_embedding_kernel_size=cfg.pitch_embedding_kernel_size,
            energy_embedding_kernel_size=cfg.get("energy_embedding_kernel_size") or 3,
            n_mel_channels=cfg.n_mel_channels,
            min_token_duration=cfg.get("min_token_duration", 0),
            max_token_duration=cfg.max_token_duration,
            use_log_energy=cfg.get("use_log_energy", True),
            half_to_even=self._is_first_release,
        )

    @property
    def _is_first_release(self) -> bool:
        return not self.cfg.get("learn_alignment", False) and str(self.cfg.get("nemo_version") or "").startswith("1.0")

    def _part(self, key: str, condition: str = "", *, always: bool = False, **overrides: Any) -> Any:
        """Build a section; a model of several speakers conditions the encoder, and other parts where asked."""
        section = self.cfg[key]
        several = int(self.cfg.get("n_speakers") or 1) > 1
        if several and (always or (condition and self.cfg.get(condition, False))):
            overrides["condition_types"] = sorted({*(section.get("condition_types") or ()), "add"})
        return self.build(section, **overrides)

    def _vocabulary_size(self) -> dict[str, Any]:
        if self.cfg.get("text_tokenizer") is None or not self.cfg.get("learn_alignment", False):
            return {}
        return {"n_embed": len(self.vocab.tokens), "padding_idx": self.vocab.pad}

    # --- text -------------------------------------------------------------------------------------------------------

    def parse(self, text: str, normalize: bool = True) -> Tensor:
        """Return the tokens (1, N) of a text.

        Args:
            text: a sentence or two; what has no token is named in a warning and left out.
            normalize: speak numbers and abbreviations out.

        Raises:
            ConfigError: the model's archive has no tokenizer.
        """
        return torch.tensor([self.vocab.encode_words(self.read(text, normalize=normalize))[0]], device=self.device)

    # --- network ----------------------------------------------------------------------------------------------------

    @property
    def input_types(self) -> PortTypes | None:
        """Those of `FastPitchModule`."""
        return self.fastpitch.input_types

    @property
    def output_types(self) -> PortTypes | None:
        """Those of `FastPitchModule`."""
        return self.fastpitch.output_types

    @typecheck()
    def forward(self, **inputs: Any) -> Trained:
        """Return what `FastPitchModule` returns, of ``text`` and its other inputs by name."""
        outputs: Trained = self.fastpitch(**inputs)
        return outputs

    @typecheck(
        input_types={
            "tokens": NeuralType("B T", TokenIndex()),
            "speaker": NeuralType("B", Index(), optional=True),
            "pace": NeuralType("B T", RegressionValuesType(), optional=True),
            "pitch": NeuralType("B T", RegressionValuesType(), optional=True),
        },
        output_types={"spect": NeuralType("B D T", MelSpectrogramType())},
    )
    def generate_spectrogram(  # type: ignore[override]
        self,
        tokens: Tensor,
        speaker: int | Tensor | None = None,
        pace: float | Tensor = 1.0,
        pitch: float | Tensor = 0.0,
    ) -> Tensor:
        """Return spectrograms (B, M, T) of tokens (B, N).

        Args:
            tokens: texts may be filled up with the padding token.
            speaker: a number, or one for each text (B,); needed if the model has several.
            pace: 2 for twice as fast, for all tokens or for each (B, N).
            pitch: added to the predicted pitch, in standard deviations of the voice, for all tokens or for each.

        Raises:
            ConfigError: a speaker is missing, or not one of the model's.
        """
        return self._speak(tokens, speaker, pace, pitch)[0]

    @torch.no_grad()
    def _speak(
        self, tokens: Tensor, speaker: int | Tensor | None, pace: float | Tensor, pitch: float | Tensor
    ) -> tuple[Tensor, Tensor]:
        """Spectrograms, and durations before pace."""
        if isinstance(speaker, int):
            count = int(self.cfg.get("n_speakers") or 1)
            if not 0 <= speaker < max(count, 1):
                raise ConfigError(f"there is no speaker {speaker}", expected=f"0 to {count - 1}")
            speaker = torch.full((len(tokens),), speaker, device=tokens.device)
        spect, _, durations, *_ = self.fastpitch.infer(text=tokens, speaker=speaker, pace=pace, pitch=pitch)
        return spect, durations

    def synthesize(self, text: str, pace: float = 1.0, **kwargs: Any) -> Utterance:
        """Return the spectrogram of a text, and the frames of each word, by the durations of its tokens.

        Args:
            text: a sentence or two.
            pace: 2 for twice as fast.
            **kwargs: ``speaker`` and ``pitch``, as for `generate_spectrogram`; ``normalize``, as for `parse`.

        Raises:
            DataError: nothing in the text can be spoken.
        """
        numbers, spans = self.vocab.encode_words(self.read(text, normalize=kwargs.get("normalize", True)))
        if not spans:
            raise DataError("nothing in the text can be spoken", got=repr(text[:40]))
        tokens = torch.tensor([numbers], device=self.device)
        spect, durations = self._speak(tokens, kwargs.get("speaker"), pace, kwargs.get("pitch", 0.0))
        ends = [0, *self.fastpitch.frames(durations, pace)[0].cumsum(0).tolist()]
        return Utterance(spect[0], [SpokenWord(span.text, ends[span.start], ends[span.end]) for span in spans])

    # --- training ---------------------------------------------------------------------------------------------------

    def make_loader(self, section: DictConfig, *, key: str, shuffle: bool) -> Any:
        """Make the loader of a data section; None where it names no recordings."""
        from seaspeak.collections.tts.data.dataset import build_loader

        if (section.get("dataset") or {}).get("manifest_filepath") is None:
            return None
        return build_loader(section, shuffle=shuffle, text_tokenizer=self.vocab, text_normalizer=self.text_normalizer)

    def training_step(self, batch: Sequence[Tensor], batch_idx: int = 0) -> dict[str, Tensor]:
        """Return the loss of a batch of `TTSDataset`, and log it and its parts."""
        losses, _ = self._losses(self._train_dl.dataset.named(batch))
        loss = torch.stack(losses).sum()
        self.log("t_loss", loss.detach())
        for name, value in losses._asdict().items():
            self.log(f"t_{name}_loss", value.detach())
        return {"loss": loss}

    def validation_step(
        self, batch: Sequence[Tensor], batch_idx: int = 0, dataloader_idx: int = 0
    ) -> dict[str, Tensor]:
        """Return the losses of a batch; spectrograms and alignment of the first item are shown."""
        loaders = self.val_dataloader()
        dataset = (loaders[dataloader_idx] if isinstance(loaders, list) else loaders).dataset
        losses, shown = self._losses(dataset.named(batch))
        values = {f"val_{name}_loss": value.detach() for name, value in losses._asdict().items()}
        values["val_loss"] = losses.mel.detach() + losses.duration.detach() + losses.pitch.detach()
        if batch_idx == 0:
            for name, matrix in shown.items():
                log_picture(self, f"val_{name}", matrix)
            if self.cfg.get("listening") and self.trainer is not None and not self.trainer.sanity_checking:
                values["val_cer"] = values["val_loss"].new_tensor(self._misheard(dataset))
        return values

    def _misheard(self, dataset: Any) -> float:
        """The share of characters that a recogniser hears wrong in the first sentences of a data set."""
        from seaspeak.collections.tts.metrics.intelligibility import Listener

        models = dict(self.cfg.listening)
        texts = [dataset.text_of(entry) for entry in dataset.manifest[: models.pop("sentences")]]
        if "_listener" not in self.__dict__:  # not a part of the network
            self.__dict__["_listener"] = Listener(**models)
        return float(self.__dict__["_listener"](self, texts).cer)

    def _losses(self, batch: dict[str, Tensor]) -> tuple[Losses, dict[str, Tensor]]:
        mel, mel_lens = self.preprocessor(input_signal=batch["audio"], length=batch["audio_lens"])
        frames = int(mel_lens.max())
        mel, text_lens = mel[:, :, :frames], batch["text_lens"]
        inputs: dict[str, Any] = {"text": batch["text"], "speaker": batch.get("speaker_id")}
        for kind in ("pitch", "energy"):
            inputs[kind] = batch[kind][:, :frames] if kind in batch else None
        if "durations" in batch:
            inputs["durs"] = _fitted(batch["durations"], mel_lens, text_lens)
        else:
            prior = batch.get("align_prior_matrix")
            inputs |= {"spec": mel, "mel_lens": mel_lens, "input_lens": text_lens}
            inputs["attn_prior"] = None if prior is None else prior[:, :frames]
        made = self(**inputs)
        durations = inputs["durs"] if made.attn_hard_dur is None else made.attn_hard_dur
        nothing = mel.new_zeros(())
        losses = Losses(
            self.mel_loss(made.spect, mel, mel_lens),
            self.duration_loss(made.log_durs_predicted, durations, text_lens),
            nothing if made.pitch is None else self.pitch_loss(made.pitch_predicted, made.pitch, text_lens),
            nothing if made.energy_tgt is None else self.energy_loss(made.energy_pred, made.energy_tgt, text_lens),
            nothing
            if made.attn_logprob is None
            else self.forward_sum_loss(attn_logprob=made.attn_logprob, in_lens=text_lens, out_lens=mel_lens),
            nothing
            if made.attn_soft is None
            else self._bin_weight * self.bin_loss(hard_attention=made.attn_hard, soft_attention=made.attn_soft),
        )
        shown = {"mel_target": mel[0], "mel_predicted": made.spect[0]}
        if made.attn_soft is not None and made.attn_hard is not None:
            shown |= {"alignment": made.attn_soft[0, 0].T, "alignment_hard": made.attn_hard[0, 0].T}
        return losses, shown

    @property
    def _bin_weight(self) -> float:
        """Grows from 0 to 1 over the first ``bin_loss_warmup_epochs``."""
        epoch = getattr(self.trainer, "current_epoch", 0) if self.trainer is not None else 0
        return min(1.0, epoch / (self.cfg.get("bin_loss_warmup_epochs") or 100))


def _fitted(durations: Tensor, mel_lens: Tensor, text_lens: Tensor) -> Tensor:
    """Durations whose sums are the frames that there are; the last token gives or takes the one or two that differ."""
    fitted = durations.clone()
    rows, last = torch.arange(len(fitted), device=fitted.device), text_lens - 1
    fitted[rows, last] = (fitted[rows, last] + mel_lens - fitted.sum(1)).clamp(min=0)
    return fitted
