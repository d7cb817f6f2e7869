"""Whisper: an encoder-decoder that writes plain lower-case words, for clips of any length up to 30 s."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig
from torch import Tensor
from torch.nn import functional

from seaspeak.collections.asr.metrics.wer import count_edits
from seaspeak.collections.asr.models.asr_model import ASRModel
from seaspeak.collections.asr.modules.whisper_decoding import Written, greedy, spoken_part, token_times
from seaspeak.collections.asr.modules.whisper_layers import Memory
from seaspeak.core.config import Configuration, to_config
from seaspeak.core.errors import ConfigError
from seaspeak.core.types import AudioSignal, LabelsType, LengthsType, LogitsType, NeuralType
from seaspeak.core.typing import typecheck
from seaspeak.text.bytepair import SPECIAL, BytePairTokenizer
from seaspeak.text.transcript import Token, Transcript, Word, group_words

_END, _START, _PLAIN = SPECIAL
_SECONDS_PER_FRAME = 0.02
_IGNORED = -100  # a target that does not count


class WhisperModel(ASRModel):
    """Whisper, fine-tuned on clips as long as they are rather than padded to 30 s.

    Sections of the configuration: ``preprocessor``, ``encoder``, ``decoder``, ``tokenizer.model_path``, and, optional,
    ``spec_augment``, ``label_smoothing``, ``decoding`` (``alignment_heads``, ``pieces_per_frame``, ``quietest``),
    ``max_seconds``; see ``configs/whisper_tiny_en.yaml``.

    Source: arXiv:2212.04356.
    """

    def __init__(self, cfg: Configuration, trainer: Any = None) -> None:
        cfg = to_config(cfg)
        if missing := [key for key in ("preprocessor", "encoder", "decoder", "tokenizer") if cfg.get(key) is None]:
            raise ConfigError(f"the model's configuration lacks {', '.join(missing)}", got=", ".join(map(str, cfg)))
        # before the base class sets up data, which needs it
        cfg.tokenizer.model_path = self.register_artifact("tokenizer.model_path", cfg.tokenizer.model_path)
        self.tokenizer = BytePairTokenizer.from_bytes(self.artifact_bytes("tokenizer.model_path"))
        super().__init__(cfg=cfg, trainer=trainer)
        self.preprocessor = self.build(self.cfg.preprocessor)
        self.encoder = self.build(self.cfg.encoder)
        self.decoder = self.build(self.cfg.decoder, num_tokens=len(self.tokenizer))
        augment = self.cfg.get("spec_augment")
        self.spec_augmentation = self.build(augment) if augment else None
        self.prompt = [self.tokenizer.id_of(mark) for mark in (_START, _PLAIN)]
        self.end = self.tokenizer.id_of(_END)

    @property
    def sample_rate(self) -> int:
        """Of the samples that `recognise` takes, in Hz."""
        return int(self.cfg.sample_rate)

    @property
    def max_seconds(self) -> float:
        """The longest clip that `recognise` takes."""
        return float(self.cfg.get("max_seconds", 30.0))

    # --- training ---------------------------------------------------------------------------------------------------

    @typecheck()
    def forward(
        self,
        input_signal: Annotated[Tensor, NeuralType("B T", AudioSignal())],
        input_signal_length: Annotated[Tensor, NeuralType("B", LengthsType())],
        tokens: Annotated[Tensor, NeuralType("B T", LabelsType())],
    ) -> Annotated[Tensor, NeuralType("B T D", LogitsType()), "logits"]:
        """Score the piece that follows each of ``tokens``, which begin with the marks of `prompt`."""
        features, lengths = self.preprocessor(input_signal=input_signal, length=input_signal_length)
        return self.score(features, lengths, tokens)

    def score(self, features: Tensor, lengths: Tensor, tokens: Tensor) -> Tensor:
        """Return the logits (B, T, pieces) that `forward` gives, from features (B, bands, frames)."""
        encoded, encoded_lengths = self.encoder(audio_signal=features, length=lengths)
        logits: Tensor = self.decoder(tokens=tokens, encoded=encoded, encoded_lengths=encoded_lengths)
        return logits

    def loss_of(self, features: Tensor, lengths: Tensor, tokens: Tensor, token_lengths: Tensor) -> Tensor:
        """Return the mean cross entropy of texts, given features.

        Args:
            features: (B, bands, frames).
            lengths: (B,), frames.
            tokens: (B, T), pieces without marks; what lies beyond ``token_lengths`` does not count.
            token_lengths: (B,).
        """
        inputs, targets = self.teaching(tokens, token_lengths)
        logits = self.score(features, lengths, inputs)
        counts = targets != _IGNORED
        smoothing = float(self.cfg.get("label_smoothing", 0.0))
        return functional.cross_entropy(logits[counts], targets[counts], label_smoothing=smoothing)

    def teaching(self, tokens: Tensor, token_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the decoder reads, and what it shall write after each: both (B, T + 2), marks added."""
        batch, longest = tokens.shape
        place = torch.arange(longest + 1, device=tokens.device)
        padded = functional.pad(tokens, (0, 1), value=self.end)
        length = token_lengths[:, None]
        written = torch.where(place < length, padded, torch.where(place == length, self.end, _IGNORED))
        prompt = tokens.new_tensor(self.prompt).expand(batch, -1)
        inputs = torch.cat([prompt, torch.where(place < length, padded, self.end)[:, :-1]], dim=1)
        return inputs, functional.pad(written, (len(self.prompt) - 1, 0), value=_IGNORED)

    def make_loader(self, section: DictConfig, *, key: str, shuffle: bool) -> Any:
        """Make the loader of a data section; None where it names no recordings."""
        from seaspeak.data.speech import build_loader

        if section.get("manifest_filepath") is None:
            return None
        return build_loader(section, tokenize=self.tokenizer.ids, shuffle=shuffle, section=key)

    def training_step(self, batch: Sequence[Tensor], batch_idx: int = 0) -> dict[str, Tensor]:
        """Return the loss of (signal, signal length, pieces, number of pieces) and log it."""
        signal, signal_length, pieces, counts = batch[:4]
        features, lengths = self.preprocessor(input_signal=signal, length=signal_length)
        if self.spec_augmentation is not None:
            features = self.spec_augmentation(input_spec=features, length=lengths)
        loss = self.loss_of(features, lengths, pieces, counts)
        self.log("train_loss", loss.detach())
        return {"loss": loss}

    def validation_step(
        self, batch: Sequence[Tensor], batch_idx: int = 0, dataloader_idx: int = 0
    ) -> dict[str, Tensor]:
        """Return loss and error counts of one batch."""
        return self._evaluate(batch, "val")

    def test_step(self, batch: Sequence[Tensor], batch_idx: int = 0, dataloader_idx: int = 0) -> dict[str, Tensor]:
        """Return loss and error counts of one batch."""
        return self._evaluate(batch, "test")

    def _evaluate(self, batch: Sequence[Tensor], kind: str) -> dict[str, Tensor]:
        signal, signal_length, pieces, counts = batch[:4]
        features, lengths = self.preprocessor(input_signal=signal, length=signal_length)
        encoded, encoded_lengths = self.encoder(audio_signal=features, length=lengths)
        written, _ = self.write(encoded, encoded_lengths)
        texts = [self.tokenizer.text(row[:count]) for row, count in zip(pieces.tolist(), counts.tolist(), strict=True)]
        edits = [count_edits(self.tokenizer.text(w.ids), text) for w, text in zip(written, texts, strict=True)]
        numbers = {
            "loss": self.loss_of(features, lengths, pieces, counts).item(),
            "wer_num": sum(edit.errors for edit in edits),
            "wer_denom": sum(edit.units for edit in edits),
        }
        return {f"{kind}_{name}": torch.tensor(float(value)) for name, value in numbers.items()}

    def multi_validation_epoch_end(self, outputs: list[Any], dataloader_idx: int = 0) -> dict[str, Any]:
        """Return the mean loss, and the error rate over all words of the set."""
        return _epoch(outputs, "val")

    def multi_test_epoch_end(self, outputs: list[Any], dataloader_idx: int = 0) -> dict[str, Any]:
        """Return the mean loss, and the error rate over all words of the set."""
        return _epoch(outputs, "test")

    # --- recognition ------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def recognise(self, signals: Sequence[NDArray[np.float32]]) -> list[Transcript]:
        """Return the transcripts of clips, each at most `max_seconds` long; times count from a clip's start.

        Args:
            signals: (num_samples,) each, at `sample_rate`, in [-1, 1].
        """
        quietest, tenth = float(self._decoding("quietest", 1e-4)), self.sample_rate // 10
        spoken = [place for place, signal in enumerate(signals) if _levels(signal, tenth).max() >= quietest]
        found = {
            place: Transcript("", duration=len(signals[place]) / self.sample_rate) for place in range(len(signals))
        }
        if spoken:
            found |= zip(spoken, self._recognised([signals[place] for place in spoken]), strict=True)
        return [found[place] for place in range(len(signals))]

    def _recognised(self, signals: Sequence[NDArray[np.float32]]) -> Iterator[Transcript]:
        encoded, lengths = self.encode(signals)
        written, memories = self.write(encoded, lengths)
        times = self.times(written, memories, lengths)
        for signal, text, (begins, ends) in zip(signals, written, times, strict=True):
            loud = _loud(signal, round(_SECONDS_PER_FRAME * self.sample_rate))
            yield self._transcript(text, begins, ends, loud, len(signal) / self.sample_rate)

    def encode(self, signals: Sequence[NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
        """Return the encoder's output (B, D, frames) for clips, and how many frames of it count."""
        longest = max(map(len, signals))
        batch = np.zeros((len(signals), longest), np.float32)
        for row, signal in zip(batch, signals, strict=True):
            row[: len(signal)] = signal
        device = self.decoder.positions.device
        samples = torch.tensor([len(signal) for signal in signals], device=device)
        features, lengths = self.preprocessor(input_signal=torch.from_numpy(batch).to(device), length=samples)
        encoded, encoded_lengths = self.encoder(audio_signal=features, length=lengths)
        return encoded, encoded_lengths

    def write(self, encoded: Tensor, encoded_lengths: Tensor) -> tuple[list[Written], list[Memory]]:
        """Return what was written for each clip, greedily, and what the decoder attended to."""
        return greedy(
            self.decoder,
            encoded,
            encoded_lengths,
            prompt=self.prompt,
            end=self.end,
            forbidden=[mark for mark in range(self.tokenizer.num_special) if mark != self.end],
            pieces_per_frame=float(self._decoding("pieces_per_frame", 0.3)),
        )

    def times(
        self, written: Sequence[Written], memories: Sequence[Memory], encoded_lengths: Tensor
    ) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Return the frames at which each piece of each clip begins and ends."""
        heads = [(layer, head) for layer, head in self._decoding("alignment_heads", [[-1, 0]])]
        longest = max(len(text.ids) for text in written)
        tokens = [[*self.prompt, *text.ids, *[self.end] * (longest - len(text.ids))] for text in written]
        device = encoded_lengths.device
        attention = self.decoder.attention(torch.tensor(tokens, device=device), memories, heads).cpu().numpy()
        before = len(self.prompt) - 1  # a piece is written after the one before it has been read
        return [
            token_times(attention[row, :, before : before + len(text.ids) + 1, :frames])
            for row, (text, frames) in enumerate(zip(written, encoded_lengths.tolist(), strict=True))
        ]

    def _transcript(
        self,
        written: Written,
        begins: NDArray[np.int64],
        ends: NDArray[np.int64],
        loud: NDArray[np.bool_],
        duration: float,
    ) -> Transcript:
        pieces = [self.tokenizer.pieces[piece] for piece in written.ids]
        firsts = [place for place, piece in enumerate(pieces) if piece.startswith(" ") or not place]
        words = []
        for first, after in pairwise([*firsts, len(pieces)]):
            start, end = spoken_part(int(begins[first]), int(ends[after - 1]), loud)
            edges = np.clip([*begins[first:after], ends[after - 1]], start, end) * _SECONDS_PER_FRAME
            edges = np.minimum(edges, duration).tolist()
            tokens = [
                Token(pieces[place], edges[number], edges[number + 1], math.exp(written.log_probs[place]))
                for number, place in enumerate(range(first, after))
            ]
            words.append(_word(tokens))
        words = [word for word in words if word.text]
        return Transcript(
            text=" ".join(word.text for word in words),
            segments=group_words(words),
            duration=duration,
            score=sum(written.log_probs),
            length=len(loud),
        )

    def _decoding(self, key: str, default: Any) -> Any:
        section = self.cfg.get("decoding") or {}
        return section.get(key, default)


def _epoch(outputs: Sequence[Mapping[str, Tensor]], kind: str) -> dict[str, Any]:
    total = {
        name: sum(float(output[f"{kind}_{name}"]) for output in outputs) for name in ("loss", "wer_num", "wer_denom")
    }
    rate = total["wer_num"] / total["wer_denom"] if total["wer_denom"] else float("inf")
    return {"log": {f"{kind}_loss": torch.tensor(total["loss"] / len(outputs)), f"{kind}_wer": torch.tensor(rate)}}


def _word(tokens: Sequence[Token]) -> Word:
    text = "".join(token.text for token in tokens).strip()
    sure = sum(token.confidence for token in tokens) / len(tokens)
    return Word(text, tokens[0].start, tokens[-1].end, sure, tuple(tokens))


def _levels(signal: NDArray[np.float32], step: int) -> NDArray[np.float64]:
    """Return the root mean square of every ``step`` samples of a clip; the last ones may be fewer."""
    padded = np.pad(signal, (0, -len(signal) % step)).reshape(-1, step)
    return np.sqrt(np.square(padded, dtype=np.float64).mean(axis=1))


def _loud(signal: NDArray[np.float32], step: int) -> NDArray[np.bool_]:
    """Return which frames stand out: by two fifths of the way, in dB, from the quiet parts to the loud ones."""
    decibel = 20 * np.log10(np.maximum(_levels(signal, step), 1e-6))
    quiet, speech = np.percentile(decibel, [10, 95])
    loud: NDArray[np.bool_] = decibel >= quiet + 0.4 * (speech - quiet)
    return loud
