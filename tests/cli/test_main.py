"""The frame of the command line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
from typer.testing import Result

from seaspeak._version import __version__
from seaspeak.cli import main
from seaspeak.core.errors import AudioError

Seaspeak = Callable[..., Result]


def test_version(seaspeak: Seaspeak) -> None:
    assert seaspeak("--version").stdout == f"seaspeak {__version__}\n"


def test_help_lists_every_command(seaspeak: Seaspeak) -> None:
    text = seaspeak("--help").stdout
    assert all(name in text for name in main.COMMANDS)


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "seaspeak", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"seaspeak {__version__}\n"


def test_an_error_made_for_people_is_printed_as_it_is(seaspeak: Seaspeak, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AudioError("the recording is broken", fix="mend it")

    monkeypatch.setattr("seaspeak.cli.doctor._machine", fail)
    result = seaspeak("doctor")
    assert (result.exit_code, result.stderr) == (1, "seaspeak: the recording is broken\n  fix      mend it\n")


def test_an_interruption_leaves_with_130(seaspeak: Seaspeak, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("seaspeak.cli.doctor._machine", interrupt)
    result = seaspeak("doctor")
    assert (result.exit_code, result.stderr) == (130, "seaspeak: interrupted\n")
