"""Recordings that cannot be read: one clear sentence that names the file."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from seaspeak.audio.io import blocks, info, read
from seaspeak.core.errors import AudioError, FileMissingError, MissingExtra


def tone(seconds: float = 2.0, rate: int = 16000) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * 220 * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def refused(path: Path, error: type[Exception] = AudioError) -> str:
    """The message of ``path``, the same from every way to read it."""
    messages = set()
    for reading in (
        read,
        lambda source: list(blocks(source, seconds=0.5)),
        lambda source: read(source, sample_rate=8000),
    ):
        with pytest.raises(error) as caught:
            reading(path)
        messages.add(str(caught.value))
    assert len(messages) == 1
    message = messages.pop()
    assert path.name in message.splitlines()[0]
    return message


def test_empty_file(tmp_path):
    (tmp_path / "empty.wav").touch()

    assert "empty.wav is empty" in refused(tmp_path / "empty.wav")


def test_text_named_wav(tmp_path):
    (tmp_path / "notes.wav").write_text("These are my notes, not a recording.\n")

    message = refused(tmp_path / "notes.wav")

    assert "notes.wav is not a recording that can be read" in message
    assert "text that begins 'These are my notes, not a record" in message


def test_other_data_named_wav(tmp_path):
    (tmp_path / "data.wav").write_bytes(bytes(range(256)) * 20)

    assert "data that begins 00 01 02 03" in refused(tmp_path / "data.wav")


def test_truncated_flac(tmp_path):
    path = tmp_path / "cut.flac"
    noise = np.random.default_rng(0).standard_normal(48000) * 0.1
    soundfile.write(path, noise, 16000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    message = refused(path)

    assert "cut.flac is damaged or cut off" in message
    assert "got      FLAC that breaks off before its end at 3.0 s" in message


@pytest.mark.parametrize("extension", ["wav", "aiff", "w64"])
def test_no_samples(tmp_path, extension):
    path = tmp_path / f"silent.{extension}"
    soundfile.write(path, np.zeros(0, dtype=np.float32), 16000)

    assert f"silent.{extension} holds no samples" in refused(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_numbers(tmp_path, value):
    path = tmp_path / "broken.wav"
    samples = tone()
    samples[1000:1003] = value
    soundfile.write(path, samples, 16000, subtype="FLOAT")

    message = refused(path)

    assert "broken.wav has samples that are not numbers" in message
    assert "3 NaN or infinite values" in message


def test_missing_file(tmp_path):
    assert "there is no file" in refused(tmp_path / "nowhere.wav", FileMissingError)


def test_folder(tmp_path):
    (tmp_path / "folder.wav").mkdir()

    assert "is a folder, not a recording" in refused(tmp_path / "folder.wav")


def test_part_after_the_end(tmp_path):
    path = tmp_path / "short.wav"
    soundfile.write(path, tone(2.0), 16000)

    with pytest.raises(AudioError, match=r"short.wav has no samples in the part") as caught:
        read(path, offset=5.0, duration=1.0)

    assert "got      offset 5 s, duration 1 s" in str(caught.value)
    assert "expected a part of its 2.00 s" in str(caught.value)


@pytest.mark.parametrize("part", [{"offset": -1.0}, {"duration": -0.5}])
def test_impossible_part(tmp_path, part):
    path = tmp_path / "short.wav"
    soundfile.write(path, tone(), 16000)

    with pytest.raises(AudioError, match="before its start or have a negative length"):
        read(path, **part)


def test_a_format_that_needs_the_media_extra_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)  # as where the extra is not installed
    path = tmp_path / "phone.m4a"
    path.write_bytes(b"\x00\x00\x00\x20ftypM4A " + bytes(100))

    message = refused(path, MissingExtra)

    assert 'pip install "seaspeak[media]"' in message


def test_eight_channels_and_four_kilohertz_are_no_errors(tmp_path):
    path = tmp_path / "array.wav"
    soundfile.write(path, np.repeat(tone(1.0, 4000)[:, None], 8, axis=1), 4000)

    recording = read(path, sample_rate=16000)

    assert info(path).channels == 8
    assert recording.samples.shape == (16000,)
