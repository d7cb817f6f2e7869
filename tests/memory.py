"""How much memory a command takes at most."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

PROGRAM = """
import sys
from seaspeak.cli.main import run
try:
    run()
finally:  # of this program alone: what getrusage tells begins with the memory of whoever started it
    print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0], file=sys.stderr)
"""


class Measured(NamedTuple):
    """What a command said, and the most bytes that it held at a time."""

    returncode: int
    stdout: str
    stderr: str
    peak: int


def measured(*arguments: object, cwd: Path) -> Measured:
    """Run the command line in a process of its own."""
    words = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    *lines, peak = done.stderr.splitlines(keepends=True)
    return Measured(done.returncode, done.stdout, "".join(lines), int(peak) * 1024)
