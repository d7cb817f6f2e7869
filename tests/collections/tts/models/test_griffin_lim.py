from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from seaspeak.audio.features import FilterbankFeatures
from seaspeak.collections.tts.models.griffin_lim import GriffinLimModel
from seaspeak.collections.tts.modules.griffin_lim import griffin_lim
from seaspeak.core.errors import ConfigError, ModelError
from tests.fixture import Fixture

SECTION: dict[str, Any] = {
    "sample_rate": 22050,
    "n_window_size": 1024,
    "n_window_stride": 256,
    "n_fft": 1024,
    "nfilt": 80,
    "lowfreq": 0,
    "highfreq": 8000,
    "mag_power": 1.0,
    "normalize": None,
}


@pytest.mark.parametrize("iterations", [0, 1, 5])
def test_iterations_are_nemos(shared: Path, iterations: int) -> None:
    fixture = Fixture(shared / "fixtures/tts/griffin_lim")
    magnitudes, uniform = (torch.from_numpy(fixture.io[name]) for name in ("magnitudes", "initial_phase_uniform"))
    signal = griffin_lim(magnitudes, iterations=iterations, phase=2 * torch.pi * uniform)
    fixture.assert_close(f"signal_iters{iterations}", signal)


def test_a_tone_survives_its_mel_spectrogram() -> None:
    time = torch.arange(22050) / 22050
    wave = 0.3 * torch.sin(2 * torch.pi * 440 * time)[None]
    options: dict[str, Any] = {"preemph": None, "dither": 0.0, "pad_to": 0, "log_zero_guard_value": 1e-5}
    front_end = FilterbankFeatures(**SECTION, **options)
    mel, _ = front_end(wave, torch.tensor([wave.shape[1]]))
    vocoder = GriffinLimModel(cfg={"preprocessor": SECTION, "n_iters": 30})
    made = vocoder.convert_spectrogram_to_audio(spec=mel)
    assert made.shape == (1, 256 * mel.shape[2])
    spectrum = torch.fft.rfft(made[0, 4096:12288]).abs()
    assert int(spectrum.argmax()) * 22050 / 8192 == pytest.approx(440, abs=15)
    assert float(made[0, 4096:12288].std()) == pytest.approx(float(wave.std()), rel=0.3)
    torch.testing.assert_close(vocoder.convert_spectrogram_to_audio(spec=mel), made)


def test_what_it_cannot_turn_back_is_refused() -> None:
    with pytest.raises(ConfigError, match="normalize per_feature"):
        GriffinLimModel(cfg={"preprocessor": {**SECTION, "normalize": "per_feature"}})
    with pytest.raises(ModelError, match="80"):
        GriffinLimModel(cfg={"preprocessor": SECTION}).convert_spectrogram_to_audio(spec=torch.zeros(1, 64, 5))
