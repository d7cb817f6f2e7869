"""Triangular filters on a mel scale, as plain arrays."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from seaspeak.core.errors import ConfigError

# Slaney's scale (Auditory Toolbox, 1998): linear up to 1 kHz, then 27 steps for a factor of 6.4.
_HZ_PER_MEL = 200.0 / 3
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27


def hz_to_mel(hz: NDArray[np.float64] | float, scale: str = "slaney") -> NDArray[np.float64]:
    """Return frequencies on the mel ``scale``, ``"slaney"`` or ``"htk"``."""
    hz = np.asarray(hz, dtype=np.float64)
    if scale == "htk":
        return 2595.0 * np.log10(1.0 + hz / 700.0)
    bent = _BREAK_MEL + np.log(np.maximum(hz, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return np.where(hz < _BREAK_HZ, hz / _HZ_PER_MEL, bent)


def mel_to_hz(mel: NDArray[np.float64] | float, scale: str = "slaney") -> NDArray[np.float64]:
    """Return the frequencies in Hz of points on the mel ``scale``, ``"slaney"`` or ``"htk"``."""
    mel = np.asarray(mel, dtype=np.float64)
    if scale == "htk":
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    bent = _BREAK_HZ * np.exp(_LOG_STEP * (np.maximum(mel, _BREAK_MEL) - _BREAK_MEL))
    return np.where(mel < _BREAK_MEL, mel * _HZ_PER_MEL, bent)


@lru_cache(maxsize=16)
def mel_filters(
    *,
    sample_rate: int,
    n_fft: int,
    num_bands: int,
    low: float = 0.0,
    high: float | None = None,
    norm: str | None = "slaney",
    scale: str = "slaney",
) -> NDArray[np.float32]:
    """Return the filters (num_bands, n_fft // 2 + 1) that gather a spectrum into mel bands; read-only.

    Args:
        sample_rate: of the signal, in Hz.
        n_fft: length of the Fourier transform, in samples.
        num_bands: number of triangles, equally spaced in mel between ``low`` and ``high``.
        low: lower edge of the first triangle, in Hz.
        high: upper edge of the last one, in Hz; half the sample rate by default.
        norm: ``"slaney"`` gives every triangle the same area, None the same height.
        scale: ``"slaney"`` or ``"htk"``.

    Raises:
        ConfigError: ``norm`` or ``scale`` is another word.

    >>> bank = mel_filters(sample_rate=16000, n_fft=512, num_bands=80)
    >>> bank.shape, round(float(bank.max()), 7)
    ((80, 257), 0.0264066)
    """
    if norm not in ("slaney", None):
        raise ConfigError("mel_norm is not a known way to scale filters", got=repr(norm), expected="'slaney' or None")
    if scale not in ("slaney", "htk"):
        raise ConfigError("the mel scale is not known", got=repr(scale), expected="'slaney' or 'htk'")
    bins = np.fft.rfftfreq(n_fft, 1.0 / sample_rate)
    high = sample_rate / 2 if high is None else high
    edges = mel_to_hz(np.linspace(hz_to_mel(low, scale), hz_to_mel(high, scale), num_bands + 2), scale)
    ramps = edges[:, None] - bins[None, :]
    widths = np.diff(edges)[:, None]
    rising, falling = -ramps[:-2] / widths[:-1], ramps[2:] / widths[1:]
    filters = np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)
    if norm == "slaney":  # scaled after rounding to single precision, so that the numbers are librosa's bit for bit
        filters *= (2.0 / (edges[2:] - edges[:-2]))[:, None]
    filters.setflags(write=False)
    return filters
