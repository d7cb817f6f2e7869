from __future__ import annotations

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from seaspeak.audio.resample import Resampler, resample
from seaspeak.core.errors import AudioError

RATES = st.sampled_from([4000, 8000, 11025, 16000, 22050, 44100, 48000, 96000, 192000])


@settings(max_examples=60, deadline=None)
@given(from_rate=RATES, to_rate=RATES, cuts=st.lists(st.integers(0, 5000), max_size=6))
def test_a_stream_in_any_pieces_gives_the_one_shot_samples(from_rate, to_rate, cuts):
    samples = np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    stream = Resampler(from_rate, to_rate)

    joined = np.concatenate([*map(stream.push, np.split(samples, sorted(cuts))), stream.finish()])

    np.testing.assert_array_equal(joined, resample(samples, from_rate, to_rate))


def test_a_tone_keeps_its_frequency_and_level():
    seconds = np.arange(48000) / 48000
    tone = np.sin(2 * np.pi * 440 * seconds).astype(np.float32)

    low = resample(tone, 48000, 16000)

    expected = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    np.testing.assert_allclose(low[500:-500], expected[500:-500], atol=1e-4)


def test_what_lies_above_half_the_new_rate_is_gone():
    seconds = np.arange(48000) / 48000

    low = resample(np.sin(2 * np.pi * 12000 * seconds).astype(np.float32), 48000, 16000)

    assert np.abs(low[500:-500]).max() < 1e-4


def test_equal_rates_change_nothing():
    samples = np.ones(7, dtype=np.float32)

    assert resample(samples, 16000, 16000) is samples
    assert Resampler(16000, 16000).push(samples) is samples


def test_it_is_soxrs_high_quality():
    samples = np.random.default_rng(1).standard_normal(9000).astype(np.float32)

    np.testing.assert_array_equal(resample(samples, 22050, 16000), soxr.resample(samples, 22050, 16000, "HQ"))


@pytest.mark.parametrize("rate", [0, -8000, float("nan"), float("inf")])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(AudioError, match="number of samples a second"):
        resample(np.zeros(4, dtype=np.float32), 16000, rate)
