"""What would go wrong with a manifest, found before anything trains on it."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from seaspeak.audio import io
from seaspeak.core.errors import DataError, FileMissingError, MissingExtra, SeaspeakError
from seaspeak.data.manifest import Entry, Paths, as_entry, lines, manifest_paths
from seaspeak.data.report import Finding, Report
from seaspeak.text.parsers import CharParser, make_parser

_TOLERATED_SECONDS = 0.1
_AT_A_TIME = 256
_UNUSUAL_SECONDS = 16.7  # NeMo's usual limit for training


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """How a CTC model's output frames follow from samples.

    Attributes:
        sample_rate: what recordings are resampled to, in Hz.
        window_stride: from one frame of the front end to the next, in seconds.
        subsampling: frames of the front end to one of the output.
    """

    sample_rate: int = 16000
    window_stride: float = 0.01
    subsampling: int = 2

    def count(self, seconds: float) -> int:
        """Return the output frames of a recording, with the front end's current recipe."""
        hop = int(self.window_stride * self.sample_rate)
        return -(-(round(seconds * self.sample_rate) // hop) // self.subsampling)


@dataclass(frozen=True, slots=True)
class _Heard:
    """What a recording turned out to be: facts, or an error."""

    sample_rate: int = 0
    channels: int = 0
    format: str = ""
    seconds: float | None = None
    digest: bytes = b""
    error: SeaspeakError | None = None


def check_manifest(
    manifest_filepath: Paths,
    labels: Sequence[str] | None = None,
    *,
    parser: str = "en",
    normalize: bool = False,
    frames: Frames | None = None,
    decode: bool = True,
    tar_files: Iterable[Path] = (),
    progress: Callable[[], None] | None = None,
) -> Report:
    """Look at every line and every recording of a manifest.

    Args:
        manifest_filepath: a manifest, several with commas between, or a list of such.
        labels: the characters that the model writes; without them texts are checked for being there only.
        parser: how the model turns texts into labels, ``"en"`` or ``"base"``.
        normalize: whether it normalises them first.
        frames: how its output frames follow from samples; by default those of QuartzNet, 20 ms each.
        decode: read every sample, which finds damage and duplicates; otherwise only what files say of themselves.
        tar_files: where the recordings lie, if they are members of tar files.
        progress: called after each utterance.

    Raises:
        FileMissingError: there is no such manifest.
        MissingExtra: a recording needs a package that is not installed.
    """
    files = manifest_paths(manifest_filepath)
    tars = list(tar_files)
    entries, broken = _entries(files, tarred=bool(tars))
    heard = _listen(entries, tars, decode, progress)
    frames = frames or Frames()
    label_parser = None if labels is None else make_parser(labels, parser, do_normalize=normalize)
    findings = [
        Finding(code="broken-line", serious=True, problem="lines that are no utterances", places=broken),
        *_recordings(entries, heard),
        *_lengths(entries, heard),
        *_texts(entries, label_parser),
        *_alignments(entries, heard, label_parser, frames),
        *_duplicates(entries, heard),
        *_rates(entries, heard, frames.sample_rate),
    ]
    seconds = [_seconds(entry, sound) for entry, sound in zip(entries, heard, strict=True)]
    return Report(
        name=", ".join(map(str, files)),
        utterances=len(entries),
        hours=sum(value or 0.0 for value in seconds) / 3600,
        facts=_facts(entries, heard, seconds),
        findings=sorted((finding for finding in findings if finding.places), key=lambda each: not each.serious),
    )


def _entries(files: Sequence[Path], *, tarred: bool) -> tuple[list[Entry], list[tuple[str, str]]]:
    """Return the utterances of manifests, and the lines that hold none with what is wrong with them."""
    entries: list[Entry] = []
    broken: list[tuple[str, str]] = []
    for number, line in enumerate(line for path in files for line in lines(path)):
        problem = line.problem
        try:
            if line.fields is not None:
                entries.append(as_entry(line, number, tarred=tarred))
        except DataError as error:
            problem = error.problem.removeprefix(f"{line.manifest}:{line.number} ")
        if problem:
            broken.append((f"{line.manifest}:{line.number}", problem))
    return entries, broken


# --- recordings -------------------------------------------------------------------------------------------------------


def _listen(
    entries: Sequence[Entry], tars: Sequence[Path], decode: bool, progress: Callable[[], None] | None
) -> list[_Heard]:
    """Read all recordings; with tar files, those of entries that are not in them are missing."""
    heard: dict[int, _Heard] = {}
    jobs = iter(_members(entries, tars) if tars else enumerate(entry.audio_filepath for entry in entries))
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoding happens outside Python's lock
        while part := list(islice(jobs, _AT_A_TIME)):
            sounds = pool.map(lambda job: _hear(entries[job[0]], job[1], decode=decode), part)
            for (place, _), sound in zip(part, sounds, strict=True):
                heard[place] = sound
                if progress:
                    progress()
    missing = _Heard(error=FileMissingError("there is no such member in the tar files"))
    return [heard.get(place, missing) for place in range(len(entries))]


def _members(entries: Sequence[Entry], tars: Sequence[Path]) -> Iterator[tuple[int, Any]]:
    from seaspeak.data.tarred import member_id, members

    places: dict[str, list[int]] = defaultdict(list)
    for place, entry in enumerate(entries):
        places[member_id(entry.audio_filepath)].append(place)
    for member in members(tars, wanted=places):
        for place in places[member_id(member.name)]:
            yield place, member.again()


def _hear(entry: Entry, source: Any, *, decode: bool) -> _Heard:
    """Read one utterance; nothing but a missing package is raised."""
    try:
        about = io.info(source)
        known = _Heard(about.sample_rate, about.channels, about.format, about.duration)
        if not decode:
            return known
        if hasattr(source, "seek"):
            source.seek(0)
        digest, count = hashlib.blake2b(digest_size=16), 0
        for block in io.blocks(source, offset=entry.offset, duration=entry.duration or None):
            digest.update(np.ascontiguousarray(block).data)
            count += len(block)
        if about.num_frames is None and entry.duration is None:  # read to the end of a file that did not say where
            return replace(known, seconds=entry.offset + count / about.sample_rate, digest=digest.digest())
        return replace(known, digest=digest.digest())
    except MissingExtra:
        raise
    except SeaspeakError as error:
        return _Heard(error=error)


def _recordings(entries: Sequence[Entry], heard: Sequence[_Heard]) -> Iterator[Finding]:
    missing: list[tuple[str, str]] = []
    damaged: list[tuple[str, str]] = []
    for entry, sound in zip(entries, heard, strict=True):
        if sound.error is None:
            continue
        is_missing = isinstance(sound.error, FileMissingError)
        problem = entry.audio_filepath if is_missing else str(sound.error).replace("\n", ";")
        (missing if is_missing else damaged).append((entry.where, problem))
    yield Finding(
        code="missing-file",
        serious=True,
        problem="recordings are missing",
        fix="paths are relative to the manifest's folder, or to where you work",
        places=missing,
    )
    yield Finding(code="unreadable-file", serious=True, problem="recordings cannot be read", places=damaged)


def _lengths(entries: Sequence[Entry], heard: Sequence[_Heard]) -> Iterator[Finding]:
    beyond, unlike, unknown, unusual = [], [], [], []
    uses = Counter(entry.audio_filepath for entry in entries)
    for entry, sound in zip(entries, heard, strict=True):
        if entry.duration is None:
            unknown.append((entry.where, ""))
        elif sound.seconds is not None:
            rest = sound.seconds - entry.offset
            facts = f"says {entry.duration:.2f} s, the recording has {rest:.2f} s from there"
            if entry.duration > rest + _TOLERATED_SECONDS:
                beyond.append((entry.where, facts))
            elif entry.duration < rest - _TOLERATED_SECONDS and uses[entry.audio_filepath] == 1:
                unlike.append((entry.where, facts))
        if entry.duration is not None and entry.duration > _UNUSUAL_SECONDS:
            unusual.append((entry.where, f"{entry.duration:.1f} s"))
    yield Finding(
        code="beyond-the-end",
        serious=False,
        problem="utterances are said to be longer than their recording",
        places=beyond,
    )
    yield Finding(
        code="shorter-than-file",
        serious=False,
        problem="utterances are said to be shorter than their recording, whose rest is not read",
        places=unlike,
    )
    yield Finding(
        code="no-duration",
        serious=False,
        problem="utterances without a duration: they cannot be filtered or bucketed",
        places=unknown,
    )
    yield Finding(
        code="long",
        serious=False,
        problem=f"utterances longer than {_UNUSUAL_SECONDS} s: a batch takes the memory of its longest",
        fix=f"train_ds.max_duration={_UNUSUAL_SECONDS} leaves them out",
        places=unusual,
    )


# --- texts ------------------------------------------------------------------------------------------------------------


def _texts(entries: Sequence[Entry], parser: CharParser | None) -> Iterator[Finding]:
    yield Finding(
        code="empty-text",
        serious=False,
        problem="empty texts",
        places=[(entry.where, "") for entry in entries if not entry.text.strip()],
    )
    if parser is None:
        return
    unknown, impossible = [], []
    characters: Counter[str] = Counter()
    for entry in entries:
        text = parser.normalize(entry.text) if parser.do_normalize else entry.text
        if text is None:
            impossible.append((entry.where, repr(entry.text)))
        elif missing := parser.unspellable(text):
            characters.update(missing)
            unknown.append((entry.where, f"{' '.join(map(repr, dict.fromkeys(missing)))} in {entry.text!r}"))
    yield Finding(code="no-labels", serious=True, problem="texts that cannot be normalised", places=impossible)
    listed = ", ".join(f"{character!r} {count}×" for character, count in characters.most_common(12))
    capitals = any(character.lower() != character and character.lower() in parser.labels for character in characters)
    yield Finding(
        code="unknown-character",
        serious=False,
        problem=f"texts with characters that the model has no labels for, which are left out: {listed}",
        fix="normalise the texts (train_ds.normalize_transcripts=true)"
        if capitals
        else "respell these texts, or add labels",
        places=unknown,
    )


def _alignments(
    entries: Sequence[Entry], heard: Sequence[_Heard], parser: CharParser | None, frames: Frames
) -> Iterator[Finding]:
    if parser is None:
        return
    impossible = []
    for entry, sound in zip(entries, heard, strict=True):
        tokens, seconds = parser(entry.text), _seconds(entry, sound)
        if not tokens or seconds is None:
            continue
        needed = len(tokens) + sum(first == second for first, second in pairwise(tokens))
        had = frames.count(seconds)
        if had < needed:
            impossible.append((entry.where, f"{seconds:.2f} s give {had} frames, {len(tokens)} labels need {needed}"))
    yield Finding(
        code="cannot-align",
        serious=True,
        problem="utterances too short for their text: CTC cannot align them",
        fix="correct the texts, or leave these utterances out",
        places=impossible,
    )


# --- the set as a whole -----------------------------------------------------------------------------------------------


def _duplicates(entries: Sequence[Entry], heard: Sequence[_Heard]) -> Iterator[Finding]:
    groups: dict[Any, list[Entry]] = defaultdict(list)
    for entry, sound in zip(entries, heard, strict=True):
        if sound.error is None:
            groups[sound.digest or (entry.audio_filepath, entry.offset, entry.duration)].append(entry)
    same, other = [], []
    for first, *rest in groups.values():
        for entry in rest:
            if entry.text == first.text:
                same.append((entry.where, f"as {first.where}"))
            else:
                other.append((entry.where, f"{entry.text!r}, but {first.text!r} at {first.where}"))
    yield Finding(
        code="duplicate", serious=False, problem="utterances that repeat a recording and its text", places=same
    )
    yield Finding(
        code="contradiction",
        serious=False,
        problem="utterances that repeat a recording with another text",
        places=other,
    )


def _rates(entries: Sequence[Entry], heard: Sequence[_Heard], rate: int) -> Iterator[Finding]:
    low = [
        (entry.where, f"{sound.sample_rate} Hz")
        for entry, sound in zip(entries, heard, strict=True)
        if 0 < sound.sample_rate < rate
    ]
    yield Finding(
        code="low-rate",
        serious=False,
        problem=f"recordings below the model's {rate} Hz: they are resampled, and lack high frequencies",
        places=low,
    )


def _seconds(entry: Entry, sound: _Heard) -> float | None:
    return entry.duration if entry.duration is not None else sound.seconds


def _facts(entries: Sequence[Entry], heard: Sequence[_Heard], seconds: Sequence[float | None]) -> dict[str, str]:
    known = np.array([value for value in seconds if value is not None])
    readable = [sound for sound in heard if sound.error is None]
    facts = {}
    if len(known):
        quantiles = np.quantile(known, [0.0, 0.5, 0.95, 1.0])
        facts["durations"] = "{:.2f} to {:.2f} s, median {:.2f} s, 95 % up to {:.2f} s".format(*quantiles[[0, 3, 1, 2]])
    for name, values in (
        ("rates", [f"{sound.sample_rate} Hz" for sound in readable]),
        ("channels", [str(sound.channels) for sound in readable]),
        ("formats", [sound.format for sound in readable]),
    ):
        if values:
            facts[name] = ", ".join(f"{value} ({count})" for value, count in Counter(values).most_common())
    words = [word for entry in entries for word in entry.text.split()]
    facts["texts"] = f"{len(words)} words, {len(set(words))} different, {sum(len(e.text) for e in entries)} characters"
    return facts
