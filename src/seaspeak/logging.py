"""Python's own logging, under the name that NeMo's programs use.

``seaspeak.logging.info(...)`` writes to the standard logger ``"seaspeak"``, of which every logger of the library is a
child. Importing and using the library installs no handler and sets no level: what an application configures holds, and
where it configures nothing, only warnings are seen, as always in Python. The one exception is a script's front door:
``NeuralModuleFactory()`` calls ``console()``, so that a program that configures nothing sees its loss.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from logging import CRITICAL, DEBUG, ERROR, INFO, WARNING

__all__ = [
    "CRITICAL",
    "DEBUG",
    "ERROR",
    "INFO",
    "WARNING",
    "console",
    "critical",
    "debug",
    "error",
    "exception",
    "getEffectiveLevel",
    "getLogger",
    "get_verbosity",
    "info",
    "setLevel",
    "set_verbosity",
    "temp_verbosity",
    "warning",
]

_logger = logging.getLogger("seaspeak")

debug = _logger.debug
info = _logger.info
warning = _logger.warning
error = _logger.error
critical = _logger.critical
exception = _logger.exception
getEffectiveLevel = get_verbosity = _logger.getEffectiveLevel
setLevel = set_verbosity = _logger.setLevel


def getLogger(name: str = "") -> logging.Logger:
    """Return the logger ``seaspeak.<name>``, or ``seaspeak`` itself."""
    return _logger.getChild(name) if name else _logger


@contextlib.contextmanager
def temp_verbosity(level: int) -> Iterator[None]:
    """Set the level within a ``with`` block."""
    before = _logger.level
    _logger.setLevel(level)
    try:
        yield
    finally:
        _logger.setLevel(before)


def console() -> None:
    """Show messages from INFO on, unless the program has configured logging; calling it again changes nothing.

    INFO goes to standard output, as NeMo's does, warnings and worse to standard error. As soon as the program gives
    the root logger a handler, this one is silent.
    """
    if _logger.handlers or logging.getLogger().handlers:
        return
    handler = _Console()
    handler.setFormatter(logging.Formatter("[seaspeak %(levelname).1s %(asctime)s] %(message)s", "%Y-%m-%d %H:%M:%S"))
    _logger.addHandler(handler)
    if _logger.level == logging.NOTSET:
        _logger.setLevel(logging.INFO)


class _Console(logging.Handler):
    """Writes to what ``sys.stdout`` and ``sys.stderr`` are at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        if logging.getLogger().handlers:
            return
        stream = sys.stdout if record.levelno < logging.WARNING else sys.stderr
        try:
            stream.write(self.format(record) + "\n")
            stream.flush()
        except Exception:  # as the standard handlers do: a log line never ends a program
            self.handleError(record)
