"""What the user named, as a list of recordings: files, folders, patterns, a manifest, standard input."""

from __future__ import annotations

import glob
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from seaspeak.core.errors import DataError, FileMissingError, SeaspeakError

SUFFIXES = frozenset({".aif", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".w64", ".wav"})
NOWHERE = PurePath()


@dataclass(frozen=True)
class Recording:
    """One recording to transcribe.

    Attributes:
        name: as the user knows it; ``-`` is standard input.
        audio: what the transcriber takes: a path, a file object, or a manifest entry.
        place: where its results go below the output folder, without a suffix.
        error: why it cannot be transcribed, if that is known already.
    """

    name: str
    audio: Any = None
    place: PurePath = NOWHERE
    error: SeaspeakError | None = None


class _Piped(io.BytesIO):
    """What came through standard input, called as the user calls it."""

    name = "-"


@dataclass(frozen=True)
class LeftOut:
    """Files of a folder that are no recordings."""

    folder: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        shown = ", ".join(self.names[:3]) + (", ..." if len(self.names) > 3 else "")
        what = (
            "file that does not end like a recording"
            if len(self.names) == 1
            else "files that do not end like recordings"
        )
        return f"left out of {self.folder}: {len(self.names)} {what} ({shown})"


def collect(arguments: Sequence[str], manifest: Path | None = None) -> tuple[list[Recording], list[LeftOut]]:
    """Return every recording that was named, in the order given, and what folders held besides.

    Raises:
        SeaspeakError: the manifest cannot be read.
    """
    recordings: list[Recording] = []
    left_out: list[LeftOut] = []
    for argument in arguments:
        path = Path(argument)
        if argument == "-":
            recordings.append(Recording("-", _Piped(sys.stdin.buffer.read()), PurePath("stdin")))
        elif path.is_dir():
            recordings += _folder(path, left_out)
        elif not path.exists() and glob.has_magic(argument):
            recordings += _pattern(argument)
        else:
            recordings.append(_file(path))
    if manifest is not None:
        recordings += _manifest(manifest)
    return recordings, left_out


def is_one(arguments: Sequence[str], manifest: Path | None) -> bool:
    """Whether the user named exactly one file (or standard input), so that its text alone is wanted."""
    if manifest is not None or len(arguments) != 1:
        return False
    path = Path(arguments[0])
    return not path.is_dir() and (path.exists() or not glob.has_magic(arguments[0]))


def _file(path: Path) -> Recording:
    if path.exists():
        return Recording(str(path), path, PurePath(path.stem))
    return Recording(str(path), error=FileMissingError(f"there is no file {str(path)!r}"))


def _folder(folder: Path, left_out: list[LeftOut]) -> Iterator[Recording]:
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
    found = [path for path in files if path.suffix.lower() in SUFFIXES]
    if others := [path.name for path in files if path.suffix.lower() not in SUFFIXES]:
        left_out.append(LeftOut(str(folder), tuple(others)))
    if not found:
        problem = f"the folder {str(folder)!r} holds no recordings"
        yield Recording(str(folder), error=DataError(problem, expected=" ".join(sorted(SUFFIXES))))
    for path in found:
        yield Recording(str(path), path, path.relative_to(folder).with_suffix(""))


def _pattern(pattern: str) -> list[Recording]:
    paths = sorted(Path(path) for path in glob.glob(pattern, recursive=True))
    files = [_file(path) for path in paths if path.is_file()]
    return files or [Recording(pattern, error=FileMissingError(f"no file matches {pattern!r}"))]


def _manifest(path: Path) -> list[Recording]:
    from seaspeak.data.manifest import read

    return [Recording(str(e.audio_filepath), e, PurePath(Path(e.audio_filepath).stem)) for e in read(path)]
