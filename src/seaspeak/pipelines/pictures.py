"""Pictures of sound for web pages, without a plotting library: waveforms as SVG, spectrograms as PNG."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from seaspeak.audio.filterbank import mel_filters

Samples = NDArray[np.float32]

BANDS = 80
COLUMNS = 1200
"""At most so many columns; longer recordings are drawn coarser."""

RANGE_DB = 80.0
_FRAME_SECONDS, _WINDOW_SECONDS = 0.010, 0.040
_COLOURS = (
    (0, 0, 4),
    (40, 11, 84),
    (101, 21, 110),
    (159, 42, 99),
    (212, 72, 66),
    (245, 125, 21),
    (250, 193, 39),
    (252, 255, 164),
)


def waveform(samples: Samples, *, width: int = COLUMNS, height: int = 90) -> str:
    """Return a drawing of the samples (num_samples,): the largest and smallest value in each column."""
    edges = np.linspace(0, len(samples), min(width, len(samples)) + 1).astype(int)[:-1]
    high, low = np.maximum.reduceat(samples, edges), np.minimum.reduceat(samples, edges)
    scale = max(float(np.abs(samples).max()), 1e-3) * 1.05
    x = np.linspace(0, width, len(edges))
    top = [f"{a:.0f},{height / 2 * (1 - b / scale):.1f}" for a, b in zip(x, high, strict=True)]
    bottom = [f"{a:.0f},{height / 2 * (1 - b / scale):.1f}" for a, b in zip(x[::-1], low[::-1], strict=True)]
    return (
        f'<svg class="wave" viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img" aria-label="waveform">'
        f'<polygon points="{" ".join(top + bottom)}"/></svg>'
    )


def spectrogram(samples: Samples, sample_rate: int) -> bytes:
    """Return a PNG of the mel spectrogram of samples (num_samples,), low bands at the bottom, bright where loud."""
    levels = mel_levels(samples, sample_rate)
    shades = np.clip((levels - levels.max() + RANGE_DB) / RANGE_DB, 0, 1)
    places = np.linspace(0, 1, len(_COLOURS))
    picture = np.stack([np.interp(shades[::-1], places, channel) for channel in zip(*_COLOURS, strict=True)], axis=-1)
    return png(picture.round().astype(np.uint8))


def mel_levels(samples: Samples, sample_rate: int) -> NDArray[np.float32]:
    """Return the level (bands, columns) of samples (num_samples,) in mel bands, in dB."""
    window = round(_WINDOW_SECONDS * sample_rate)
    step = max(round(_FRAME_SECONDS * sample_rate), -(-len(samples) // COLUMNS))
    size = 1 << (window - 1).bit_length()
    filters = mel_filters(sample_rate=sample_rate, n_fft=size, num_bands=BANDS, high=min(8000.0, sample_rate / 2))
    taper = np.hanning(window).astype(np.float32)
    padded = np.pad(samples, (window // 2, window))
    columns = [
        filters @ np.abs(np.fft.rfft(padded[start : start + window] * taper, size)) ** 2
        for start in range(0, len(samples), step)
    ]
    return 10 * np.log10(np.maximum(np.stack(columns, axis=1), 1e-10)).astype(np.float32)


def png(picture: NDArray[np.uint8]) -> bytes:
    """Return a picture (height, width, 3) as the content of a PNG file."""
    height, width, _ = picture.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), picture.reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


def data_uri(content: bytes, kind: str) -> str:
    """Return content as an address that holds it; ``kind`` is its media type, such as ``image/png``."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
