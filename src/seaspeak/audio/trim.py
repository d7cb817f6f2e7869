"""Cutting silence off the ends of a recording."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FLOOR = 1e-10  # mean squares under this are taken for this, so that a recording of zeros is not cut


def trim_silence(
    samples: NDArray[np.float32],
    *,
    top_db: float = 60.0,
    ref: float | None = None,
    frame_length: int = 2048,
    hop_length: int = 512,
) -> NDArray[np.float32]:
    """Return ``samples`` (num_samples,) from the first frame that is not silent to the last.

    Args:
        samples: one channel.
        top_db: a frame is silent if its mean square is this many dB under the reference.
        ref: the reference, as an amplitude; the loudest frame's by default.
        frame_length: in samples.
        hop_length: from frame to frame, in samples.

    Source: what NeMo takes from librosa, ``effects.trim``; frames are centred, beyond the ends lie zeros.
    """
    padded = np.pad(np.asarray(samples, dtype=np.float64), frame_length // 2)
    energy = np.concatenate([[0.0], np.cumsum(padded**2)])
    starts = np.arange(0, len(padded) - frame_length + 1, hop_length)
    power = (energy[starts + frame_length] - energy[starts]) / frame_length
    reference = power.max(initial=0.0) if ref is None else ref**2
    decibels = 10 * np.log10(np.maximum(power, _FLOOR) / max(reference, _FLOOR))
    loud = np.flatnonzero(decibels > -top_db)
    if not len(loud):
        return samples[:0]
    return samples[loud[0] * hop_length : (loud[-1] + 1) * hop_length]
