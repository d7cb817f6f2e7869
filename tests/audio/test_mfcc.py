from __future__ import annotations

from pathlib import Path

import pytest
import torch
from scipy.fft import dct

from seaspeak.audio.mfcc import AudioToMFCCPreprocessor, cosine_transform
from seaspeak.core.errors import ConfigError
from tests.fixture import Fixture


@pytest.mark.parametrize("name", ["mfcc20_v1", "mfcc20_v3", "mfcc64_v1", "mfcc64_v3"])
def test_coefficients_and_lengths_are_nemos(shared: Path, name: str):
    fixture = Fixture(shared / "fixtures" / "core" / "mfcc" / name)
    preprocessor = AudioToMFCCPreprocessor(**fixture.config).eval()

    cepstra, length = preprocessor(
        input_signal=torch.tensor(fixture.io["input_signal"]), length=torch.tensor(fixture.io["length"])
    )

    fixture.assert_close("processed_signal", cepstra)
    fixture.assert_close("processed_length", length)


def test_state_dict_keys_are_torchaudios():
    shapes = {key: tuple(value.shape) for key, value in AudioToMFCCPreprocessor(n_mfcc=20).state_dict().items()}

    assert shapes == {
        "featurizer.dct_mat": (64, 20),
        "featurizer.MelSpectrogram.spectrogram.window": (320,),
        "featurizer.MelSpectrogram.mel_scale.fb": (257, 64),
    }


@pytest.mark.parametrize("norm", ["ortho", None])
def test_the_cosine_transform_is_scipys(norm):
    bands = torch.randn(40, dtype=torch.float64)

    ours = bands.float() @ cosine_transform(13, 40, norm)

    torch.testing.assert_close(ours, torch.tensor(dct(bands.numpy(), norm=norm)[:13]).float(), rtol=1e-4, atol=1e-4)


def test_a_signal_shorter_than_half_a_transform_is_no_error():
    cepstra, length = AudioToMFCCPreprocessor()(input_signal=torch.randn(1, 100), length=torch.tensor([100]))

    assert length.tolist() == [1]
    assert torch.isfinite(cepstra).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dct_type": 3}, "dct_type is not supported"),
        ({"n_mfcc": 65}, "n_mfcc is greater than n_mels"),
        ({"window": "kaiser"}, "window of the MFCC front end is not known"),
        ({"norm": "slaney"}, "norm of the cosine transform is not known"),
        ({"n_window_size": 400}, "window_size and n_window_size are two ways"),
    ],
)
def test_options_that_cannot_be_are_refused_by_name(options, message):
    with pytest.raises(ConfigError, match=message):
        AudioToMFCCPreprocessor(**options)
