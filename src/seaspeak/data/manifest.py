"""Manifests: one JSON object a line, each an utterance.

    {"audio_filepath": "clips/a.flac", "duration": 2.31, "text": "hello world"}

Keys (spec of NeMo 0.11 to 3.0): ``audio_filepath`` (or ``audio_filename``), relative to the manifest's folder or to the
working directory; ``duration`` in seconds; ``text``, or ``text_filepath``, or ``normalized_text``; ``offset`` in
seconds; and whatever else, kept as it is.

A file that ends in ``.csv`` is read as LJSpeech's ``metadata.csv``: lines ``ID|text`` or ``ID|text|normalised text``,
and the recordings beside it in ``wavs`` (or ``wav``, ``audio``).
"""

from __future__ import annotations

import json
import logging
import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from seaspeak.audio import io
from seaspeak.core.errors import DataError, FileMissingError

logger = logging.getLogger(__name__)

Paths = str | Path | Iterable["Paths"]
_LONGEST_NAME = 255  # a relative path of this many characters is taken as it stands, as NeMo does
_SHOWN = 5
_KNOWN_KEYS = frozenset(("audio_filepath", "audio_filename", "duration", "text", "text_filepath", "offset"))
_FOLDERS, _ENDINGS = ("wavs", "wav", "audio"), (".wav", ".flac", ".ogg", ".opus", ".mp3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One utterance.

    Attributes:
        audio_filepath: where its recording lies; in a tarred set, the name of the member.
        duration: in seconds; None if the manifest does not say.
        text: the transcript; empty if there is none.
        offset: where in the recording it begins, in seconds.
        manifest, line: where it stands, the first line being 1.
        number: its place among all lines of all manifests read together, from 0.
        extra: the other keys of its line, such as ``speaker`` or ``lang``.
    """

    audio_filepath: str
    duration: float | None = None
    text: str = ""
    offset: float = 0.0
    manifest: str = ""
    line: int = 0
    number: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """File and line, as messages give them."""
        return f"{self.manifest}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """Utterances left out for one reason."""

    reason: str
    count: int
    hours: float

    def __str__(self) -> str:
        return f"{self.count} {self.reason} ({self.hours:.2f} h)"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a manifest that is not blank: its fields, or what is wrong with it."""

    manifest: Path
    number: int
    raw: bytes
    fields: dict[str, Any] | None
    problem: str = ""

    @property
    def duration(self) -> float | None:
        """In seconds, None if unknown."""
        value = (self.fields or {}).get("duration")
        return None if value is None else float(value)


def lines(path: Path) -> Iterator[Line]:
    """Yield the lines of a manifest, the broken ones too.

    Raises:
        FileMissingError: there is no such file.
        DataError: it cannot be opened.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise FileMissingError(f"there is no manifest {path}") from error
    except OSError as error:
        raise DataError(f"the manifest {path} cannot be opened", got=error.strerror or str(error)) from error
    parse = _ljspeech_line if path.suffix == ".csv" else _line
    with file:
        for number, raw in enumerate(file, start=1):
            if number == 1:
                raw = raw.removeprefix(b"\xef\xbb\xbf")  # byte order mark of Windows editors
            if stripped := raw.strip():
                yield parse(path, number, stripped)


def _line(path: Path, number: int, raw: bytes) -> Line:
    try:
        fields = json.loads(raw)
    except UnicodeDecodeError:
        return Line(path, number, raw, None, "is not UTF-8")
    except ValueError as error:
        return Line(path, number, raw, None, f"is not JSON: {error}")
    if not isinstance(fields, dict):
        return Line(path, number, raw, None, f"is not a JSON object but a {type(fields).__name__}")
    if not isinstance(fields.get("audio_filename") or fields.get("audio_filepath"), str):
        return Line(path, number, raw, None, "has no audio_filepath")
    for key in ("duration", "offset"):
        if fields.get(key) is not None and not _is_length(fields[key]):
            return Line(path, number, raw, None, f"has {key} {fields[key]!r}, which is not a number of seconds")
    for key in ("text", "text_filepath"):
        if not isinstance(fields.get(key, ""), str):
            return Line(path, number, raw, None, f"has {key} {fields[key]!r}, which is not a text")
    return Line(path, number, raw, fields)


def _ljspeech_line(path: Path, number: int, raw: bytes) -> Line:
    name, *texts = raw.decode("utf-8", "replace").split("|")
    if not texts:
        return Line(path, number, raw, None, "is not 'ID|text', as the lines of LJSpeech's metadata.csv are")
    places = (path.parent / folder / f"{name}{ending}" for folder in _FOLDERS for ending in _ENDINGS)
    recording = next((place for place in places if place.is_file()), None)
    if recording is None:
        return Line(path, number, raw, None, f"names a recording that is missing: {_FOLDERS[0]}/{name}{_ENDINGS[0]}")
    fields = {
        "audio_filepath": str(recording.relative_to(path.parent)),
        "duration": io.info(recording).duration,
        "text": texts[0],
        **({"normalized_text": texts[1]} if texts[1:] else {}),
    }
    return Line(path, number, json.dumps(fields).encode(), fields)


def _is_length(value: object) -> bool:
    try:
        seconds = float(value)  # type: ignore[arg-type]  # what is no number is caught below
    except (TypeError, ValueError):
        return False
    return math.isfinite(seconds) and seconds >= 0


def manifest_paths(paths: Paths) -> list[Path]:
    """Return the files that ``manifest_filepath`` names: one, several with commas between, or a list of such.

    >>> [str(path) for path in manifest_paths(["a.json,b.json", "c.json"])]
    ['a.json', 'b.json', 'c.json']
    """
    if isinstance(paths, Path):
        return [paths]
    if isinstance(paths, str):
        names = [paths] if "," not in paths or Path(paths).exists() else paths.split(",")
        return [Path(name.strip()).expanduser() for name in names if name.strip()]
    return [path for each in paths for path in manifest_paths(each)]


class Manifest(Sequence[Entry]):
    """Utterances, packed: a line is parsed when it is asked for.

    Lines lie end to end in one array, so that worker processes share them; a million Python objects would be copied
    into every worker as soon as their reference counts are touched.

    Attributes:
        dropped: what was left out, and why.
    """

    def __init__(self, *, tarred: bool = False) -> None:
        self.dropped: tuple[Dropped, ...] = ()
        self._tarred = tarred
        self._files: list[Path] = []
        self._file, self._line, self._number, self._end = array("l"), array("q"), array("q"), array("q")
        self._seconds = array("d")
        self._raw = bytearray()

    def append(self, line: Line, number: int) -> None:
        """Add a line that is not broken; ``number`` is its place among all lines that were read."""
        if not self._files or self._files[-1] != line.manifest:
            self._files.append(line.manifest)
        self._file.append(len(self._files) - 1)
        self._line.append(line.number)
        self._number.append(number)
        self._raw += line.raw
        self._end.append(len(self._raw))
        self._seconds.append(math.nan if line.duration is None else line.duration)

    @property
    def durations(self) -> NDArray[np.float64]:
        """Seconds of each entry, (num_entries,), NaN where unknown."""
        return np.array(self._seconds, dtype=np.float64)

    def __len__(self) -> int:
        return len(self._line)

    @overload
    def __getitem__(self, index: int) -> Entry: ...

    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...

    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        raw = bytes(self._raw[self._end[place - 1] if place else 0 : self._end[place]])
        line = Line(self._files[self._file[place]], self._line[place], raw, json.loads(raw))
        return as_entry(line, self._number[place], tarred=self._tarred)

    @property
    def hours(self) -> float:
        """The sum of the durations that are known."""
        return float(np.nansum(self.durations)) / 3600

    def sorted_by_duration(self) -> list[int]:
        """The places of all entries, the shortest first, those of unknown duration last."""
        return [int(place) for place in np.argsort(self.durations, kind="stable")]


def as_entry(line: Line, number: int, *, tarred: bool = False) -> Entry:
    """Return the utterance of a line that is not broken.

    Args:
        line: with its fields.
        number: its place among all lines, from 0.
        tarred: its recording is a member of a tar file, so its name is no path.

    Raises:
        DataError: its text lies in a file that cannot be read.
    """
    fields = line.fields or {}
    name = fields.get("audio_filename") or fields["audio_filepath"]
    return Entry(
        audio_filepath=name if tarred else str(_resolved(name, line.manifest)),
        duration=line.duration,
        text=_text(fields, line),
        offset=float(fields.get("offset") or 0.0),
        manifest=str(line.manifest),
        line=line.number,
        number=number,
        extra={key: value for key, value in fields.items() if key not in _KNOWN_KEYS},
    )


def _resolved(name: str, manifest: Path) -> Path:
    """Where a file named in a manifest lies: relative to the manifest if it is there, else as it is named."""
    path = Path(name).expanduser()
    if path.is_absolute() or len(name) >= _LONGEST_NAME:
        return path
    beside = manifest.parent / path
    return beside if beside.exists() or not path.exists() else path


def _text(fields: Mapping[str, Any], line: Line) -> str:
    if "text" in fields:
        return str(fields["text"])
    if "text_filepath" in fields:
        path = _resolved(fields["text_filepath"], line.manifest)
        try:
            return path.read_text(encoding="utf-8").replace("\n", "")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"{line.manifest}:{line.number} names a text that cannot be read: {path}", got=str(error)
            ) from error
    return str(fields.get("normalized_text") or "")


def read(
    paths: Paths,
    *,
    min_duration: float | None = None,
    max_duration: float | None = None,
    max_utts: int = 0,
    keep: Callable[[Entry], str] | None = None,
    tarred: bool = False,
) -> Manifest:
    """Read manifests, and say what is left out.

    Args:
        paths: a manifest, several with commas between, or a list of such.
        min_duration: drop utterances shorter than this, in seconds; those of unknown duration stay.
        max_duration: drop utterances longer than this, in seconds; those of unknown duration stay.
        max_utts: stop after this many that are kept; 0 for no limit.
        keep: returns why an entry is to be dropped, or an empty text.
        tarred: the recordings are members of tar files, so their names are no paths.

    Raises:
        FileMissingError: there is no such manifest.
        DataError: a line is broken; the message names file and line.
    """
    files = manifest_paths(paths)
    if not files:
        raise DataError("no manifest is named", expected="manifest_filepath: a path, or several")
    manifest = Manifest(tarred=tarred)
    dropped: dict[str, tuple[int, float]] = {}
    broken: list[Line] = []
    for number, line in enumerate(line for path in files for line in lines(path)):
        if line.fields is None:
            broken.append(line)
            continue
        reason = _too_short_or_long(line.duration, min_duration, max_duration)
        if not reason and keep is not None:
            reason = keep(as_entry(line, number, tarred=tarred))
        if reason:
            count, seconds = dropped.get(reason, (0, 0.0))
            dropped[reason] = (count + 1, seconds + (line.duration or 0.0))
            continue
        manifest.append(line, number)
        if max_utts and len(manifest) == max_utts:
            break
    if broken:
        raise _broken(broken)
    manifest.dropped = tuple(
        Dropped(reason=why, count=count, hours=seconds / 3600) for why, (count, seconds) in dropped.items()
    )
    names = ", ".join(map(str, files))
    logger.info("%s: %d utterances, %.2f h", names, len(manifest), manifest.hours)
    if dropped:
        logger.warning("%s: left out %s", names, "; ".join(map(str, manifest.dropped)))
    return manifest


def _too_short_or_long(duration: float | None, shortest: float | None, longest: float | None) -> str:
    if duration is not None and shortest is not None and duration < shortest:
        return f"shorter than {shortest:g} s"
    if duration is not None and longest is not None and duration > longest:
        return f"longer than {longest:g} s"
    return ""


def _broken(broken: Sequence[Line]) -> DataError:
    first = broken[0]
    others = [f"{line.manifest}:{line.number} {line.problem}" for line in broken[1:_SHOWN]]
    more = len(broken) - 1 - len(others)
    if more:
        others.append(f"and {more} more")
    one_list = first.number == 1 and first.raw.startswith(b"[")
    return DataError(
        f"{first.manifest}:{first.number} {first.problem}",
        got=first.raw[:80].decode("utf-8", "backslashreplace"),
        expected='one JSON object a line, such as {"audio_filepath": "a.wav", "duration": 1.5, "text": "hello"}',
        fix="turn the list into lines: jq -c '.[]'"
        if one_list
        else ("also broken: " + "; ".join(others)) * bool(others),
    )


def write(path: str | Path, entries: Iterable[Entry | Mapping[str, Any]]) -> None:
    """Write a manifest. An `Entry` gets back the keys it was read from, apart from those that are empty."""
    text = "".join(json.dumps(_fields(entry), ensure_ascii=False) + "\n" for entry in entries)
    Path(path).write_text(text, encoding="utf-8", newline="\n")


def _fields(entry: Entry | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(entry, Mapping):
        return dict(entry)
    fields = {"audio_filepath": entry.audio_filepath, "duration": entry.duration, "text": entry.text}
    offset = {"offset": entry.offset} if entry.offset else {}
    return {**fields, **offset, **entry.extra}
