from __future__ import annotations

import librosa
import numpy as np
import pytest

from seaspeak.audio.filterbank import hz_to_mel, mel_filters, mel_to_hz
from seaspeak.core.errors import ConfigError


@pytest.mark.parametrize("norm", ["slaney", None])
@pytest.mark.parametrize(
    ("sample_rate", "n_fft", "bands", "low", "high"),
    [
        (16000, 512, 64, 0.0, None),
        (16000, 512, 80, 0.0, 8000.0),
        (22050, 1024, 80, 0.0, 8000.0),
        (8000, 256, 40, 20.0, 3800.0),
    ],
)
def test_filters_are_librosas_bit_for_bit(sample_rate, n_fft, bands, low, high, norm):
    ours = mel_filters(sample_rate=sample_rate, n_fft=n_fft, num_bands=bands, low=low, high=high, norm=norm)
    theirs = librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=bands, fmin=low, fmax=high, norm=norm)

    np.testing.assert_array_equal(ours, theirs)


def test_htk_filters_are_librosas():
    ours = mel_filters(sample_rate=16000, n_fft=512, num_bands=40, norm=None, scale="htk")
    theirs = librosa.filters.mel(sr=16000, n_fft=512, n_mels=40, htk=True, norm=None)

    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("scale", ["slaney", "htk"])
def test_mel_and_back_is_the_same_frequency(scale):
    hz = np.linspace(0, 20000, 101)

    np.testing.assert_allclose(mel_to_hz(hz_to_mel(hz, scale), scale), hz, rtol=1e-12, atol=1e-9)


def test_filters_cannot_be_changed_by_who_got_them():
    with pytest.raises(ValueError, match="read-only"):
        mel_filters(sample_rate=16000, n_fft=512, num_bands=64)[0, 0] = 1.0


@pytest.mark.parametrize(("option", "value"), [("norm", "slany"), ("scale", "bark")])
def test_unknown_words_are_refused(option, value):
    with pytest.raises(ConfigError, match=f"got +'{value}'"):
        mel_filters(sample_rate=16000, n_fft=512, num_bands=64, **{option: value})
