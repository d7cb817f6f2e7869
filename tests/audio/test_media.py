"""Containers that libsndfile refuses, read by PyAV."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from seaspeak.audio.io import blocks, info, read
from seaspeak.audio.media import looks_like_media
from seaspeak.core.errors import AudioError

CONTAINERS = {"m4a": "aac", "mp4": "aac", "webm": "libopus", "mkv": "flac"}


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\x00\x00\x00\x20ftypM4A ", True),
        (b"\x1aE\xdf\xa3\x01\x00", True),
        (b"RIFF\x00\x00\x00\x00AVI LIST", True),
        (b"#!AMR\n", True),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", False),
        (b"hello", False),
        (b"", False),
    ],
)
def test_media_files_are_known_by_how_they_begin(head, expected):
    assert looks_like_media(head) is expected


def written(path: Path, codec: str, samples: np.ndarray, rate: int) -> None:
    with av.open(str(path), "w") as container:
        layout = "stereo" if samples.ndim == 2 else "mono"
        stream = container.add_stream(codec, rate=rate, layout=layout)
        data = np.atleast_2d(samples.T) if samples.ndim == 2 else samples[None]
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(data, dtype=np.float32), format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        resampler = av.AudioResampler(stream.format or "fltp", layout, rate, frame_size=stream.codec_context.frame_size)
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            container.mux(stream.encode(part))


def tone(seconds: float, rate: int) -> np.ndarray:
    return (0.4 * np.sin(2 * np.pi * 300 * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize("extension", CONTAINERS)
def test_other_containers_are_decoded(tmp_path, extension):
    path = tmp_path / f"talk.{extension}"
    written(path, CONTAINERS[extension], tone(2.0, 48000), 48000)

    recording = read(path, sample_rate=16000)

    assert recording.duration == pytest.approx(2.0, abs=0.1)
    spectrum = np.abs(np.fft.rfft(recording.samples[8000:24000]))
    assert abs(int(spectrum.argmax()) - 300) <= 1
    assert info(path).sample_rate == 48000
    np.testing.assert_array_equal(np.concatenate(list(blocks(path, sample_rate=16000, seconds=0.3))), recording.samples)


def test_channels_and_parts_of_other_containers(tmp_path):
    path = tmp_path / "stereo.mkv"
    left = tone(1.0, 48000)
    written(path, "flac", np.stack([left, np.zeros_like(left)], axis=1), 48000)
    whole = read(path).samples

    assert info(path).channels == 2
    np.testing.assert_allclose(read(path, channel_selector=0).samples, left, atol=1e-4)
    np.testing.assert_allclose(whole, left / 2, atol=1e-4)
    np.testing.assert_array_equal(read(path, offset=0.25, duration=0.5).samples, whole[12000:36000])
    with path.open("rb") as file:
        np.testing.assert_array_equal(read(file).samples, whole)


def test_a_damaged_container_is_named(tmp_path):
    path = tmp_path / "broken.m4a"
    path.write_bytes(b"\x00\x00\x00\x20ftypM4A " + bytes(100))

    with pytest.raises(AudioError, match=r"broken\.m4a"):
        read(path)
