from __future__ import annotations

import io
import re
import struct
import zlib

import numpy as np
import pytest

from seaspeak.pipelines import pictures

RATE = 16_000


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def unpacked(png: bytes) -> np.ndarray:
    """Read a PNG by its chunks, checksums included."""
    stream = io.BytesIO(png)
    assert stream.read(8) == b"\x89PNG\r\n\x1a\n"
    chunks = {}
    while head := stream.read(8):
        size, kind = struct.unpack(">I4s", head)
        chunks[kind] = stream.read(size)
        assert struct.unpack(">I", stream.read(4))[0] == zlib.crc32(kind + chunks[kind])
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + 3 * width)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, 3)


def test_a_picture_comes_back_from_its_png() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    np.testing.assert_array_equal(unpacked(pictures.png(picture)), picture)


def test_higher_tones_are_drawn_higher_up() -> None:
    places = [unpacked(pictures.spectrogram(tone(hertz), RATE)).sum((1, 2)).argmax() for hertz in (200, 1000, 5000)]
    assert places == sorted(places, reverse=True) and len(set(places)) == 3


def test_levels_are_in_decibels() -> None:
    loud, quiet = (pictures.mel_levels(tone(1000) * scale, RATE)[:, 20:80] for scale in (1.0, 0.1))
    assert loud.max() - quiet.max() == pytest.approx(20, abs=0.01)


def test_long_recordings_are_drawn_coarser() -> None:
    assert pictures.mel_levels(np.zeros(RATE * 60, np.float32), RATE).shape == (pictures.BANDS, pictures.COLUMNS)
    assert len(re.findall(r"\d+,", pictures.waveform(np.zeros(RATE * 60, np.float32)))) == 2 * pictures.COLUMNS


@pytest.mark.parametrize("samples", [1, 2, 100, 5000])
def test_the_shortest_recordings_have_pictures(samples: int) -> None:
    assert "<svg" in pictures.waveform(tone(300)[:samples])
    assert unpacked(pictures.spectrogram(tone(300)[:samples], RATE)).shape[0] == pictures.BANDS


def test_a_waveform_reaches_as_far_up_as_down() -> None:
    heights = [float(y) for _, y in re.findall(r"(\d+),([\d.]+)", pictures.waveform(tone(300), height=100))]
    assert min(heights) == pytest.approx(100 - max(heights), abs=0.2) and min(heights) < 5
