"""Changing the sample rate, of a whole recording or of a stream, with the same numbers."""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

from seaspeak.core.errors import AudioError

_QUALITY = "HQ"  # 20 bit: rejection beyond what 16-bit recordings hold


def resample(samples: NDArray[np.float32], from_rate: float, to_rate: float) -> NDArray[np.float32]:
    """Return ``samples`` (num_samples,) at ``to_rate``; they themselves where the rates are equal.

    >>> resample(np.zeros(48000, dtype=np.float32), 48000, 16000).shape
    (16000,)
    """
    if _check_rate(from_rate) == _check_rate(to_rate):
        return samples
    return np.asarray(soxr.resample(samples, from_rate, to_rate, quality=_QUALITY), dtype=np.float32)


class Resampler:
    """Resample a recording that arrives in pieces.

    What comes out, joined, equals `resample` of what went in, joined; it lags behind by the length of the filter.

    >>> stream = Resampler(48000, 16000)
    >>> pieces = [stream.push(np.zeros(24000, dtype=np.float32)) for _ in range(2)] + [stream.finish()]
    >>> sum(len(piece) for piece in pieces)
    16000
    """

    def __init__(self, from_rate: float, to_rate: float) -> None:
        same = _check_rate(from_rate) == _check_rate(to_rate)
        self._stream = None if same else soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality=_QUALITY)

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take more samples and return those that are ready."""
        return self._run(samples, last=False)

    def finish(self) -> NDArray[np.float32]:
        """Return what is left; no more samples may follow."""
        return self._run(np.zeros(0, dtype=np.float32), last=True)

    def _run(self, samples: NDArray[np.float32], *, last: bool) -> NDArray[np.float32]:
        if self._stream is None:
            return samples
        return np.asarray(self._stream.resample_chunk(samples, last=last), dtype=np.float32)


def _check_rate(rate: float) -> float:
    if not 1 <= rate < 1e8:
        raise AudioError("a sample rate must be a number of samples a second", got=repr(rate))
    return rate
