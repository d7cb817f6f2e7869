"""Cutting long recordings into pieces: overlapping windows of frames, or pieces that end where it is quiet.

Imports no torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from seaspeak.core.errors import ConfigError

_STEP_SECONDS = 0.01
_SMOOTHING_SECONDS = 0.2


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """Frames to compute, ``start`` to ``stop``, and those of them to keep, ``first`` to ``last``; half open."""

    start: int
    stop: int
    first: int
    last: int


def overlapping(num_frames: int, *, length: int, left: int, right: int, multiple: int = 1) -> list[Window]:
    """Return windows that keep every frame exactly once, each with enough context on both sides.

    Args:
        num_frames: of the recording.
        length: the most frames in a window.
        left: frames of context that a kept frame needs before it; at the start of the recording there are fewer.
        right: the same after it.
        multiple: windows begin, and keep from, a multiple of this.

    Raises:
        ConfigError: the windows are too short to keep anything.

    >>> overlapping(10, length=6, left=1, right=1)
    [Window(start=0, stop=6, first=0, last=5), Window(start=4, stop=10, first=5, last=10)]
    """
    left, right = (-(-side // multiple) * multiple for side in (left, right))
    windows: list[Window] = []
    first = 0
    while first < num_frames or not windows:
        start = max(0, first - left)
        stop = min(num_frames, start + length)
        last = num_frames if stop == num_frames else (stop - right) // multiple * multiple
        if last <= first < num_frames:
            raise ConfigError(
                "windows are shorter than the context that they need",
                got=f"{length} frames",
                expected=f"more than {left + right + multiple}",
            )
        windows.append(Window(start, stop, first, last))
        first = last
        if not num_frames:
            break
    return windows


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """Samples of one piece, and where it begins, in samples."""

    start: int
    samples: NDArray[np.float32]


def quiet_pieces(
    blocks: Iterable[NDArray[np.float32]], *, sample_rate: int, longest: float, shortest: float | None = None
) -> Iterator[Piece]:
    """Yield consecutive pieces of a recording, each cut from the next where it is quietest.

    Args:
        blocks: the samples, in order; memory stays bounded by them and one piece.
        sample_rate: of the samples, in Hz.
        longest: seconds; no piece is longer.
        shortest: seconds before which no cut is made; half of ``longest`` by default. The last piece may be shorter.
    """
    most = int(longest * sample_rate)
    least = int((longest / 2 if shortest is None else shortest) * sample_rate)
    waiting = np.zeros(0, dtype=np.float32)
    start = 0
    for block in blocks:
        waiting = np.concatenate([waiting, block])
        while len(waiting) > most:
            cut = least + quietest(waiting[least:most], sample_rate)
            yield Piece(start, waiting[:cut])
            start, waiting = start + cut, waiting[cut:]
    if len(waiting):
        yield Piece(start, waiting)


def quietest(samples: NDArray[np.float32], sample_rate: int) -> int:
    """Return the sample, above 0, in the middle of the quietest fifth of a second; the last one of several."""
    step = max(1, int(_STEP_SECONDS * sample_rate))
    count = len(samples) // step
    width = min(count, round(_SMOOTHING_SECONDS / _STEP_SECONDS))
    if width < 1:
        return max(1, len(samples) // 2)
    energy = np.square(samples[: count * step].reshape(count, step), dtype=np.float64).mean(1)
    total = np.concatenate([[0.0], np.cumsum(energy)])
    smooth = total[width:] - total[:-width]
    place = len(smooth) - 1 - int(np.argmin(smooth[::-1]))
    return max(1, (place + width // 2) * step)
