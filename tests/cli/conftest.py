"""A command line to call, and a recogniser small enough to load in no time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from seaspeak.cli.main import app


@pytest.fixture
def seaspeak() -> Callable[..., Result]:
    """Call the command line in this process: ``seaspeak("transcribe", path)``."""

    def call(*arguments: object, stdin: bytes | None = None) -> Result:
        return CliRunner().invoke(app, [str(each) for each in arguments], input=stdin)

    return call


@pytest.fixture(scope="session")
def archive(shared: Path) -> Path:
    """A QuartzNet of NeMo's making; it hears nonsense, always the same."""
    return shared / "fixtures" / "asr" / "quartznet5x5_tiny" / "model.nemo"
