"""Reading CTC outputs: from log-probabilities of symbols a frame to text with times and confidences.

Works on numpy arrays and imports no torch, so that it serves a network in any engine. The blank is the last symbol.

Shape letters in this file:
    T  frames    V  symbols, with the blank
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from seaspeak.core.errors import ConfigError, nearest
from seaspeak.text.confidence import AGGREGATIONS, ConfidenceMethod
from seaspeak.text.timestamps import nemo_timestamps
from seaspeak.text.transcript import SENTENCE_ENDS, Token, Transcript, Word, group_words

logger = logging.getLogger(__name__)

GREEDY = ("greedy", "greedy_batch")
SEARCHES = ("beam", "beam_batch", "pyctcdecode", "flashlight", "wfst")


class Runs(NamedTuple):
    """The symbols that remain when repeats are merged and blanks dropped."""

    symbols: np.ndarray  # (N,) int64
    starts: np.ndarray  # (N,) int64, first frame of each
    ends: np.ndarray  # (N,) int64, the frame after its last


def collapse(labels: np.ndarray, blank: int) -> Runs:
    """Merge repeated symbols and drop blanks.

    Args:
        labels: (T,) integers, the best symbol of each frame.
        blank: the symbol that stands for nothing.

    >>> collapse(np.array([3, 0, 0, 3, 0, 1]), blank=3).symbols
    array([0, 0, 1])
    """
    labels = np.asarray(labels, dtype=np.int64)
    if labels.size == 0:
        return Runs(labels, labels, labels)
    starts = np.flatnonzero(np.concatenate(([True], labels[1:] != labels[:-1])))
    ends = np.append(starts[1:], labels.size)
    kept = labels[starts] != blank
    return Runs(labels[starts][kept], starts[kept], ends[kept])


@dataclasses.dataclass(frozen=True)
class Frames:
    """What greedy decoding needs of each frame: little, so that hours fit in memory.

    Attributes:
        labels: (T,) int32, the most probable symbol.
        scores: (T,) float32, its natural log-probability.
        confidence: (T,) float32 in [0, 1].
        log_probs: (T, V) float32, kept only where the caller wants them.
    """

    labels: np.ndarray
    scores: np.ndarray
    confidence: np.ndarray
    log_probs: np.ndarray | None = None

    @classmethod
    def of(cls, log_probs: np.ndarray, method: ConfidenceMethod, *, keep: bool = False) -> Frames:
        """Reduce (T, V) log-probabilities; ``keep`` holds on to the matrix as well."""
        labels = log_probs.argmax(-1).astype(np.int32)
        scores = np.take_along_axis(log_probs, labels[:, None].astype(np.int64), axis=-1)[:, 0]
        return cls(labels, scores.astype(np.float32), method(log_probs), log_probs if keep else None)

    @classmethod
    def joined(cls, parts: Sequence[Frames]) -> Frames:
        """Return the frames of consecutive parts as one."""
        matrices = [part.log_probs for part in parts if part.log_probs is not None]
        return cls(
            np.concatenate([part.labels for part in parts]) if parts else np.zeros(0, np.int32),
            np.concatenate([part.scores for part in parts]) if parts else np.zeros(0, np.float32),
            np.concatenate([part.confidence for part in parts]) if parts else np.zeros(0, np.float32),
            np.concatenate(matrices) if matrices else None,
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, frames: slice) -> Frames:
        matrix = None if self.log_probs is None else self.log_probs[frames]
        return Frames(self.labels[frames], self.scores[frames], self.confidence[frames], matrix)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CTCOptions:
    """How to decode; the keys of NeMo's ``decoding`` section that greedy decoding has (spec asr §10.3).

    Attributes:
        strategy: ``greedy`` or ``greedy_batch``, which mean the same here.
        word_seperator: the symbol between words (NeMo's spelling).
        segment_seperators: characters that end a segment.
        segment_gap_threshold: frames without a word that end a segment; None: one second.
        ctc_timestamp_type: which of NeMo's time stamps to make: ``char``, ``word``, ``segment`` or ``all``.
        preserve_alignments: keep the log-probabilities and the best symbols in ``Transcript.alignments``.
        preserve_frame_confidence: keep ``Transcript.frame_confidence``.
        confidence: how sure one frame is.
        aggregation: how frames make a token's confidence, and tokens a word's.
        exclude_blank: only frames that are not blank count.
        by_frames: a word's confidence comes from its frames, not from its tokens.
    """

    strategy: str = "greedy"
    word_seperator: str = " "
    segment_seperators: tuple[str, ...] = tuple(sorted(SENTENCE_ENDS))
    segment_gap_threshold: int | None = None
    ctc_timestamp_type: str = "all"
    preserve_alignments: bool = False
    preserve_frame_confidence: bool = False
    confidence: ConfidenceMethod = dataclasses.field(default_factory=ConfidenceMethod)
    aggregation: str = "mean"
    exclude_blank: bool = True
    by_frames: bool = True

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | None) -> CTCOptions:
        """Read a ``decoding`` section.

        A section that asks for no confidence (NeMo's default) leaves ours: a word's mean over its frames of the
        highest probability.

        Raises:
            ConfigError: unknown strategy, confidence method or aggregation.
        """
        config = dict(config or {})
        strategy = str(config.get("strategy") or "greedy")
        if strategy in SEARCHES:
            logger.warning(
                "decoding.strategy %r needs a beam search, which is not here yet; decoding greedily", strategy
            )
            strategy = "greedy"
        elif strategy not in GREEDY:
            known = (*GREEDY, *SEARCHES)
            raise ConfigError(
                f"decoding.strategy {strategy!r} is unknown", expected=", ".join(known), fix=nearest(strategy, known)
            )
        options: dict[str, Any] = {"strategy": strategy}
        for key in ("word_seperator", "segment_gap_threshold", "ctc_timestamp_type"):
            if config.get(key) is not None:
                options[key] = config[key]
        if config.get("segment_seperators") is not None:
            options["segment_seperators"] = tuple(config["segment_seperators"])
        greedy = config.get("greedy") or {}
        options["preserve_alignments"] = bool(config.get("preserve_alignments") or greedy.get("preserve_alignments"))
        return cls(**options, **_confidence_options(config.get("confidence_cfg") or {}, greedy))


def _confidence_options(config: Mapping[str, Any], greedy: Mapping[str, Any]) -> dict[str, Any]:
    """Read ``decoding.confidence_cfg`` (spec asr §10.6)."""
    levels = [bool(config.get(f"preserve_{level}_confidence")) for level in ("frame", "token", "word")]
    wanted = any(levels) or bool(greedy.get("preserve_frame_confidence"))
    if not wanted:
        return {}
    aggregation = str(config.get("aggregation") or "min")
    if aggregation not in AGGREGATIONS:
        raise ConfigError(
            f"confidence_cfg.aggregation {aggregation!r} is unknown",
            expected=", ".join(AGGREGATIONS),
            fix=nearest(aggregation, AGGREGATIONS),
        )
    return {
        "preserve_frame_confidence": True,
        "confidence": ConfidenceMethod.from_config(
            config.get("method_cfg") or greedy.get("confidence_method_cfg") or {"name": "entropy"}
        ),
        "aggregation": aggregation,
        "exclude_blank": bool(config.get("exclude_blank", True)),
        "by_frames": False,
    }


class CTCDecoder:
    """Greedy decoding of one alphabet.

    Args:
        vocabulary: the symbols, without the blank; the blank's index is their number.
        options: see ``CTCOptions``.
        frame_seconds: seconds that one frame stands for.
    """

    def __init__(
        self, vocabulary: Sequence[str], options: CTCOptions | None = None, *, frame_seconds: float = 0.02
    ) -> None:
        self.vocabulary = tuple(vocabulary)
        self.options = options or CTCOptions()
        self.frame_seconds = frame_seconds
        self.punctuation = frozenset(
            symbol for symbol in self.vocabulary if len(symbol) == 1 and unicodedata.category(symbol).startswith("P")
        )

    @property
    def blank(self) -> int:
        """Index of the blank."""
        return len(self.vocabulary)

    def text(self, labels: np.ndarray) -> str:
        """Return the text of (T,) best symbols."""
        return "".join(self.vocabulary[symbol] for symbol in collapse(labels, self.blank).symbols)

    def frames(self, log_probs: np.ndarray, *, keep: bool = False) -> Frames:
        """Reduce (T, V) natural log-probabilities to what decoding needs."""
        return Frames.of(log_probs, self.options.confidence, keep=keep or self.options.preserve_alignments)

    def decode(self, frames: Frames, *, duration: float | None = None) -> Transcript:
        """Return the transcript of one recording.

        Args:
            frames: of the whole recording.
            duration: seconds of it; no time lies beyond. None: as long as the frames.
        """
        runs = collapse(frames.labels, self.blank)
        duration = len(frames) * self.frame_seconds if duration is None else duration
        words = self._words(runs, frames, duration)
        spoken = frames.labels != self.blank
        gap = self.options.segment_gap_threshold
        keep = self.options
        return Transcript(
            text="".join(self.vocabulary[symbol] for symbol in runs.symbols),
            segments=group_words(
                words,
                pause=1.0 if gap is None else gap * self.frame_seconds,
                ends=self.options.segment_seperators,
                separator=self.options.word_seperator,
            ),
            duration=duration,
            score=float(frames.scores[spoken].sum(dtype=np.float64)),
            y_sequence=frames.log_probs,
            alignments=(frames.log_probs, frames.labels) if keep.preserve_alignments else None,
            length=len(frames),
            frame_confidence=frames.confidence.tolist() if keep.preserve_frame_confidence else None,
            frame_times=nemo_timestamps(
                [self.vocabulary[symbol] for symbol in runs.symbols],
                runs.starts.tolist(),
                spoken=np.flatnonzero(spoken).tolist(),
                punctuation=self.punctuation,
                separator=keep.word_seperator,
                segment_ends=keep.segment_seperators,
                segment_gap=gap,
                kind=keep.ctc_timestamp_type,
                frame_seconds=self.frame_seconds,
            ),
        )

    def tokens(self, frames: Frames, *, duration: float = float("inf")) -> list[Token]:
        """Return every symbol of the text with its frames, separators too."""
        runs = collapse(frames.labels, self.blank)
        return [
            self._token(self.vocabulary[symbol], runs, frames, i, duration) for i, symbol in enumerate(runs.symbols)
        ]

    def _words(self, runs: Runs, frames: Frames, duration: float) -> list[Word]:
        """Split the symbols at the separator; each word spans the frames of its symbols."""
        separator = self.options.word_seperator
        symbols = [self.vocabulary[symbol] for symbol in runs.symbols]
        cuts = [-1, *(place for place, symbol in enumerate(symbols) if symbol == separator), len(symbols)]
        spans = ((low + 1, high) for low, high in itertools.pairwise(cuts) if high > low + 1)
        return [self._word(symbols, runs, frames, low, high, duration) for low, high in spans]

    def _word(self, symbols: list[str], runs: Runs, frames: Frames, low: int, high: int, duration: float) -> Word:
        join = AGGREGATIONS[self.options.aggregation]
        tokens = [self._token(symbols[i], runs, frames, i, duration) for i in range(low, high)]
        if self.options.by_frames:
            own = [frames.confidence[runs.starts[i] : runs.ends[i]] for i in range(low, high)]
            confidence = float(join(np.concatenate(own)))
        else:
            confidence = float(join(np.array([token.confidence for token in tokens])))
        return Word("".join(symbols[low:high]), tokens[0].start, tokens[-1].end, confidence, tuple(tokens))

    def _token(self, symbol: str, runs: Runs, frames: Frames, i: int, duration: float) -> Token:
        start, end = int(runs.starts[i]), int(runs.ends[i])
        last = end
        if not self.options.exclude_blank:  # NeMo: the blanks after a token count as its own
            last = int(runs.starts[i + 1]) if i + 1 < len(runs.starts) else len(frames)
        confidence = float(AGGREGATIONS[self.options.aggregation](frames.confidence[start:last]))
        seconds = self.frame_seconds
        return Token(symbol, min(start * seconds, duration), min(end * seconds, duration), confidence)
