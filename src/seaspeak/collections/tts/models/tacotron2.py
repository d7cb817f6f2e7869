"""Tacotron 2: text to mel spectrograms, by attention, one frame after the other."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seaspeak.collections.tts.losses.tacotron2 import Tacotron2Loss, guided_attention_loss
from seaspeak.collections.tts.models.base import SpectrogramGenerator, SpokenWord, Utterance
from seaspeak.collections.tts.modules.tacotron2 import Alignment, Gate, Lengths, Mel
from seaspeak.collections.tts.pictures import log_picture
from seaspeak.core.config import Configuration, to_config
from seaspeak.core.errors import ConfigError
from seaspeak.core.module import evaluating
from seaspeak.core.types import (
    AudioSignal,
    EmbeddedTextType,
    LengthsType,
    LogitsType,
    MelSpectrogramType,
    NeuralType,
    SequenceToSequenceAlignmentType,
)
from seaspeak.core.typing import typecheck
from seaspeak.text.cleaners import expand_abbreviations, latin, speak_numbers
from seaspeak.text.parsers import make_parser

logger = logging.getLogger(__name__)

_SECTIONS = ("validation_ds", "test_ds", "train_ds")  # where NeMo 1.0 looks for the settings of its parser


class Followed(NamedTuple):
    """What the model gives in training."""

    spec_pred_dec: Mel
    spec_pred_postnet: Mel
    gate_pred: Gate
    spec_target: Mel
    spec_target_len: Lengths
    alignments: Alignment


class Spoken(NamedTuple):
    """What the model gives otherwise."""

    spec_pred_dec: Mel
    spec_pred_postnet: Mel
    gate_pred: Gate
    alignments: Alignment
    pred_length: Lengths


class Tacotron2Model(SpectrogramGenerator):
    """Characters of ``labels``, with their begin, end and padding behind them, to mel spectrograms.

    Sections and keys of the configuration: ``labels``, ``preprocessor``, ``encoder``, ``decoder``, ``postnet``;
    ``train_ds``, ``validation_ds``, ``optim``; ours: ``guided_attention``, the weight of a loss that draws the
    attention to the diagonal, which lets small data sets learn it.

    Shapes:
        tokens, token_len                 (B, N), (B,)  int64
        audio, audio_len                  (B, S), (B,)  the recordings, in training
        spec_pred_dec, spec_pred_postnet  (B, D, T)     before and behind the postnet
        gate_pred                         (B, T)        logits of "this was the last frame"
        alignments                        (B, T, N)
        pred_length                       (B,)          frames that count, not in training

    Raises:
        ConfigError: a section is missing.
    """

    def __init__(self, cfg: Configuration, trainer: Any = None) -> None:
        super().__init__(cfg=cfg, trainer=trainer)
        sections = ("labels", "preprocessor", "encoder", "decoder", "postnet")
        if missing := [key for key in sections if self.cfg.get(key) is None]:
            keys = ", ".join(map(str, self.cfg))
            raise ConfigError(f"the model's configuration lacks {', '.join(missing)}", got=keys)
        self.audio_to_melspec_precessor = self.build_front_end()
        self.text_embedding = nn.Embedding(self.pad_id + 1, self.cfg.encoder.encoder_embedding_dim)
        bound = (3 / self.text_embedding.embedding_dim) ** 0.5
        nn.init.uniform_(self.text_embedding.weight, -bound, bound)
        self.encoder = self.build(self.cfg.encoder)
        self.decoder = self.build(self.cfg.decoder)
        self.postnet = self.build(self.cfg.postnet)
        self.loss = Tacotron2Loss()
        options = self._parser_options()
        self._cleans = bool(options.get("normalize", False))
        self.parser = make_parser(self.labels, str(options.get("parser") or "en"))

    # --- text -------------------------------------------------------------------------------------------------------

    @property
    def labels(self) -> list[str]:
        """The characters that are embedded; behind them come the begin, the end, and the padding of texts."""
        return [str(label) for label in self.cfg.labels]

    @property
    def bos_id(self) -> int:
        """The number of the token that begins a text."""
        return len(self.cfg.labels)

    @property
    def eos_id(self) -> int:
        """The number of the token that ends a text."""
        return len(self.cfg.labels) + 1

    @property
    def pad_id(self) -> int:
        """The number of what fills up the shorter texts of a batch."""
        return len(self.cfg.labels) + 2

    @property
    def pad_value(self) -> float:
        """What fills up the shorter spectrograms of a batch."""
        return float(self.cfg.preprocessor.get("pad_value", 0.0))

    def _parser_options(self) -> Mapping[str, Any]:
        sections = (self.cfg.get(key) for key in _SECTIONS)
        found: Mapping[str, Any] = next((section for section in sections if section is not None), {})
        return found.get("dataset") or found

    def _spelt(self, text: str, normalize: bool) -> str:
        """A text as the labels can spell it: as in training where the configuration cleans texts, else by words."""
        if not normalize:
            return text
        if self._cleans:
            return self.parser.normalize(text) or ""
        return speak_numbers(expand_abbreviations(latin(text)))

    def _numbers(self, spelt: str) -> list[int]:
        if left_out := Counter(self.parser.unspellable(spelt)):
            named = ", ".join(f"{symbol!r} ({count})" for symbol, count in left_out.items())
            logger.warning("the model has no token for these, so they are not spoken: %s", named)
        return [self.bos_id, *self.parser.tokenize(spelt), self.eos_id]

    def parse(self, text: str, normalize: bool = True) -> Tensor:
        """Return the tokens (1, N) of a text.

        Args:
            text: as it is written; what has no token is named in a warning and left out.
            normalize: speak numbers and abbreviations out, and, where the model learnt it so, put all in lower case.
        """
        return torch.tensor([self._numbers(self._spelt(text, normalize))], device=self.device)

    # --- network ----------------------------------------------------------------------------------------------------

    @property
    def input_types(self) -> dict[str, NeuralType]:
        """Tokens, and in training the recordings."""
        return {
            "tokens": NeuralType("B T", EmbeddedTextType()),
            "token_len": NeuralType("B", LengthsType()),
            "audio": NeuralType("B T", AudioSignal(freq=self.mel_recipe.sample_rate), optional=True),
            "audio_len": NeuralType("B", LengthsType(), optional=True),
        }

    @property
    def output_types(self) -> dict[str, NeuralType]:
        """Spectrograms, gates and attention, beside the target in training and the lengths otherwise."""
        spec, length = NeuralType("B D T", MelSpectrogramType()), NeuralType("B", LengthsType())
        alignments = {"alignments": NeuralType("B T T", SequenceToSequenceAlignmentType())}
        common = {"spec_pred_dec": spec, "spec_pred_postnet": spec, "gate_pred": NeuralType("B T", LogitsType())}
        if self.training:
            return {**common, "spec_target": spec, "spec_target_len": length, **alignments}
        return {**common, **alignments, "pred_length": length}

    @typecheck()
    def forward(
        self, tokens: Tensor, token_len: Tensor, audio: Tensor | None = None, audio_len: Tensor | None = None
    ) -> Followed | Spoken:
        """Follow recordings in training; speak freely otherwise.

        Raises:
            ConfigError: in training without recordings.
        """
        if not self.training:
            return self._spoken(self._encoded(tokens, token_len), token_len)
        if audio is None or audio_len is None:
            raise ConfigError(
                "the model is in training and needs audio and audio_len", fix="model.eval() speaks freely"
            )
        target, target_len = self.audio_to_melspec_precessor(audio, audio_len)
        frames, gates, alignments = self.decoder.follow(self._encoded(tokens, token_len), token_len, target)
        return Followed(frames, self.postnet(mel_spec=frames), gates, target, target_len, alignments)

    def _encoded(self, tokens: Tensor, token_len: Tensor) -> Tensor:
        embedded = self.text_embedding(tokens).transpose(1, 2)
        encoded: Tensor = self.encoder(token_embedding=embedded, token_len=token_len)
        return encoded

    def _spoken(self, encoded: Tensor, token_len: Tensor, max_steps: int | None = None) -> Spoken:
        frames, gates, alignments, lengths = self.decoder.infer(encoded, token_len, max_steps)
        return Spoken(frames, self.postnet(mel_spec=frames), gates, alignments, lengths)

    @typecheck(
        input_types={"tokens": NeuralType("B T", EmbeddedTextType())},
        output_types={"spec": NeuralType("B D T", MelSpectrogramType())},
    )
    def generate_spectrogram(self, tokens: Tensor, **kwargs: Any) -> Tensor:
        """Return spectrograms (B, D, T) of tokens (B, N).

        Frames behind the end of the shorter ones are ``pad_value``. The prenet drops units at random: a seed
        (``torch.manual_seed``) gives the same frames again.

        Args:
            tokens: as ``parse`` gives them; shorter texts are filled up with ``pad_id``.
            **kwargs: taken for the sake of other generators.
        """
        spoken = self._speak(tokens)
        if len(tokens) == 1:
            return spoken.spec_pred_postnet
        frames = torch.arange(spoken.spec_pred_postnet.shape[2], device=tokens.device)
        over = frames >= spoken.pred_length[:, None]
        return spoken.spec_pred_postnet.masked_fill(over[:, None], self.pad_value)

    @torch.no_grad()
    def _speak(self, tokens: Tensor) -> Spoken:
        with evaluating(self):
            lengths = (tokens != self.pad_id).sum(1)
            return self._spoken(self._encoded(tokens, lengths), lengths)

    def synthesize(self, text: str, pace: float = 1.0, **kwargs: Any) -> Utterance:
        """Return the spectrogram of a text, and the frames of each word as it is spoken, from the attention.

        Args:
            text: a sentence or two.
            pace: 2 for twice as fast, by stretching the spectrogram.
            **kwargs: ``normalize``, as for ``parse``.
        """
        spelt = self._spelt(text, kwargs.get("normalize", True))
        numbers = self._numbers(spelt)
        spoken = self._speak(torch.tensor([numbers], device=self.device))
        words = _words_in(self._spans(spelt), spoken.alignments[0])
        spec = spoken.spec_pred_postnet
        if pace == 1.0:
            return Utterance(spec[0], words)
        frames = max(1, round(spec.shape[2] / pace))
        stretched = F.interpolate(spec, size=frames, mode="linear", align_corners=False)[0]
        return Utterance(stretched, [SpokenWord(w.text, round(w.start / pace), round(w.end / pace)) for w in words])

    def _spans(self, spelt: str) -> list[SpokenWord]:
        """The words of a text with the tokens that spell them; words that have none are left out."""
        spans, place = [], 1
        for word in spelt.split(" "):
            count = len(self.parser.tokenize(word))
            if count:
                spans.append(SpokenWord(word, place, place + count))
            place += count + 1
        return spans

    # --- training ---------------------------------------------------------------------------------------------------

    def setup_training_data(self, train_data_config: Any) -> None:
        """Make the loader of a section like ``cfg.train_ds``."""
        self._train_dl = self._loader("train_ds", train_data_config, shuffle=True)

    def setup_validation_data(self, val_data_config: Any) -> None:
        """Make the loader of a section like ``cfg.validation_ds``."""
        self._validation_dl = self._loader("validation_ds", val_data_config, shuffle=False)

    def _loader(self, key: str, section: Any, *, shuffle: bool) -> Any:
        from seaspeak.data.speech import build_loader

        section = to_config(section)
        dataset, loading = section.get("dataset") or section, section.get("dataloader_params") or {}
        options = {**dataset, **loading, "bos_id": self.bos_id, "eos_id": self.eos_id, "pad_id": self.pad_id}
        options.setdefault("sample_rate", self.mel_recipe.sample_rate)
        options["normalize_transcripts"] = options.pop("normalize", True)
        options["trim_silence"] = options.pop("trim", False)
        options.pop("_target_", None)
        return build_loader(options, labels=self.labels, shuffle=shuffle, section=key)

    def training_step(self, batch: Sequence[Tensor], batch_idx: int = 0) -> dict[str, Tensor]:
        """Return the loss of (audio, audio length, tokens, token count) and log it."""
        audio, audio_len, tokens, token_len = _untyped(batch)
        followed = self(tokens=tokens, token_len=token_len, audio=audio, audio_len=audio_len)
        loss = self._loss_of(followed, followed.spec_target, followed.spec_target_len)
        if weight := float(self.cfg.get("guided_attention") or 0):
            guided = guided_attention_loss(followed.alignments, token_len, followed.spec_target_len)
            self.log("train_attention_loss", guided.detach())
            loss = loss + weight * guided
        self.log("train_loss", loss.detach())
        return {"loss": loss}

    def _loss_of(self, predicted: Followed | Spoken, target: Tensor, target_len: Tensor) -> Tensor:
        loss, _ = self.loss(
            spec_pred_dec=predicted.spec_pred_dec,
            spec_pred_postnet=predicted.spec_pred_postnet,
            gate_pred=predicted.gate_pred,
            spec_target=target,
            spec_target_len=target_len,
            pad_value=self.pad_value,
        )
        return loss

    def validation_step(
        self, batch: Sequence[Tensor], batch_idx: int = 0, dataloader_idx: int = 0
    ) -> dict[str, Tensor]:
        """Speak freely, for as long as the recordings last, and compare; the first item of the set is shown.

        ``val_attention`` is how sure the attention is of its token, 1 at best: it rises when alignment is learnt.
        """
        audio, audio_len, tokens, token_len = _untyped(batch)
        target, target_len = self.audio_to_melspec_precessor(audio, audio_len)
        spoken = self._spoken(self._encoded(tokens, token_len), token_len, max_steps=target.shape[2])
        if batch_idx == 0:
            log_picture(self, "val_alignment", spoken.alignments[0].T)
            log_picture(self, "val_mel_target", target[0])
            log_picture(self, "val_mel_predicted", spoken.spec_pred_postnet[0])
        loss = self._loss_of(spoken, target, target_len)
        return {"val_loss": loss.detach(), "val_attention": spoken.alignments.amax(2).mean()}


def _untyped(batch: Sequence[Tensor]) -> Iterator[Tensor]:
    """The tensors of a batch without the types that its data set gave them: it calls tokens labels."""
    return (tensor.detach() for tensor in batch[:4])


def _words_in(spans: list[SpokenWord], alignment_TN: Tensor) -> list[SpokenWord]:
    """The frames of words whose tokens are known, from the token that each frame attends to, which never goes back."""
    token_T = alignment_TN.argmax(1).cummax(0).values
    bounds = torch.tensor([[word.start, word.end] for word in spans], device=token_T.device).view(-1)
    frames = torch.searchsorted(token_T, bounds).view(-1, 2).tolist()
    return [SpokenWord(word.text, start, end) for word, (start, end) in zip(spans, frames, strict=True)]
