"""What was said, and when: the result of every recogniser.

    Transcript ── segments ── words ── tokens

Times are seconds from the start of the recording, half open; confidences lie in [0, 1]. Imports no torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SENTENCE_ENDS = frozenset(".!?…。？！")


@dataclasses.dataclass(frozen=True, slots=True)
class Token:
    """The smallest piece that a recogniser writes: a letter, or a piece of a word."""

    text: str
    start: float
    end: float
    confidence: float = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class Word:
    """One word."""

    text: str
    start: float
    end: float
    confidence: float = 1.0
    tokens: tuple[Token, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Segment:
    """Words that belong together: what lies between two pauses or ends of sentences."""

    text: str
    start: float
    end: float
    words: tuple[Word, ...] = ()

    @property
    def confidence(self) -> float:
        """Mean over the words; 1.0 where there are none."""
        return sum(word.confidence for word in self.words) / len(self.words) if self.words else 1.0


@dataclasses.dataclass(frozen=True)
class Transcript:
    """The text of one recording with its times; also answers to the attributes of NeMo's ``Hypothesis``.

    Attributes:
        text: what was said.
        segments: the same with times; empty where the recogniser gives none.
        duration: seconds of the recording.
        score: natural logarithm of the path's probability (CTC: over the frames that are not blank).
        y_sequence: CTC: log-probabilities (frames, symbols + blank), where they were asked for.
        alignments: CTC: the same matrix and the best symbol of each frame, where they were asked for.
        length: frames of the recogniser's output.
        frame_confidence: one confidence a frame, where asked for.
        frame_times: NeMo's time stamps, where the recogniser has frames; see ``timestamp``.
    """

    text: str
    segments: tuple[Segment, ...] = ()
    duration: float = 0.0
    score: float = 0.0
    y_sequence: Any = dataclasses.field(default=None, repr=False, compare=False)
    alignments: Any = dataclasses.field(default=None, repr=False, compare=False)
    length: int = 0
    frame_confidence: Any = dataclasses.field(default=None, repr=False, compare=False)
    frame_times: Mapping[str, list[Any]] | None = dataclasses.field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return self.text

    @property
    def words(self) -> tuple[Word, ...]:
        """The words of all segments."""
        return tuple(word for segment in self.segments for word in segment.words)

    @property
    def token_confidence(self) -> list[float]:
        """One confidence a token."""
        return [token.confidence for word in self.words for token in word.tokens]

    @property
    def word_confidence(self) -> list[float]:
        """One confidence a word."""
        return [word.confidence for word in self.words]

    @property
    def timestamp(self) -> dict[str, list[Any]]:
        """NeMo's lists ``char``, ``word``, ``segment`` of ``{word, start, end, ...}``, seconds.

        Recognisers with frames add ``start_offset`` and ``end_offset`` in frames and ``timestep``, and follow NeMo's
        rule, by which a token begins where the one before was recognised; ``words`` gives the frames of the word
        itself.
        """
        if self.frame_times is not None:
            return {kind: list(entries) for kind, entries in self.frame_times.items()}
        tokens = (token for word in self.words for token in word.tokens)
        return {
            "char": [{"char": token.text, "start": token.start, "end": token.end} for token in tokens],
            "word": [{"word": word.text, "start": word.start, "end": word.end} for word in self.words],
            "segment": [{"segment": part.text, "start": part.start, "end": part.end} for part in self.segments],
        }

    def shifted(self, seconds: float) -> Transcript:
        """Return the transcript of a recording in which this one begins ``seconds`` after the start."""
        return dataclasses.replace(
            self, segments=tuple(_shift(segment, seconds) for segment in self.segments), frame_times=None
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain containers, for JSON: text, duration, segments with words."""
        return {
            "text": self.text,
            "duration": round(self.duration, 3),
            "segments": [
                {
                    "text": segment.text,
                    "start": round(segment.start, 3),
                    "end": round(segment.end, 3),
                    "words": [
                        {
                            "word": word.text,
                            "start": round(word.start, 3),
                            "end": round(word.end, 3),
                            "confidence": round(word.confidence, 4),
                        }
                        for word in segment.words
                    ],
                }
                for segment in self.segments
            ],
        }


def _shift(segment: Segment, seconds: float) -> Segment:
    def moved(piece: Any, **changes: Any) -> Any:
        return dataclasses.replace(piece, start=piece.start + seconds, end=piece.end + seconds, **changes)

    words = (moved(word, tokens=tuple(moved(token) for token in word.tokens)) for word in segment.words)
    shifted: Segment = moved(segment, words=tuple(words))
    return shifted


def join(parts: Sequence[tuple[float, Transcript]], *, duration: float) -> Transcript:
    """Return one transcript of a recording that was recognised piece by piece.

    Args:
        parts: where each piece begins in the recording, in seconds, and its transcript; in order.
        duration: seconds of the whole recording.
    """
    moved = [part.shifted(start) for start, part in parts]
    return Transcript(
        text=" ".join(part.text for part in moved if part.text),
        segments=tuple(segment for part in moved for segment in part.segments),
        duration=duration,
        score=sum(part.score for part in moved),
        length=sum(part.length for part in moved),
    )


def group_words(
    words: Iterable[Word],
    *,
    pause: float | None = 1.0,
    ends: Iterable[str] = SENTENCE_ENDS,
    separator: str = " ",
) -> tuple[Segment, ...]:
    """Gather words into segments, which end at the end of a sentence or before a pause.

    Args:
        words: in order.
        pause: seconds without a word that end a segment; None for no such rule.
        ends: characters that end a sentence.
        separator: put between the words of a segment's text.
    """
    stops = frozenset(ends)
    groups: list[list[Word]] = []
    for word in words:
        last = groups[-1][-1] if groups else None
        paused = last is not None and pause is not None and word.start - last.end >= pause
        if last is None or paused or last.text[-1:] in stops:
            groups.append([])
        groups[-1].append(word)
    return tuple(
        Segment(separator.join(word.text for word in group), group[0].start, group[-1].end, tuple(group))
        for group in groups
    )
