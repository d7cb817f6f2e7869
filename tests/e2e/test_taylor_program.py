"""The first article's program."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "examples" / "taylor_sine.py"
SEEDED = "import numpy, torch; numpy.random.seed(7); torch.manual_seed(7)\n"
FIRST, LAST = 64.81342, 0.175125  # with this seed, torch 2.13, x86-64


def losses(program: str) -> list[float]:
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=300)
    assert done.stderr == ""
    return [float(value) for value in re.findall(r"Train Loss: (\S+)", done.stdout)]


def test_the_program_is_the_articles_word_for_word(shared: Path) -> None:
    text = (shared / "design" / "architecture.md").read_text(encoding="utf-8")
    printed = text.split("**a. The first article's")[1].split("```python\n")[1].split("```")[0]
    assert PROGRAM.read_text(encoding="utf-8") == printed


@pytest.mark.e2e
def test_the_program_runs_and_learns_the_sine() -> None:
    shown = losses(SEEDED + PROGRAM.read_text(encoding="utf-8"))
    assert len(shown) == 10  # steps 0, 25, ..., 225 of 237
    assert 2 < shown[0] < 700
    assert 0.02 < shown[-1] < 0.34
    assert shown[0] == pytest.approx(FIRST, rel=1e-3)
    assert shown[-1] == pytest.approx(LAST, rel=1e-2)
