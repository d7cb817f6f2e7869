"""The second article's program, its notebook, and what the models that ship make of a recording."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
import soundfile
from nbclient import NotebookClient

from seaspeak.collections.asr.metrics.wer import word_error_rate
from seaspeak.collections.asr.models import ASRModel
from tests.e2e.pages import ROOT, SAMPLES, environment

PROGRAM = ROOT / "examples" / "voice_swap.py"
NOTEBOOK = ROOT / "examples" / "notebooks" / "voice_swap.ipynb"


def test_the_program_is_the_articles_word_for_word(shared: Path) -> None:
    text = (shared / "design" / "architecture.md").read_text(encoding="utf-8")
    printed = text.split("**b. The second article's")[1].split("```python\n")[1].split("```")[0]
    theirs = [line.split("  #")[0].rstrip() for line in printed.splitlines() if line]
    ours = PROGRAM.read_text(encoding="utf-8").replace("[sys.argv[1]]", '["talk.wav"]').splitlines()
    assert [line for line in ours if line in theirs] == theirs


@pytest.mark.slow
@pytest.mark.e2e
def test_the_program_says_the_recording_again(tmp_path: Path) -> None:
    swapped = tmp_path / "swapped.wav"
    command = [sys.executable, str(PROGRAM), str(SAMPLES / "boats.flac"), str(swapped)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
    said = "the fishing boats came back to the beach before the storm"
    assert re.sub(r"[.,?]", "", done.stdout).strip().lower() == said
    assert soundfile.info(swapped).duration > 2
    heard = ASRModel.from_pretrained("seaspeak_en_recogniser").transcribe(str(swapped), verbose=False)
    assert word_error_rate(heard, [said], use_cer=True) < 0.2


@pytest.mark.slow
@pytest.mark.e2e
def test_every_cell_of_the_notebook_runs(tmp_path: Path) -> None:
    book = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(book)
    NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute(env=environment())
    shown = [cell.outputs for cell in book.cells if cell.cell_type == "code"]
    assert shown[0][-1]["data"]["text/html"].count("<audio") == 2
    printed = "".join(output.get("text", "") for outputs in shown for output in outputs)
    assert "flowchart LR" in printed and "resample" in printed and "sister" in printed
    assert (tmp_path / "report.html").stat().st_size > 100_000


def test_the_notebook_is_stored_without_results() -> None:
    cells: list[Any] = nbformat.read(NOTEBOOK, as_version=4).cells
    assert all(not cell.outputs and cell.execution_count is None for cell in cells if cell.cell_type == "code")
