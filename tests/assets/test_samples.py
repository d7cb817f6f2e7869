"""The recordings that ship."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest
import soundfile

SAMPLES = Path(str(files("seaspeak"))) / "assets" / "samples"
ENTRIES = [json.loads(line) for line in (SAMPLES / "manifest.json").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["audio_filepath"])
def test_manifest_says_what_lies_beside_it(entry: dict) -> None:
    info = soundfile.info(SAMPLES / entry["audio_filepath"])
    assert info.duration == pytest.approx(entry["duration"], abs=0.02)
    assert entry["text"] and set(entry["text"]) <= set("abcdefghijklmnopqrstuvwxyz' ")


def test_two_voices_several_sentences_and_one_of_about_a_minute() -> None:
    durations = sorted(entry["duration"] for entry in ENTRIES)
    assert len({entry["voice"] for entry in ENTRIES}) == 2
    assert len(ENTRIES) >= 5
    assert 50 < durations[-1] < 70


def test_every_recording_is_in_the_manifest_and_all_are_small() -> None:
    recordings = {path.name for path in SAMPLES.iterdir()} - {"manifest.json", "README.md"}
    assert recordings == {entry["audio_filepath"] for entry in ENTRIES}
    assert sum(path.stat().st_size for path in SAMPLES.iterdir()) < 1_500_000
