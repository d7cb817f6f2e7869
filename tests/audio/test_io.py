"""Reading recordings: what comes out is what was written, however it is read."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seaspeak.audio.io import blocks, info, read
from seaspeak.audio.resample import resample
from seaspeak.core.errors import AudioError

FORMATS = {  # extension: (options of soundfile, lossless)
    "wav": ({"subtype": "PCM_16"}, True),
    "float.wav": ({"subtype": "FLOAT"}, True),
    "24.wav": ({"subtype": "PCM_24"}, True),
    "flac": ({}, True),
    "ogg": ({"subtype": "VORBIS"}, False),
    "opus": ({"format": "OGG", "subtype": "OPUS"}, False),
    "mp3": ({}, False),
    "aiff": ({}, True),
}


def speech_like(seconds: float, rate: int, channels: int = 1) -> np.ndarray:
    """Tones with a slowly changing level, another pitch in each channel; (num_frames, channels) float32."""
    t = np.arange(round(seconds * rate)) / rate
    level = 0.3 + 0.2 * np.sin(2 * np.pi * 0.7 * t)
    tones = [level * np.sin(2 * np.pi * (180 + 90 * channel) * t) for channel in range(channels)]
    return np.stack(tones, axis=1).astype(np.float32)


def written(folder: Path, extension: str, samples: np.ndarray, rate: int) -> Path:
    path = folder / f"recording.{extension}"
    soundfile.write(path, samples, rate, **FORMATS[extension][0])
    return path


@pytest.mark.parametrize("extension", FORMATS)
def test_every_format_comes_back_with_its_samples(tmp_path, extension):
    samples = speech_like(1.5, 16000)
    path = written(tmp_path, extension, samples, 16000)

    recording = read(path)

    assert recording.sample_rate == 16000
    assert recording.samples.dtype == np.float32
    assert recording.samples.shape == (24000,)
    if FORMATS[extension][1]:
        np.testing.assert_allclose(recording.samples, samples[:, 0], atol=1e-4)
    else:  # codecs change the waveform, most at the ends, but do not shift it
        error = (recording.samples - samples[:, 0])[2000:-2000]
        assert np.sqrt(np.mean(error**2)) < 0.02


@pytest.mark.parametrize("extension", ["wav", "flac", "ogg", "opus", "mp3"])
@pytest.mark.parametrize("how", ["str", "bytes", "file", "pipe", "middle of a file"])
def test_paths_bytes_files_and_pipes_give_the_same_samples(tmp_path, extension, how):
    path = written(tmp_path, extension, speech_like(1.0, 16000), 16000)
    expected = read(path).samples

    if how == "str":
        actual = read(str(path)).samples
    elif how == "bytes":
        actual = read(path.read_bytes()).samples
    elif how == "file":
        with path.open("rb") as file:
            actual = read(file).samples
            assert not file.closed
    elif how == "pipe":
        with piped(path.read_bytes()) as pipe:
            actual = read(pipe).samples
    else:
        file = io.BytesIO(b"before it" + path.read_bytes())
        file.seek(9)
        actual = read(file).samples

    np.testing.assert_array_equal(actual, expected)


def piped(data: bytes):
    """What a program reads whose standard input is ``data``."""
    reading, writing = os.pipe()

    def feed() -> None:
        with os.fdopen(writing, "wb") as file:
            file.write(data)

    threading.Thread(target=feed, daemon=True).start()
    return os.fdopen(reading, "rb")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_path_may_name_a_pipe(tmp_path):
    path = written(tmp_path, "flac", speech_like(1.0, 16000), 16000)
    os.mkfifo(tmp_path / "pipe")
    threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(path.read_bytes()), daemon=True).start()

    np.testing.assert_array_equal(read(tmp_path / "pipe").samples, read(path).samples)


def test_standard_input_is_read_in_a_process_without_torch(tmp_path):
    path = written(tmp_path, "wav", speech_like(1.0, 16000), 16000)
    program = (
        "import sys; from seaspeak.audio import read\n"
        "print(len(read(sys.stdin.buffer).samples), 'torch' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], input=path.read_bytes(), capture_output=True, check=True)

    assert done.stdout.decode().split() == ["16000", "False"]


@pytest.mark.parametrize("rate", [4000, 8000, 11025, 22050, 44100, 48000, 96000, 192000])
def test_any_rate_becomes_the_one_asked_for(tmp_path, rate):
    samples = speech_like(1.0, rate)
    path = written(tmp_path, "wav", samples, rate)

    recording = read(path, sample_rate=16000)

    assert recording.sample_rate == 16000
    assert len(recording.samples) == 16000
    np.testing.assert_allclose(recording.samples[800:-800], speech_like(1.0, 16000)[800:-800, 0], atol=2e-3)


@settings(max_examples=40, deadline=None)
@given(
    seconds=st.floats(0.001, 3.0),
    rate=st.sampled_from([8000, 16000, 22050, 48000]),
    channels=st.integers(1, 3),
    offset=st.floats(0.0, 1.5),
    duration=st.one_of(st.none(), st.floats(0.01, 2.0)),
)
def test_blocks_of_any_size_are_the_whole_cut_up(seconds, rate, channels, offset, duration):
    source = (speech_like(2.0, rate, channels), rate)
    part = {"sample_rate": 16000, "offset": offset, "duration": duration}

    cut = list(blocks(source, seconds=seconds, **part))

    size = max(1, round(seconds * 16000))
    assert all(len(block) == size for block in cut[:-1])
    assert 0 < len(cut[-1]) <= size
    np.testing.assert_array_equal(np.concatenate(cut), read(source, **part).samples)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_reading_by_blocks_is_resampling_the_whole(tmp_path, rate):
    samples = speech_like(70.0, rate)[:, 0]
    path = written(tmp_path, "float.wav", samples, rate)

    np.testing.assert_array_equal(read(path, sample_rate=16000).samples, resample(samples, rate, 16000))


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize("seconds", [0.1, 0.37, 1.0])
def test_blocks_of_a_file_are_the_file(tmp_path, extension, seconds):
    """MP3 is the hard one: soundfile seeks after each read, and samples after a seek are wrong."""
    path = written(tmp_path, extension, bursts(3.0), 16000)

    cut = list(blocks(path, seconds=seconds))

    np.testing.assert_array_equal(np.concatenate(cut), read(path).samples)


def bursts(seconds: float) -> np.ndarray:
    samples = speech_like(seconds, 16000)[:, 0]
    return samples * (np.arange(len(samples)) % 5000 < 2500)


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize(("offset", "duration"), [(0.0, 0.5), (0.013, 0.2), (1.7, 0.9), (2.6, None), (2.9, 5.0)])
def test_a_part_is_cut_from_the_whole(tmp_path, extension, offset, duration):
    path = written(tmp_path, extension, bursts(3.0), 16000)
    whole = read(path).samples

    part = read(path, offset=offset, duration=duration).samples

    start = round(offset * 16000)
    stop = None if duration is None else start + round(duration * 16000)
    np.testing.assert_allclose(part, whole[start:stop], atol=2e-6)


def test_files_that_cannot_be_sought_are_read_up_to_the_part(tmp_path):
    path = tmp_path / "gsm.wav"
    soundfile.write(path, speech_like(2.0, 8000), 8000, subtype="GSM610")
    whole = read(path).samples

    np.testing.assert_array_equal(read(path, offset=0.5, duration=0.25).samples, whole[4000:6000])


def test_channels_are_averaged_or_chosen():
    stereo = speech_like(0.5, 16000, channels=3)

    np.testing.assert_allclose(read((stereo, 16000)).samples, stereo.mean(1), atol=1e-6)
    np.testing.assert_allclose(read((stereo, 16000), channel_selector="average").samples, stereo.mean(1), atol=1e-6)
    np.testing.assert_array_equal(read((stereo, 16000), channel_selector=2).samples, stereo[:, 2])
    np.testing.assert_allclose(
        read((stereo, 16000), channel_selector=[0, 2]).samples, stereo[:, [0, 2]].mean(1), atol=1e-6
    )


@pytest.mark.parametrize("selector", [3, -1, [0, 3], [], "left"])
def test_a_channel_that_is_not_there_is_refused(selector):
    with pytest.raises(AudioError, match=r"channel_selector does not fit .* 3 channel"):
        read((speech_like(0.1, 16000, channels=3), 16000), channel_selector=selector)


@pytest.mark.parametrize(
    "convert",
    [
        lambda x: x,
        lambda x: x.astype(np.float64),
        lambda x: x.T,
        lambda x: (x * 32768).astype(np.int16),
        lambda x: (x.astype(np.float64) * 2**31).astype(np.int32),
        lambda x: torch.from_numpy(x),
        lambda x: torch.from_numpy(x).T.requires_grad_(),
        lambda x: torch.from_numpy((x * 32768).astype(np.int16)),
        lambda x: x[:, ::-1],
    ],
)
def test_arrays_and_tensors_of_any_type_are_scaled_to_one(convert):
    samples = speech_like(0.2, 16000, channels=2)

    recording = read((convert(samples), 16000))

    np.testing.assert_allclose(recording.samples, samples.mean(1), atol=5e-5)


def test_unsigned_bytes_are_centred():
    samples = np.array([0, 128, 255], dtype=np.uint8)

    np.testing.assert_allclose(read((samples, 8000)).samples, [-1.0, 0.0, 0.992], atol=1e-3)


def test_half_precision_tensors_are_read():
    samples = torch.linspace(-1, 1, 100)

    np.testing.assert_allclose(read((samples.bfloat16(), 16000)).samples, samples.numpy(), atol=4e-3)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ((np.zeros(10, dtype=np.int64), 16000), "without a natural scale"),
        ((np.zeros((2, 3, 4), dtype=np.float32), 16000), "too many axes"),
        ((np.zeros(10, dtype=np.float32), 0), "sample rate must be"),
        ((np.zeros(10, dtype=np.float32), "fast"), "sample rate must be"),
        (np.zeros(10, dtype=np.float32), "needs its sample rate"),
        (42, "not audio"),
        ((1, 2, 3), "not audio"),
    ],
)
def test_what_is_not_audio_is_refused(source, message):
    with pytest.raises(AudioError, match=message):
        read(source)


@pytest.mark.parametrize("extension", FORMATS)
def test_info_says_what_the_file_holds(tmp_path, extension):
    path = written(tmp_path, extension, speech_like(1.5, 16000, channels=2), 16000)

    about = info(path)

    assert (about.sample_rate, about.channels) == (16000, 2)
    assert about.num_frames == (None if extension == "mp3" else 24000)
    assert about.duration == pytest.approx(1.5)
    assert about.format.split()[0] in {"WAV", "WAVEX", "FLAC", "OGG", "MP3", "AIFF"}


def mp3_of_changing_rate() -> bytes:
    """Ten seconds of near silence, then ten of noise, with a variable bit rate."""
    noise = np.random.default_rng(0).standard_normal(160000) * 0.3
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 16000, 1, format="MP3", bitrate_mode="VARIABLE", compression_level=0.5) as mp3:
        mp3.write(np.concatenate([1e-4 * np.sin(np.arange(160000) / 13), noise]).astype(np.float32))
    return file.getvalue()


def without_length_header(mp3: bytes) -> bytes:
    """The frames behind the first, which holds the header alone."""
    return mp3[mp3.index(mp3[:2], mp3.index(b"Xing")) :]


def test_an_mp3_is_read_whole_though_it_does_not_say_how_long_it_is():
    mp3 = without_length_header(mp3_of_changing_rate())
    with soundfile.SoundFile(io.BytesIO(mp3)) as naive:
        assert naive.frames < 10 * 16000  # what libsndfile believes, and stops at

    recording = read(mp3)

    assert recording.duration == pytest.approx(20.0, abs=0.2)
    assert np.abs(recording.samples[-16000:]).max() > 0.1
    assert info(mp3).num_frames is None


def test_joined_mp3_files_are_read_to_the_end():
    mp3 = mp3_of_changing_rate()

    assert read(mp3 + mp3).duration == pytest.approx(40.0, abs=0.5)


def test_an_id3_tag_before_an_mp3_does_no_harm():
    mp3 = mp3_of_changing_rate()
    tag = b"ID3\x04\x00\x00" + bytes([0, 0, 8, 0]) + bytes(1024)

    np.testing.assert_array_equal(read(tag + mp3).samples, read(mp3).samples)
    assert read(tag + without_length_header(mp3)).duration == pytest.approx(20.0, abs=0.2)


def test_an_mp3_that_lacks_its_end_is_read_with_a_warning(tmp_path, caplog):
    path = tmp_path / "half.mp3"
    path.write_bytes(mp3_of_changing_rate()[:20000])

    assert read(path).duration < 19
    assert "half.mp3 ends" in caplog.text
    assert "before the length that its header states" in caplog.text


def test_long_recordings_are_read_in_bounded_memory(tmp_path):
    """Ten minutes at 48 kHz, stereo: 230 MB as float32."""
    path = tmp_path / "long.flac"
    minute = (speech_like(60.0, 48000, channels=2) * 32767).astype(np.int16)
    with soundfile.SoundFile(path, "w", 48000, 2) as file:
        for _ in range(10):
            file.write(minute)
    program = (
        "import resource, sys; from seaspeak.audio import blocks, read; import numpy as np\n"
        "read((np.zeros(9, 'f4'), 9))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"total = sum(len(block) for block in blocks({str(path)!r}, sample_rate=16000))\n"
        "print(total, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)

    total, grown = map(int, done.stdout.split())
    assert total == 600 * 16000
    assert grown < 60_000  # KiB
