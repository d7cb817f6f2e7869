"""Ctrl-C while results are being kept: noted always, and never between two halves of one result."""

from __future__ import annotations

import _thread
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """What Ctrl-C does to a run: it stops at once, except where that would tear a result or be lost in a library."""

    def __init__(self) -> None:
        self._came = 0
        self._held = False  # until a result is kept
        self._again = False  # the next signal is the repetition of one

    @contextmanager
    def noticed(self) -> Iterator[None]:
        """Note Ctrl-C within the block; it raises as usual, except where it is put off.

        Where libsndfile reads through Python, an exception would be printed and lost: there the signal comes again
        ten milliseconds later. Outside the main thread, and where the process ignores the signal, nothing changes.
        """
        usual = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread() or not callable(usual):
            yield
            return

        def note(number: int, frame: FrameType | None) -> None:
            self._came += not self._again
            self._again = False
            if self._held and self._came == 1:
                return
            if _inside_libsndfile(frame):
                self._again = True
                threading.Timer(0.01, _thread.interrupt_main).start()
                return
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


def _inside_libsndfile(frame: FrameType | None) -> bool:
    """Whether Python runs in a callback of soundfile, called from C."""
    while frame is not None:
        if frame.f_globals.get("__name__") == "soundfile" and frame.f_code.co_name.startswith("vio_"):
            return True
        frame = frame.f_back
    return False
