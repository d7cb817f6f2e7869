"""The mel front end as a module: NeMo's fixtures of three releases."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seaspeak.audio.mel import AudioToMelSpectrogramPreprocessor
from seaspeak.core.errors import ConfigError
from seaspeak.core.types import AudioSignal, LengthsType, MelSpectrogramType, NeuralType
from tests.fixture import Fixture

RECIPES = {"0.11.0": "0.11", "1.0.0": "1.0", "3.0.0": "current"}
NAMES = [
    f"{name}_{version}"
    for name in ("all_features", "citrinet80", "jasper64_notime", "no_norm_no_preemph", "quartznet64")
    for version in ("v011", "v1", "v3")
] + [f"{name}_{version}" for name in ("linear_hamming", "tts80", "tts80_clamp_exact") for version in ("v1", "v3")]


def test_every_fixture_is_in_the_list(shared: Path):
    assert sorted(path.name for path in (shared / "fixtures/core/mel_frontend").iterdir()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_features_and_lengths_are_nemos(shared: Path, name: str):
    fixture = Fixture(shared / "fixtures" / "core" / "mel_frontend" / name)
    recipe = RECIPES[fixture.meta["nemo_version"]]
    preprocessor = AudioToMelSpectrogramPreprocessor(**fixture.config, recipe=recipe).eval()

    features, length = preprocessor(
        input_signal=torch.tensor(fixture.io["input_signal"]), length=torch.tensor(fixture.io["length"])
    )

    fixture.assert_close("processed_signal", features)
    fixture.assert_close("processed_length", length)
    if "filterbank" in fixture.io:
        fixture.assert_close("filterbank", preprocessor.filter_banks)


def test_state_dict_keys_are_nemos():
    assert set(AudioToMelSpectrogramPreprocessor().state_dict()) == {"featurizer.window", "featurizer.fb"}


def test_ports_say_rate_and_meaning():
    preprocessor = AudioToMelSpectrogramPreprocessor(sample_rate=22050)

    assert preprocessor.input_types == {
        "input_signal": NeuralType("B T", AudioSignal(freq=22050)),
        "length": NeuralType("B", LengthsType()),
    }
    assert preprocessor.output_types == {
        "processed_signal": NeuralType("B D T", MelSpectrogramType()),
        "processed_length": NeuralType("B", LengthsType()),
    }


def test_torchaudio_means_recipe_1_0_with_a_notice(caplog):
    preprocessor = AudioToMelSpectrogramPreprocessor(use_torchaudio=True)

    assert preprocessor.recipe == "1.0"
    assert "without torchaudio" in caplog.text


@pytest.mark.parametrize("name", ["window_size", "window_stride"])
def test_a_window_is_given_in_seconds_or_in_samples_but_not_both(name):
    with pytest.raises(ConfigError, match=f"{name} and n_{name} are two ways"):
        AudioToMelSpectrogramPreprocessor(**{f"n_{name}": 320})
    with pytest.raises(ConfigError, match=f"{name} and n_{name} are two ways"):
        AudioToMelSpectrogramPreprocessor(**{name: None})


def test_samples_of_another_precision_are_computed_in_single_precision():
    preprocessor = AudioToMelSpectrogramPreprocessor().eval()
    x, length = torch.randn(1, 8000, dtype=torch.float64), torch.tensor([8000])

    features, _ = preprocessor(input_signal=x, length=length)

    assert features.dtype == torch.float32
    torch.testing.assert_close(features, preprocessor(input_signal=x.float(), length=length)[0])
