"""What every generator and vocoder promises, and how a pair that does not fit is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from seaspeak.collections.tts.models.base import MelRecipe, SpectrogramGenerator, Vocoder, check_fit
from seaspeak.core.errors import ConfigError, ModelError

FRONT_END = {
    "nfilt": 6,
    "highfreq": 8000,
    "mag_power": 1.0,
    "n_window_size": 1024,
    "n_window_stride": 256,
    "normalize": None,
    "sample_rate": 22050,
}


class Speaker(SpectrogramGenerator):
    """Each character is one frame."""

    def __init__(self, cfg: object, trainer: object = None) -> None:
        super().__init__(cfg=cfg, trainer=trainer)
        self.scale = nn.Parameter(torch.ones(()))

    def parse(self, text: str, normalize: bool = True) -> Tensor:
        return torch.tensor([[ord(letter) for letter in text]])

    def generate_spectrogram(self, tokens: Tensor, pace: float = 1.0) -> Tensor:
        return (tokens * self.scale)[:, None, :: round(pace)].expand(-1, self.mel_recipe.n_mels, -1)


class Buzzer(Vocoder):
    """Each frame is a hop of its first band."""

    def __init__(self, cfg: object, trainer: object = None) -> None:
        super().__init__(cfg=cfg, trainer=trainer)
        self.gain = nn.Parameter(torch.ones(()))

    def convert_spectrogram_to_audio(self, spec: Tensor) -> Tensor:
        self.check_spectrogram(spec)
        return (spec[:, 0] * self.gain).repeat_interleave(self.mel_recipe.hop_length, dim=1)


def vocoder(**changes: object) -> Buzzer:
    return Buzzer({"preprocessor": FRONT_END | changes})


def test_the_two_front_ends_name_one_recipe() -> None:
    by_samples = MelRecipe.from_config(FRONT_END | {"window": "hann", "pad_to": 16})
    by_seconds = MelRecipe.from_config(
        {
            "features": 6,
            "highfreq": 8000,
            "mag_power": 1.0,
            "window_size": 1024 / 22050,
            "window_stride": 256 / 22050,
            "n_window_size": None,
            "normalize": None,
            "sample_rate": 22050,
            "log_zero_guard_type": "clamp",
            "exact_pad": True,
        }
    )
    assert by_samples == by_seconds
    assert by_samples == MelRecipe(
        sample_rate=22050,
        n_fft=1024,
        win_length=1024,
        hop_length=256,
        n_mels=6,
        fmin=0,
        fmax=8000,
        log="natural",
        mag_power=1.0,
        norm="slaney",
        normalize="none",
    )


def test_differences_name_what_differs_and_both_values() -> None:
    recipe = MelRecipe.from_config(FRONT_END)
    assert recipe.differences(recipe) == []
    assert recipe.differences(replace(recipe, sample_rate=16000, fmax=7600.0)) == [
        "sample_rate 22050, not 16000",
        "fmax 8000.0, not 7600.0",
    ]


def test_a_base_restores_the_class_of_the_archive(tmp_path: Path) -> None:
    Speaker({"preprocessor": FRONT_END}).save_to(tmp_path / "speaker.nemo")
    vocoder().save_to(tmp_path / "buzzer.nemo")
    assert isinstance(SpectrogramGenerator.restore_from(tmp_path / "speaker.nemo"), Speaker)
    assert isinstance(Vocoder.restore_from(tmp_path / "buzzer.nemo"), Buzzer)


def test_defaults_make_an_utterance_and_one_chunk() -> None:
    speaker, buzzer = Speaker({"preprocessor": FRONT_END}), vocoder()
    check_fit(speaker, buzzer)
    spec, words = speaker.synthesize("abcd", pace=2.0)
    assert spec[0].tolist() == [97, 99]
    assert words == []
    chunks = list(buzzer.stream(spec[None]))
    torch.testing.assert_close(torch.cat(chunks, 1), buzzer.convert_spectrogram_to_audio(spec=spec[None]))


def test_a_pair_that_does_not_fit_is_refused_with_the_remedy() -> None:
    speaker = Speaker({"preprocessor": FRONT_END})
    with pytest.raises(ConfigError, match="Buzzer does not understand the spectrograms of Speaker") as caught:
        check_fit(speaker, vocoder(sample_rate=16000))
    assert caught.value.got == "sample_rate 22050, not 16000"
    assert caught.value.fix == "take a vocoder of 22050 Hz, or a generator of 16000 Hz"
    with pytest.raises(ConfigError, match=r"got +n_mels 6, not 20; mag_power 1.0, not 2.0\n"):
        check_fit(speaker, vocoder(nfilt=20, mag_power=2.0))


@pytest.mark.parametrize(
    ("shape", "fix"),
    [
        ((6, 9), r"spec\[None\] adds the batch"),
        ((1, 9, 6), r"spec.transpose\(1, 2\) puts time last"),
        ((1, 80, 9), "use a generator whose spectrograms have 6 bands"),
        ((1, 6, 0), "the spectrogram has no frames"),
    ],
)
def test_a_spectrogram_of_another_shape_is_refused(shape: tuple[int, ...], fix: str) -> None:
    with pytest.raises(ModelError, match=rf"(?s)expected +\(batch, 6 mel bands, frames\).*{fix}"):
        vocoder().convert_spectrogram_to_audio(torch.zeros(shape))


def test_a_class_without_the_verbs_says_so() -> None:
    with pytest.raises(ModelError, match="SpectrogramGenerator cannot read text"):
        SpectrogramGenerator({"preprocessor": FRONT_END}).parse("a")
    with pytest.raises(ModelError, match="makes no spectrograms"):
        SpectrogramGenerator({"preprocessor": FRONT_END}).generate_spectrogram(tokens=torch.zeros(1, 1))
    with pytest.raises(ModelError, match="Vocoder makes no sound"):
        Vocoder({"preprocessor": FRONT_END}).convert_spectrogram_to_audio(spec=torch.zeros(1, 6, 1))
