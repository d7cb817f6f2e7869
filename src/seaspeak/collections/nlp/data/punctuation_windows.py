"""Windows over long texts for inference, and how their overlapping scores become one label a word (spec nlp §3.9)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seaspeak.core.errors import ConfigError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Window:
    """A stretch of the pieces of one text.

    Attributes:
        query: which text.
        start, end: of the pieces, ``[CLS]`` and ``[SEP]`` not counted.
        first_word: how many words begin before ``start``.
        is_first, is_last: whether it is at the text's edge, where no margin is left out.
    """

    query: int
    start: int
    end: int
    first_word: int
    is_first: bool
    is_last: bool


def window_size(longest: int, max_seq_length: int, step: int, margin: int) -> tuple[int, int]:
    """Return the pieces of a window, and how far windows are apart.

    Args:
        longest: pieces of the longest text.
        max_seq_length: the most pieces of a window, ``[CLS]`` and ``[SEP]`` included.
        step: how far apart at most.
        margin: pieces at each edge of a window whose scores do not count.

    Raises:
        ConfigError: no window has this size, or its margins leave nothing.

    >>> window_size(10, 8, 9, 1), window_size(10, 64, 8, 16)
    ((6, 4), (10, 1))
    """
    if max_seq_length < 3:
        raise ConfigError("max_seq_length must be at least 3", got=str(max_seq_length))
    if step <= 0:
        raise ConfigError("step must be positive", got=str(step))
    length = max_seq_length - 2
    if margin < 0 or (margin and margin >= length // 2):
        raise ConfigError(
            "margin must be less than half of max_seq_length - 2", got=f"{margin} of {length}", fix="margin=0"
        )
    if max_seq_length > longest + 2:
        return longest, 1
    if step > length - 2 * margin:
        logger.warning("step %d leaves gaps between windows; %d is used", step, length - 2 * margin)
    return length, min(step, length - 2 * margin)


def cut(starts: Sequence[NDArray[np.bool_]], length: int, step: int) -> Iterator[Window]:
    """Cut texts into windows.

    Args:
        starts: for each text, which of its pieces begin a word.
        length: pieces of a window.
        step: how far windows are apart.

    >>> [(w.start, w.end, w.first_word) for w in cut([np.ones(10, bool)], 6, 4)]
    [(0, 6, 0), (4, 10, 4)]
    """
    for query, first in enumerate(starts):
        before = np.concatenate([[0], np.cumsum(first)])
        places = range(0, max(len(first), length) - length + step, step)
        for start in places:
            end = min(start + length, len(first))
            yield Window(query, start, end, int(before[start]), start == 0, start == places[-1])


class Merger:
    """Put the scores of the windows of one text together: overlapping ones are multiplied, then the best label wins."""

    def __init__(self, margin: int) -> None:
        self.margin = margin
        self.labels: list[int] = []
        self._open: NDArray[np.float32] | None = None

    def add(self, window: Window, probabilities: NDArray[np.float32], starts: NDArray[np.bool_]) -> None:
        """Take the probabilities (pieces, labels) of a window, given which of its pieces begin a word."""
        left = 0 if window.is_first else self.margin
        right = len(starts) if window.is_last else len(starts) - self.margin
        scores = probabilities[left:right][starts[left:right]]
        first = window.first_word + int(starts[:left].sum())
        if self._open is None:
            self._open = scores
            return
        self._finish(first - len(self.labels))
        overlap = min(len(self._open), len(scores))
        self._open[:overlap] *= scores[:overlap]
        self._open = np.concatenate([self._open, scores[overlap:]])

    def end(self) -> list[int]:
        """Return the label of every word."""
        if self._open is not None:
            self._finish(len(self._open))
        return self.labels

    def _finish(self, count: int) -> None:
        assert self._open is not None
        self.labels += self._open[:count].argmax(-1).tolist()
        self._open = self._open[count:]
