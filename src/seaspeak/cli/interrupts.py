"""Ctrl-C while results are being kept: noted always, and never between two halves of one result."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Interrupts:
    """Notes every Ctrl-C of a run, since libraries that call back from C may swallow the exception it raises."""

    def __init__(self) -> None:
        self._came = 0
        self._held = False

    @contextmanager
    def noticed(self) -> Iterator[None]:
        """Note Ctrl-C within the block; it raises as usual, except where it is put off.

        Outside the main thread, and where the process ignores the signal, nothing changes.
        """
        usual = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread() or not callable(usual):
            yield
            return

        def note(number: int, frame: Any) -> None:
            self._came += 1
            if not self._held or self._came > 1:
                usual(number, frame)

        signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, usual)

    @contextmanager
    def put_off(self) -> Iterator[None]:
        """Let the block end before a first Ctrl-C takes effect; a second one does not wait.

        Raises:
            KeyboardInterrupt: one came, now or earlier in the run.
        """
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._came:
            raise KeyboardInterrupt
