"""Keeps the handler that ``NeuralModuleFactory`` installs out of other tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def quiet_logging() -> Iterator[logging.Logger]:
    """The library's logger, without handlers and level; as it was, afterwards."""
    logger = logging.getLogger("seaspeak")
    handlers, level = logger.handlers[:], logger.level
    logger.handlers.clear()
    logger.setLevel(logging.NOTSET)
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)
