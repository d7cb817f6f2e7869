"""A progress bar for people: on a terminal, never in a pipe or a log."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Progress:
    """Counts what is finished on standard error; silent where that is no terminal."""

    def __init__(self) -> None:
        self._bar: Any = None

    @contextmanager
    def shown(self, title: str, total: int | None = None) -> Iterator[None]:
        """Show the bar for as long as the work takes."""
        if not sys.stderr.isatty():
            yield
            return
        self._bar = _bar()
        self._bar.add_task(title, total=total)
        try:
            with self._bar:
                yield
        finally:
            self._bar = None

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Take the bar away while something else is printed on the same terminal."""
        bar = self._bar
        if bar is not None:
            bar.stop()
        try:
            yield
        finally:
            if bar is not None:
                bar.start()

    def at(self, done: int, total: int) -> None:
        """So much of so much is finished."""
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, total=total)

    def advance(self) -> None:
        """One thing more is finished."""
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0])


def _bar() -> Any:
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    return progress.Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False)
