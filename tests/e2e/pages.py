"""Run the code blocks of a Markdown page as a reader would: in order, in one namespace, in one folder.

    python -m tests.e2e.pages PAGE

A ``python`` block is executed. In a ``console`` block, a line that begins with ``$`` is run; if lines follow it, they
are its standard output, where ``...`` stands for anything. Blocks in other languages are for reading.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import soundfile
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "src" / "seaspeak" / "assets" / "samples"
BY_HAND = ("make ", "git ", "pip install ", "docker ")  # other tests run these, or nothing here can


def run(page: Path, folder: Path) -> int:
    """Run ``page`` in ``folder`` in a process of its own; return how many blocks ran."""
    prepare(folder)
    command = [sys.executable, "-m", "tests.e2e.pages", str(page)]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{page}\n{done.stdout[-2000:]}\n{done.stderr[-6000:]}"
    return int(done.stdout.splitlines()[-1])


def prepare(folder: Path) -> None:
    """Lay out what pages may use: ``talk.wav``, ``recordings/`` with a manifest, ``src`` and ``examples``."""
    samples, rate = soundfile.read(SAMPLES / "boats.flac")
    soundfile.write(folder / "talk.wav", samples, rate)
    shutil.copytree(SAMPLES, folder / "recordings", ignore=shutil.ignore_patterns("*.md"))
    for name in ("src", "examples"):
        (folder / name).symlink_to(ROOT / name)


def environment() -> dict[str, str]:
    """Return an environment in which ``seaspeak`` and ``python`` are those of this test run, without a network."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "120", "SEASPEAK_OFFLINE": "1"}


def run_console(example: Example) -> None:
    """Run the commands of one console block, and compare what they print where the page shows it."""
    for command, expected in commands(example.parsed):
        if command.startswith(BY_HAND):
            continue
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
        where = f"line {example.line}: {command}"
        assert done.returncode == 0, f"{where}\n{done.stdout}{done.stderr}"
        assert not expected or matches(done.stdout, expected), f"{where}\n{done.stdout}"


def commands(block: str) -> list[tuple[str, str]]:
    """Split a console block into commands (a backslash continues a line) and the output shown below each."""
    found: list[tuple[str, list[str]]] = []
    for line in block.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            found.append((line[2:].split("  #")[0].strip(), []))
        elif found:
            found[-1][1].append(line)
    return [(command, "\n".join(lines).strip()) for command, lines in found]


def matches(output: str, expected: str) -> bool:
    """Whether ``output`` is ``expected``, where ``...`` stands for anything and a run of blanks is one blank."""
    parts = [re.escape(" ".join(part.split())) for part in expected.split("...")]
    return re.fullmatch(r"\s*.*?\s*".join(parts), " ".join(output.split())) is not None


def main() -> None:
    """Run the page that the command line names, and print the number of its blocks."""
    sybil = Sybil([PythonCodeBlockParser(), CodeBlockParser("console", run_console)])
    examples = list(sybil.parse(Path(sys.argv[1])).examples())
    for example in examples:
        example.evaluate()
    print(len(examples))


if __name__ == "__main__":
    main()
