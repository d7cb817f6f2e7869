"""The command line as tests of what goes wrong call it: in this process, or in one of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from typer.testing import CliRunner, Result

from seaspeak.cli.main import app

SEASPEAK = [str(Path(sys.executable).with_name("seaspeak"))]


def run(*arguments: str | Path, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], input=stdin)


def start(*arguments: object, **options: object) -> subprocess.Popen[str]:
    words = SEASPEAK + [str(each) for each in arguments]
    return subprocess.Popen(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def as_in_a_terminal() -> None:
    """Let Ctrl-C interrupt: a process that a shell started in the background is born deaf to it, with its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def errors(result: Result) -> list[str]:
    return [line for line in result.stderr.splitlines() if line.startswith("seaspeak: ")]


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition() and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.05)
