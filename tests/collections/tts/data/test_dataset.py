from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from seaspeak.collections.tts.data.dataset import TTSDataset, build_loader, save_tensor
from seaspeak.core.errors import ConfigError, DataError
from seaspeak.data import manifest
from seaspeak.text.speech_tokenizers import EnglishCharsTokenizer
from tests.fixture import Fixture

TYPES = ["speaker_id", "energy", "pitch", "align_prior_matrix", "log_mel", "p_voiced", "voiced_mask"]


@pytest.fixture(scope="module")
def fixture(shared: Path) -> Fixture:
    return Fixture(shared / "fixtures/tts/tts_dataset_v123")


@pytest.fixture
def clips(fixture: Fixture, tmp_path: Path) -> Path:
    """The fixture's two utterances as a manifest."""
    lines = []
    for number, text in enumerate(fixture.meta["text_outputs"]["texts"]):
        name, rate = f"clip{number}.wav", fixture.config["sample_rate"]
        samples = fixture.io[f"item{number}/audio"]
        soundfile.write(tmp_path / name, samples, rate, subtype="FLOAT")
        speaker = int(fixture.io[f"item{number}/speaker_id"])
        duration = len(samples) / rate
        lines.append({"audio_filepath": name, "text": text, "duration": duration, "speaker": speaker})
    manifest.write(tmp_path / "clips.json", lines)
    return tmp_path / "clips.json"


def data(clips: Path, fixture: Fixture, **options: Any) -> TTSDataset:
    names = ("n_fft", "win_length", "hop_length", "n_mels", "lowfreq", "highfreq", "pitch_fmin", "pitch_fmax")
    settings = {name: fixture.config[name] for name in names} | {"sup_data_types": TYPES} | options
    return TTSDataset(clips, 22050, EnglishCharsTokenizer(pad_with_space=True), **settings)


def test_examples_and_batches_are_nemos(clips: Path, fixture: Fixture) -> None:
    dataset = data(clips, fixture)
    examples = [dataset[number] for number in range(2)]
    for number, example in enumerate(examples):
        for kind, value in example.items():
            fixture.assert_close(f"item{number}/{kind}", value)
    batch = dataset.collate_fn(examples)
    assert len(batch) == 14
    for number, value in enumerate(batch):
        fixture.assert_close(f"batch/output_{number}", value)
    assert dataset.named(batch)["pitch"] is batch[7]


def test_pitch_is_computed_once(clips: Path, fixture: Fixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "sup"
    first = data(clips, fixture, sup_data_path=folder)[0]
    assert sorted(path.parent.name for path in folder.rglob("*.pt")) == [
        "energy", "log_mel", "p_voiced", "pitch", "voiced_mask",
    ]  # fmt: skip
    again = data(clips, fixture, sup_data_path=folder, sup_data_types=["pitch"])
    monkeypatch.setattr(again, "_pitch", lambda audio: pytest.fail("computed again"))
    assert torch.equal(again[0]["pitch"], first["pitch"])


def test_pitch_is_normalised_where_voiced(clips: Path, fixture: Fixture) -> None:
    plain = data(clips, fixture, sup_data_types=["pitch"])[0]["pitch"]
    normal = data(clips, fixture, sup_data_types=["pitch"], pitch_norm=True, pitch_mean=100.0, pitch_std=20.0)[0]
    np.testing.assert_allclose(normal["pitch"], torch.where(plain > 0, (plain - 100) / 20, plain), rtol=1e-6)


def test_durations_of_another_text_are_refused(clips: Path, fixture: Fixture, tmp_path: Path) -> None:
    options = {"sup_data_types": ["durations"], "sup_data_path": tmp_path / "sup"}
    with pytest.raises(DataError, match=r"clips\.json:1: there are no durations"):
        data(clips, fixture, **options)[0]
    save_tensor(tmp_path / "sup/durations/clip0.pt", torch.tensor([1, 2]))
    with pytest.raises(DataError, match="is of another text or tokenizer"):
        data(clips, fixture, **options)[0]


def test_wrong_settings_are_refused(clips: Path, fixture: Fixture) -> None:
    with pytest.raises(ConfigError, match="sup_data_types has 'f0'"):
        data(clips, fixture, sup_data_types=["f0"])
    with pytest.raises(ConfigError, match="pitch_norm needs"):
        data(clips, fixture, pitch_norm=True)


def test_texts_come_from_the_field_that_is_meant(clips: Path, fixture: Fixture) -> None:
    line = {"audio_filepath": "clip0.wav", "text": "five", "raw_text": "5!", "normalized_text": "Five."}
    manifest.write(clips, [line])

    def text(**options: Any) -> str:
        return TTSDataset(clips, 22050, len, text_normalizer=str.upper, **options).text_of(manifest.read(clips)[0])

    assert [text(), text(text_field="text"), text(text_field="raw_text")] == ["Five.", "FIVE", "5!"]
    with pytest.raises(DataError, match=r"the line has no 'words'"):
        text(text_field="words")


def test_loader_hands_an_error_of_an_utterance_on(clips: Path) -> None:
    (clips.parent / "clip1.wav").unlink()
    section = {
        "dataset": {"manifest_filepath": str(clips), "sample_rate": 22050},
        "dataloader_params": {"batch_size": 2},
    }
    loader = build_loader(section, shuffle=False, text_tokenizer=EnglishCharsTokenizer())
    with pytest.raises(DataError, match=r"clips\.json:2"):
        list(loader)
