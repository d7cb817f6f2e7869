"""Recordings that are broken on purpose, and recordings that only look it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000


def speech(seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    """Return something that is neither silence nor a tone: noise whose loudness goes up and down."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(0).standard_normal(len(time))
    return (0.1 * noise * np.abs(np.sin(8 * time))).astype(np.float32)


def empty_file(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("this is not a recording\n" * 20)


def truncated(path: Path) -> None:
    soundfile.write(path, speech(4.0), RATE, format="FLAC")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def no_samples(path: Path) -> None:
    soundfile.write(path, np.zeros(0, np.float32), RATE)


def not_numbers(path: Path) -> None:
    samples = speech()
    samples[5000:5100] = np.nan
    soundfile.write(path, samples, RATE, subtype="FLOAT")


def eight_channels(path: Path) -> None:
    soundfile.write(path, np.stack([speech()] * 8, axis=1), RATE)


def four_kilohertz(path: Path) -> None:
    soundfile.write(path, speech(rate=4000), 4000)


BROKEN: dict[str, Callable[[Path], None]] = {
    "empty.wav": empty_file,
    "text.wav": text,
    "truncated.flac": truncated,
    "no_samples.wav": no_samples,
    "not_numbers.wav": not_numbers,
}
SOUND: dict[str, Callable[[Path], None]] = {"eight_channels.wav": eight_channels, "four_kilohertz.wav": four_kilohertz}
