from __future__ import annotations

from pathlib import Path

import torch

from seaspeak.collections.tts.losses.fastpitch import DurationLoss, FastPitchLoss, MelLoss, PitchLoss
from tests.fixture import Fixture


def test_sum_is_nemos_of_1_0(shared: Path) -> None:
    fixture = Fixture(shared / "fixtures/tts/v1_losses")
    inputs = {name: torch.from_numpy(value) for name, value in fixture.group("fastpitch").items() if "loss" not in name}
    for number, loss in enumerate(FastPitchLoss()(**inputs)):
        fixture.assert_close(f"fastpitch/loss_{number}", loss)


def test_parts_are_nemos(shared: Path) -> None:
    fixture = Fixture(shared / "fixtures/tts/fastpitch_tiny")
    at = {name: torch.from_numpy(value) for name, value in fixture.io.items()}
    fixture.assert_close("loss/mel", MelLoss()(at["given_durs/spect"], at["loss/mel_target"]))
    lens = at["loss/text_len"]
    durations = DurationLoss(1.0)(at["given_durs/log_durs_predicted"], at["durs"], lens)
    fixture.assert_close("loss/duration", durations)
    pitch = PitchLoss(1.0)(at["given_durs/pitch_predicted"], at["loss/pitch_tgt"], lens)
    fixture.assert_close("loss/pitch", pitch)
