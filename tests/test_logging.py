"""Logging is Python's own: silent until someone configures it, or a script comes in by its front door."""

from __future__ import annotations

import logging as standard
import subprocess
import sys

import pytest

from seaspeak import logging
from tests.core.quiet import quiet_logging  # noqa: F401  (a fixture)

pytestmark = pytest.mark.usefixtures("quiet_logging")


def run(program: str) -> tuple[str, str]:
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return done.stdout, done.stderr


def test_importing_and_logging_installs_nothing() -> None:
    out, err = run(
        "import logging, seaspeak.logging as l; l.info('hidden'); l.warning('seen');"
        "assert not logging.getLogger('seaspeak').handlers and not logging.getLogger().handlers"
    )
    assert (out, err) == ("", "seen\n")


def test_a_script_that_configures_nothing_sees_its_messages() -> None:
    out, err = run(
        "import seaspeak.logging as l; l.console(); l.console(); "
        "l.debug('no'); l.info('loss %d', 3); l.warning('careful')"
    )
    assert out.startswith("[seaspeak I 2")
    assert out.endswith("] loss 3\n")
    assert err.startswith("[seaspeak W 2")
    assert err.count("careful") == 1


def test_a_program_that_configures_logging_is_left_alone() -> None:
    before, after = (
        "import logging, seaspeak.logging as l; logging.basicConfig(level='INFO', format='%(name)s %(message)s'); "
        "l.console(); l.info('x')",
        "import logging, seaspeak.logging as l; l.console(); "
        "logging.basicConfig(level='INFO', format='%(name)s %(message)s'); l.info('x')",
    )
    assert run(before) == run(after) == ("", "seaspeak x\n")


def test_a_level_that_was_set_stays(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standard.getLogger(), "handlers", [])
    logging.setLevel(logging.ERROR)
    logging.console()
    logging.warning("quiet")
    logging.error("loud")
    out, err = capsys.readouterr()
    assert (out, err.count("quiet"), err.count("loud")) == ("", 0, 1)


def test_loggers_and_levels() -> None:
    assert logging.getLogger() is standard.getLogger("seaspeak")
    assert logging.getLogger("mine") is standard.getLogger("seaspeak.mine")
    logging.set_verbosity(logging.INFO)
    with logging.temp_verbosity(logging.DEBUG):
        assert logging.get_verbosity() == logging.DEBUG
    assert logging.getEffectiveLevel() == logging.INFO


def test_a_message_carries_the_place_it_comes_from(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="seaspeak"):
        logging.info("here")
    assert caplog.records[0].filename == "test_logging.py"
