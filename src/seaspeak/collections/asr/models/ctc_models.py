"""Recognisers that score characters frame by frame (CTC): Jasper, QuartzNet and whatever has their parts."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from seaspeak.collections.asr.losses.ctc import CTCLoss
from seaspeak.collections.asr.metrics.wer import WER
from seaspeak.collections.asr.models.asr_model import ASRModel
from seaspeak.collections.asr.models.scorer import TorchScorer
from seaspeak.collections.asr.modules.jasper_layers import SqueezeExcite
from seaspeak.collections.asr.recognition import FrameRecogniser
from seaspeak.core import registry
from seaspeak.core.config import Configuration, to_config
from seaspeak.core.errors import ConfigError
from seaspeak.core.types import (
    AudioSignal,
    LabelsType,
    LengthsType,
    LogprobsType,
    NeuralType,
    SpectrogramType,
)
from seaspeak.core.typing import typecheck
from seaspeak.text.ctc import CTCDecoder, CTCOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

LogProbs = Annotated[Tensor, NeuralType("B T D", LogprobsType())]
Lengths = Annotated[Tensor, NeuralType("B", LengthsType())]
Labels = Annotated[Tensor, NeuralType("B T", LabelsType())]


class Scored(NamedTuple):
    """What the model gives: log-probabilities, frames that count, the best symbol of each."""

    outputs: LogProbs
    encoded_lengths: Lengths
    greedy_predictions: Labels


class EncDecCTCModel(ASRModel):
    """Front end, encoder, and a decoder that scores characters and the blank, trained with CTC.

    Sections and keys of the configuration (spec asr §13.1): ``preprocessor``, ``encoder``, ``decoder``; optional
    ``spec_augment``, ``ctc_reduction``, ``use_cer``, ``log_prediction``, ``skip_nan_grad``, ``decoding``,
    ``train_ds``, ``validation_ds``, ``test_ds``, ``optim``.

    Shapes:
        input_signal, input_signal_length          (B, S) samples in [-1, 1], (B,)
        processed_signal, processed_signal_length  (B, D, T) features instead, (B,) frames
        returns outputs                            (B, F, V+1) natural log-probabilities, blank last
                encoded_lengths                    (B,) frames that count
                greedy_predictions                 (B, F) the best symbol of each frame

    Raises:
        ConfigError: a section is missing, or the decoder does not fit the encoder or the labels.
    """

    def __init__(self, cfg: Configuration, trainer: Any = None) -> None:
        super().__init__(cfg=cfg, trainer=trainer)
        if missing := [key for key in ("preprocessor", "encoder", "decoder") if self.cfg.get(key) is None]:
            keys = ", ".join(map(str, self.cfg))
            raise ConfigError(f"the model's configuration lacks {', '.join(missing)}", got=keys)
        self.preprocessor = self._build_front_end()
        self.encoder = self._build_encoder()
        self.decoder = self._build_decoder()
        augment = self.cfg.get("spec_augment")
        self.spec_augmentation = None if augment is None else self.build(augment)
        self.loss = CTCLoss(
            self.decoder.num_classes_with_blank - 1,
            zero_infinity=True,
            reduction=self.cfg.get("ctc_reduction") or "mean_batch",
        )
        self._set_decoding(self.cfg.get("decoding"))
        if (self.cfg.get("interctc") or {}).get("loss_weights"):
            logger.warning("interctc: losses at inner layers are not computed here; only the last layer's counts")

    # --- parts ------------------------------------------------------------------------------------------------------

    def _build_front_end(self) -> Any:
        section = self.cfg.preprocessor
        takes_recipe = "recipe" in inspect.signature(self._class_of(section)).parameters
        return self.build(section, **({"recipe": self.recipe} if takes_recipe else {}))

    def _build_encoder(self) -> Any:
        section = self.cfg.encoder
        if "mask_se" in section or "mask_se" not in inspect.signature(self._class_of(section)).parameters:
            return self.build(section)
        return self.build(section, mask_se=self._masks_squeeze_excite())

    def _build_decoder(self) -> Any:
        section = self.cfg.decoder
        width = section.get("feat_in") or getattr(self.encoder, "_feat_out", None)
        if width is None:
            raise ConfigError("param feat_in of the decoder's config is not set!", fix="set decoder.feat_in")
        return self.build(section, feat_in=width)

    def _class_of(self, section: DictConfig) -> type[Any]:
        return registry.resolve(str(section.get("_target_")), caller=type(self))

    def _masks_squeeze_excite(self) -> bool:
        """Whether squeeze-and-excite leaves padding out, as since NeMo 1.6."""
        release = re.match(r"(\d+)\.(\d+)", str(self.cfg.get("nemo_version") or ""))
        known = (int(release[1]), int(release[2])) if release else (1, 0)
        return self.recipe == "current" or (self.recipe == "1.0" and known >= (1, 6))

    @property
    def sample_rate(self) -> int:
        """Of the samples that the model takes, in Hz."""
        return int(self.cfg.get("sample_rate") or self.cfg.preprocessor.get("sample_rate") or 16000)

    @property
    def vocabulary(self) -> list[str]:
        """The characters, without the blank."""
        symbols = self.decoder.vocabulary or self.cfg.get("labels")
        if symbols is None:
            raise ConfigError("the model does not know its characters", fix="set decoder.vocabulary")
        return [str(symbol) for symbol in symbols]

    @property
    def frame_seconds(self) -> float:
        """Seconds from one frame of the output to the next."""
        section = self.cfg.preprocessor
        samples = section.get("n_window_stride")
        stride = samples / self.sample_rate if samples else float(section.get("window_stride") or 0.01)
        return stride * int(self.encoder.subsampling_factor)

    def change_vocabulary(self, new_vocabulary: Sequence[str], decoding_cfg: Any = None) -> None:
        """Give the model other characters: a new decoder with random weights; the encoder stays as it is.

        The sections ``train_ds``, ``validation_ds`` and ``test_ds`` get the new labels; loaders that exist already
        keep the old ones until ``setup_training_data`` and its like are called again.

        Args:
            new_vocabulary: the characters, without the blank. The same ones as before change nothing.
            decoding_cfg: a new ``decoding`` section.

        Raises:
            ConfigError: no characters.
        """
        symbols = [str(symbol) for symbol in new_vocabulary or ()]
        if not symbols:
            raise ConfigError("the new vocabulary has no characters", got=repr(new_vocabulary))
        if symbols == self.decoder.vocabulary:
            logger.warning("the new vocabulary is the one that the model has: nothing changes")
            return
        device = self.device
        self.cfg.decoder.vocabulary = symbols
        self.cfg.decoder.num_classes = len(symbols)
        for key in ("train_ds", "validation_ds", "test_ds"):
            if self.cfg.get(key) is not None:
                self.cfg[key].labels = symbols
        if self.cfg.get("labels") is not None:
            self.cfg.labels = symbols
        self.decoder = self._build_decoder().to(device)
        self.loss = CTCLoss(len(symbols), zero_infinity=True, reduction=self.loss.reduction)
        self._set_decoding(self.cfg.get("decoding") if decoding_cfg is None else decoding_cfg)

    def change_conv_asr_se_context_window(self, context_window: int, update_config: bool = True) -> None:
        """Let squeeze-and-excite average over another number of frames; -1 for the whole utterance.

        Args:
            context_window: frames.
            update_config: write it into the configuration too.
        """
        for layer in self.encoder.modules():
            if isinstance(layer, SqueezeExcite):
                layer.context_size = context_window
        if update_config:
            for block in self.cfg.encoder.jasper:
                if block.get("se", False):
                    block.se_context_size = context_window

    def change_decoding_strategy(self, decoding_cfg: Any) -> None:
        """Decode as another ``decoding`` section says (spec asr §10.3), which goes into the configuration.

        Raises:
            ConfigError: an unknown strategy or setting.
        """
        section = to_config(decoding_cfg)
        self._set_decoding(section)
        self.cfg.decoding = section

    def _set_decoding(self, section: Mapping[str, Any] | None) -> None:
        options = CTCOptions.from_config(section)
        if self.decoder.vocabulary is None and self.cfg.get("labels") is None:
            return  # a network without an alphabet scores and trains; it cannot spell
        self.decoding = CTCDecoder(self.vocabulary, options, frame_seconds=self.frame_seconds)
        self.wer = WER(
            self._texts,
            self._spell,
            use_cer=bool(self.cfg.get("use_cer", False)),
            log_prediction=bool(self.cfg.get("log_prediction", False)),
        )

    def _spell(self, labels: np.ndarray) -> str:
        return "".join(self.decoding.vocabulary[label] for label in labels)

    def _texts(self, predictions: Tensor, lengths: Tensor | None) -> list[str]:
        """Return the greedy texts of (B, F, V+1) scores or (B, F) best symbols."""
        labels = (predictions.argmax(-1) if predictions.ndim == 3 else predictions).cpu().numpy()
        counts = [labels.shape[1]] * len(labels) if lengths is None else lengths.tolist()
        return [self.decoding.text(row[:count]) for row, count in zip(labels, counts, strict=True)]

    # --- network ----------------------------------------------------------------------------------------------------

    @property
    def input_types(self) -> dict[str, Any]:
        """Samples with their lengths, or features with theirs."""
        return {
            "input_signal": NeuralType("B T", AudioSignal(freq=self.sample_rate), optional=True),
            "input_signal_length": NeuralType("B", LengthsType(), optional=True),
            "processed_signal": NeuralType("B D T", SpectrogramType(), optional=True),
            "processed_signal_length": NeuralType("B", LengthsType(), optional=True),
        }

    @typecheck()
    def forward(
        self,
        input_signal: Tensor | None = None,
        input_signal_length: Tensor | None = None,
        processed_signal: Tensor | None = None,
        processed_signal_length: Tensor | None = None,
    ) -> Scored:
        """Score a batch; in training mode features are augmented.

        Raises:
            ConfigError: both samples and features are given, or neither.
        """
        has_samples = input_signal is not None and input_signal_length is not None
        has_features = processed_signal is not None and processed_signal_length is not None
        if has_samples == has_features:
            raise ConfigError(
                "input_signal and processed_signal are mutually exclusive: give one of them, with its length"
            )
        if not has_features:
            processed_signal, processed_signal_length = self.preprocessor(
                input_signal=input_signal, length=input_signal_length
            )
        if self.training and self.spec_augmentation is not None:
            processed_signal = self.spec_augmentation(input_spec=processed_signal, length=processed_signal_length)
        encoded, lengths = self.encoder(audio_signal=processed_signal, length=processed_signal_length)
        if not getattr(self.encoder, "conv_mask", True):
            lengths = self.encoder.output_lengths(processed_signal_length)
        log_probs = self.decoder(encoder_output=encoded)
        return Scored(log_probs, lengths, log_probs.argmax(dim=-1))

    def recogniser(self, *, keep_log_probs: bool = False) -> FrameRecogniser:
        """Return what transcribes with this model."""
        return FrameRecogniser(TorchScorer(self), self.decoding, keep=keep_log_probs)

    # --- training ---------------------------------------------------------------------------------------------------

    def make_loader(self, section: DictConfig, *, key: str, shuffle: bool) -> Any:
        """Make the loader of a data section; None where it names no recordings."""
        from seaspeak.data.speech import build_loader

        if section.get("manifest_filepath") is None and section.get("tarred_audio_filepaths") is None:
            return None
        labels = section.get("labels") or self.cfg.get("labels") or self.cfg.decoder.get("vocabulary")
        if not labels:
            raise ConfigError(f"{key}.labels is missing, and the model knows no characters", fix=f"set {key}.labels")
        return build_loader(section, labels=[str(label) for label in labels], shuffle=shuffle, section=key)

    def training_step(self, batch: Sequence[Tensor], batch_idx: int = 0) -> dict[str, Any]:
        """Return the loss of (signal, signal length, labels, label count) and log it."""
        loss, scored, labels, counts = self._loss_of(batch)
        self.log("train_loss", loss.detach())
        if self._optimizer is not None:
            self.log("learning_rate", self._optimizer.param_groups[0]["lr"])
        steps = getattr(self.trainer, "log_every_n_steps", 1) or 1
        if self.trainer is not None:
            self.log("global_step", float(self.trainer.global_step))
        if (batch_idx + 1) % steps == 0:
            rate, _, _ = self.wer(scored.greedy_predictions, labels, counts, scored.encoded_lengths)
            self.log("training_batch_wer", rate)
        return {"loss": loss}

    def _loss_of(self, batch: Sequence[Tensor]) -> tuple[Tensor, Scored, Tensor, Tensor]:
        signal, signal_lengths, labels, counts = batch[:4]
        scored = self(input_signal=signal, input_signal_length=signal_lengths)
        loss = self.loss.loss(scored.outputs, labels, scored.encoded_lengths, counts)
        return loss, scored, labels, counts

    def validation_step(
        self, batch: Sequence[Tensor], batch_idx: int = 0, dataloader_idx: int = 0
    ) -> dict[str, Tensor]:
        """Return loss and error counts of one batch."""
        return self._evaluate(batch, "val")

    def test_step(self, batch: Sequence[Tensor], batch_idx: int = 0, dataloader_idx: int = 0) -> dict[str, Tensor]:
        """Return loss and error counts of one batch."""
        return self._evaluate(batch, "test")

    def _evaluate(self, batch: Sequence[Tensor], kind: str) -> dict[str, Tensor]:
        loss, scored, labels, counts = self._loss_of(batch)
        rate, errors, words = self.wer(scored.greedy_predictions, labels, counts, scored.encoded_lengths)
        numbers = {"wer": rate, "wer_num": errors, "wer_denom": words}
        return {f"{kind}_loss": loss.detach()} | {
            f"{kind}_{name}": torch.tensor(float(value), device=loss.device) for name, value in numbers.items()
        }

    def multi_validation_epoch_end(self, outputs: list[Any], dataloader_idx: int = 0) -> dict[str, Any]:
        """Return the mean loss, and the error rate over all words of the set."""
        return _epoch(outputs, "val")

    def multi_test_epoch_end(self, outputs: list[Any], dataloader_idx: int = 0) -> dict[str, Any]:
        """Return the mean loss, and the error rate over all words of the set."""
        return _epoch(outputs, "test")

    def on_after_backward(self) -> None:
        """Zero the gradients of a batch that has one which is no number, where ``skip_nan_grad`` asks for it."""
        hook = getattr(super(), "on_after_backward", None)
        if hook is not None:
            hook()
        if not self.cfg.get("skip_nan_grad", False):
            return
        gradients = [parameter.grad for parameter in self.parameters() if parameter.grad is not None]
        valid = torch.tensor(float(all(bool(torch.isfinite(grad).all()) for grad in gradients)), device=self.device)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(valid, op=torch.distributed.ReduceOp.MIN)
        if not valid:
            logger.warning("a gradient is infinite or no number: this batch does not count")
            self.zero_grad()


def _epoch(outputs: Sequence[Mapping[str, Tensor]], kind: str) -> dict[str, Any]:
    total = {
        name: torch.stack([output[f"{kind}_{name}"] for output in outputs]) for name in ("loss", "wer_num", "wer_denom")
    }
    log = {f"{kind}_loss": total["loss"].mean(), f"{kind}_wer": total["wer_num"].sum() / total["wer_denom"].sum()}
    return {"val_loss": log[f"{kind}_loss"], "log": log} if kind == "val" else {"log": log}
