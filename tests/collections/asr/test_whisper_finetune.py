"""The recipe that made the recogniser that ships, on a hundredth of its data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from seaspeak.collections.asr.models import WhisperModel
from seaspeak.text.bytepair import ALPHABET, SPECIAL
from tests.collections.asr.test_whisper_weights import binary, published

ROOT = Path(__file__).parents[3]
MERGES = [("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("Ġ", "a"), ("i", "n"), ("Ġa", "n"), ("Ġan", "d")]


def package(folder: Path) -> Path:
    """A folder like that of the package with the published weights, random and with few pieces."""
    pieces = [*(letter.replace(" ", "Ġ") for letter in ALPHABET), *(left + right for left, right in MERGES)]
    marks = [{"content": mark, "id": len(pieces) + place} for place, mark in enumerate(SPECIAL)]
    model = {"vocab": {piece: place for place, piece in enumerate(pieces)}, "merges": [" ".join(m) for m in MERGES]}
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps({"model": model, "added_tokens": marks}))
    variables = published(width=384, bands=80, pieces=len(pieces) + len(marks), layers=4, texts=448)
    (folder / "model.bin").write_bytes(binary(variables))
    return folder


def run(shared: Path, folder: Path, *settings: str) -> str:
    small = ["batch_frames=1500", "silence=300", "checkpoint_every=1", *settings]
    command = [
        sys.executable, "examples/asr/whisper_finetune.py", "--package-weights", str(folder / "package"),
        "--data", str(shared / "data"), "--work", str(folder / "work"), "--output", str(folder / "out.nemo"),
        "--fraction", "0.01", "--threads", "1", "--skip-evaluation", *small,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_recipe_trains_goes_on_and_writes_an_archive(shared: Path, tmp_path: Path) -> None:
    package(tmp_path / "package")

    first = run(shared, tmp_path, "stages.0.steps=1", "stages.1.steps=1")
    second = run(shared, tmp_path, "stages.0.steps=1", "stages.1.steps=2")

    assert "computing features: recorded" in first and "computing features" not in second
    assert second.count("going on after step 1") == 2
    model = WhisperModel.restore_from(tmp_path / "out.nemo", map_location="cpu")
    assert model.tokenizer.pieces_of("the and") == [" the", " and"]
    assert all(bool(torch.isfinite(weight).all()) for weight in model.parameters())
