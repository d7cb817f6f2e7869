"""Where transcripts go: to standard output in the order given, or into files as soon as they are there."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import IO, TYPE_CHECKING, Protocol

from seaspeak.cli.recordings import Recording
from seaspeak.core.errors import StorageError
from seaspeak.text.writers import render

if TYPE_CHECKING:
    from seaspeak.text.transcript import Transcript


class Results(Protocol):
    """Takes transcripts in any order; ``close`` is called at the end and on Ctrl-C."""

    def add(self, index: int, transcript: Transcript | None) -> None:
        """Take the transcript of recording ``index``, or None if it failed."""

    def close(self) -> None:
        """Bring out what was held back."""


class InOrder:
    """Prints each transcript when all before it have been printed or have failed."""

    def __init__(self, render: Callable[[int, Transcript], str], write: Callable[[str], None]) -> None:
        self._render, self._write = render, write
        self._next = 0
        self._held: dict[int, Transcript | None] = {}

    def add(self, index: int, transcript: Transcript | None) -> None:
        """Take the transcript of recording ``index``, or None if it failed."""
        self._held[index] = transcript
        while self._next in self._held:
            self._print(self._next)
            self._next += 1

    def close(self) -> None:
        """Print what was held back: after Ctrl-C, recordings before it may be missing."""
        for index in sorted(self._held):
            self._print(index)

    def _print(self, index: int) -> None:
        if (transcript := self._held.pop(index)) is not None:
            self._write(self._render(index, transcript))


class IntoFolder:
    """Writes each transcript in every format wanted, whole or not at all, as soon as it is there."""

    def __init__(self, folder: Path, recordings: Sequence[Recording], formats: Sequence[str]) -> None:
        check_folder(folder)
        self._folder, self._formats = folder, formats
        self._places = places(recordings)

    def add(self, index: int, transcript: Transcript | None) -> None:
        """Take the transcript of recording ``index``, or None if it failed."""
        if transcript is None:
            return
        place = self._folder / self._places[index]
        for form in self._formats:
            write_file(place.with_name(f"{place.name}.{form}"), render(transcript, form, name=place.name))

    def close(self) -> None:
        """Nothing is held back."""


def places(recordings: Sequence[Recording]) -> list[PurePath]:
    """Return a place for each recording's results; where two would share one, the later gets a number."""
    taken: set[PurePath] = set()
    found = []
    for recording in recordings:
        place, number = recording.place, 1
        while place in taken:
            number += 1
            place = recording.place.with_name(f"{recording.place.name}-{number}")
        taken.add(place)
        found.append(place)
    return found


def check_folder(folder: Path) -> None:
    """Make the folder, and see that it can be written to, before an hour of work is spent.

    Raises:
        StorageError: it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _storage(f"the output folder {str(folder)!r} cannot be written to", error) from error


def write_file(path: Path, text: str) -> None:
    """Write ``text`` to ``path``: afterwards it holds the whole text, or what it held before.

    Raises:
        StorageError: the disk is full, or the folder cannot be written to.
    """
    from seaspeak.core.archive import atomic

    with atomic(path) as stream:
        stream.write(text.encode("utf-8"))


def write_out(text: str, stream: IO[str] | None = None) -> None:
    """Print ``text`` and see it through, so that Ctrl-C loses nothing of it.

    Raises:
        StorageError: standard output leads to a full disk.
    """
    stream = stream or sys.stdout
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        raise  # whoever was reading has read enough
    except OSError as error:
        raise _storage("standard output cannot be written", error) from error


def _storage(problem: str, error: OSError) -> StorageError:
    return StorageError(problem, got=error.strerror or str(error), fix="choose another place")
