"""Words that are spelt alike and spoken in two ways."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from seaspeak.text.g2p import EnglishG2p
from seaspeak.text.heteronyms import HeteronymModel, Reading, shipped


@pytest.mark.parametrize(
    ("sentence", "word", "phones"),
    [
        ("He was present at the meeting.", "present", "P R EH1 Z AH0 N T"),
        ("They want to present the plan.", "present", "P R IY0 Z EH1 N T"),
        ("They refuse to record it.", "record", "R AH0 K AO1 R D"),
        ("It was a record.", "record", "R EH1 K ER0 D"),
    ],
)
def test_words_around_decide(sentence: str, word: str, phones: str) -> None:
    said = " ".join(EnglishG2p(pronounce_all=True)(sentence))
    assert phones in said, said


def test_the_recipe_gives_what_ships_and_the_figures_of_its_card(shared: Path, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    data, made = shared / "data/text/pronunciation", tmp_path / "made.json.gz"
    command = [sys.executable, root / "examples/tts/heteronyms_train.py", made, data]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert made.read_bytes() == shipped().to_bytes()
    assert "'told apart by CMUdict': 342" in printed
    assert "'model': 281" in printed  # 82.2 %


def test_storage_keeps_the_choice() -> None:
    readings = {
        "lead": [
            Reading(("L", "EH1", "D"), "noun", 3, {"-1:of": 3}),
            Reading(("L", "IY1", "D"), "verb", 3, {"-1:to": 3}),
        ]
    }
    model = HeteronymModel(readings, {"noun": {"-1:of": 3}, "verb": {"-1:to": 3}})
    for one in (model, HeteronymModel.from_bytes(model.to_bytes())):
        chosen = [one.choose("lead", [cue]) for cue in ("-1:of", "-1:to")]
        assert [reading and reading.phones[1] for reading in chosen] == ["EH1", "IY1"]
    assert model.choose("cat", []) is None


def test_a_reading_that_the_dictionary_lacks_is_not_made_up() -> None:
    g2p = EnglishG2p({"record": [("X",), ("Y",)]}, pronounce_all=True)
    assert g2p("to record")[-1] == "X"
