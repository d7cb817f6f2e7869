from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seaspeak.audio import io as sound
from seaspeak.audio.writing import FORMATS, AudioWriter, encode, format_of
from seaspeak.core.errors import ConfigError

RATE = 22_050
WAVE = (0.4 * np.sin(np.arange(RATE) * 0.05)).astype(np.float32)


class Pipe(io.BytesIO):
    def seekable(self) -> bool:
        return False

    def seek(self, *args):
        raise io.UnsupportedOperation("a pipe cannot be wound back")

    tell = seek


def written(stream: io.BytesIO, form: str, samples: np.ndarray, block: int = 5000) -> bytes:
    with AudioWriter(stream, sample_rate=RATE, format=form) as writer:
        for start in range(0, len(samples), block):
            writer.write(samples[start : start + block])
    assert writer.num_samples == len(samples)
    return stream.getvalue()


@pytest.mark.parametrize("stream", [io.BytesIO, Pipe])
@pytest.mark.parametrize("form", ["wav", "flac"])
def test_what_is_written_is_read_again(form: str, stream: type[io.BytesIO]) -> None:
    back = sound.read(written(stream(), form, WAVE))
    assert back.sample_rate == RATE
    np.testing.assert_allclose(back.samples, WAVE, atol=1 / 32767)


@pytest.mark.parametrize("stream", [io.BytesIO, Pipe])
@pytest.mark.parametrize("form", ["ogg", "mp3"])
def test_lossy_formats_sound_alike(form: str, stream: type[io.BytesIO]) -> None:
    back = sound.read(written(stream(), form, WAVE))
    assert back.sample_rate == RATE and abs(len(back.samples) - len(WAVE)) < 0.1 * RATE
    spectra = [np.abs(np.fft.rfft(samples[2000:18000])) for samples in (back.samples, WAVE)]
    assert np.argmax(spectra[0]) == np.argmax(spectra[1])
    assert spectra[0].max() == pytest.approx(spectra[1].max(), rel=0.1)


def test_raw_is_the_samples_alone() -> None:
    data = written(Pipe(), "raw", WAVE)
    np.testing.assert_allclose(np.frombuffer(data, "<i2") / 32767, WAVE, atol=1 / 32767)


@pytest.mark.parametrize("form", ["wav", "raw"])
def test_a_pipe_has_the_sound_before_the_end(form: str) -> None:
    pipe = Pipe()
    writer = AudioWriter(pipe, sample_rate=RATE, format=form)
    writer.write(WAVE[:1000])
    assert len(pipe.getvalue()) >= 2000
    writer.close()


@given(block=st.integers(1, 4000), form=st.sampled_from(["wav", "raw"]))
@settings(max_examples=20)
def test_how_it_is_cut_into_blocks_changes_nothing(block: int, form: str) -> None:
    assert written(Pipe(), form, WAVE[:4000], block) == written(Pipe(), form, WAVE[:4000], 4000)


def test_too_loud_samples_are_cut_off_not_wrapped() -> None:
    back = sound.read(encode(np.array([2.0, -3.0, 0.5], np.float32), RATE))
    np.testing.assert_allclose(back.samples, [1, -1, 0.5], atol=1e-4)


def test_formats_by_name_of_file() -> None:
    assert [format_of(Path(f"a.{each.upper()}")) for each in FORMATS] == list(FORMATS)
    assert format_of("-") == "wav" and format_of("no_suffix", "flac") == "flac"
    with pytest.raises(ConfigError, match=r"no format ends in \.wave[\s\S]*did you mean 'wav'"):
        format_of("talk.wave")
    with pytest.raises(ConfigError, match="no sound format is called 'aiff'"):
        AudioWriter(io.BytesIO(), sample_rate=RATE, format="aiff")
