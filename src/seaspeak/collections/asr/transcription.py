"""Transcription: from whatever a user has (files, bytes, arrays, manifests) to transcripts.

    transcribe(recogniser, ["a.wav", "b.flac"])          # list of texts, in the order given
    for place, outcome in iter_transcribe(recogniser, sources): ...     # as they come, errors as values

Works with any ``Recogniser``: a model in torch, or a graph in another engine. Imports no torch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from seaspeak.audio.io import blocks, info, read
from seaspeak.audio.windows import quiet_pieces
from seaspeak.core.errors import AudioError, ConfigError, FileMissingError, SeaspeakError
from seaspeak.text.transcript import Transcript, join

logger = logging.getLogger(__name__)

Samples = NDArray[np.float32]
Channels = int | str | Sequence[int] | None

BATCH_SECONDS = 480.0
"""A batch holds at most this much audio, counting every recording as long as its longest."""


class Recogniser(Protocol):
    """What turns samples into transcripts.

    A recogniser that can do more than its ``max_seconds`` has a method ``recognise_long``, called with a function
    that begins to yield the recording's samples, block by block, each time it is called. Others get long recordings
    in pieces, cut where it is quiet.

    Attributes:
        sample_rate: of the samples that it takes, in Hz.
        max_seconds: the longest recording for ``recognise``; None for any length.
    """

    @property
    def sample_rate(self) -> int: ...  # noqa: D102

    @property
    def max_seconds(self) -> float | None: ...  # noqa: D102

    def recognise(self, signals: Sequence[Samples]) -> list[Transcript]:
        """Return one transcript a recording, times from its start."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One recording to transcribe.

    Attributes:
        place: its place in what the user gave.
        name: what messages call it.
        audio: what ``seaspeak.audio.io`` reads.
        offset, duration: the part of it, in seconds; ``duration`` None for all that follows.
    """

    place: int
    name: str
    audio: Any
    offset: float = 0.0
    duration: float | None = None


Outcome = Transcript | SeaspeakError


def transcribe(
    recogniser: Recogniser,
    audio: Any,
    *,
    batch_size: int = 4,
    sample_rate: int | None = None,
    channel_selector: Channels = None,
    num_workers: int = 0,
    verbose: bool = False,
) -> list[Transcript]:
    """Return the transcripts of recordings, in the order given.

    Args:
        recogniser: what transcribes.
        audio: a path, bytes, a binary file object, an array or tensor of samples, a pair (samples, rate); a list of
            these; or the path of a manifest (``.json``, ``.jsonl``).
        batch_size: recordings computed together.
        sample_rate: of arrays without one, in Hz; by default the recogniser's.
        channel_selector: which channels to average: None or ``"average"`` for all, a number, or several.
        num_workers: threads that read ahead.
        verbose: show a progress bar, on a terminal.

    Raises:
        SeaspeakError: a recording cannot be read; the first one.
    """
    items = collect(audio, sample_rate=sample_rate or recogniser.sample_rate)
    found: dict[int, Transcript] = {}
    outcomes = _run(recogniser, items, batch_size, channel_selector, num_workers)
    for place, outcome in _with_progress(outcomes, len(items), verbose):
        if isinstance(outcome, SeaspeakError):
            raise outcome
        found[place] = outcome
    return [found[place] for place in range(len(items))]


def iter_transcribe(
    model: Any,
    audio: Any,
    *,
    batch_size: int = 4,
    sample_rate: int | None = None,
    channel_selector: Channels = None,
    num_workers: int = 0,
) -> Iterator[tuple[int, Outcome]]:
    """Yield (place, transcript or error) for each recording as it is done; the longest come first.

    A recording that cannot be read is a ``SeaspeakError`` in its place, and the others go on. ``model`` is a
    ``Recogniser``, or a model: that is held in evaluation meanwhile. The other arguments are those of `transcribe`.
    """
    recogniser = model.recogniser() if hasattr(model, "recogniser") else model
    items = collect(audio, sample_rate=sample_rate or recogniser.sample_rate)
    with model.recognising() if hasattr(model, "recognising") else contextlib.nullcontext():
        yield from _run(recogniser, items, batch_size, channel_selector, num_workers)


# --- what the user gave ---------------------------------------------------------------------------------------------


def collect(audio: Any, *, sample_rate: int) -> list[Item]:
    """Return the recordings in what the user gave.

    Args:
        audio: see `transcribe`.
        sample_rate: of arrays without one, in Hz.

    Raises:
        ConfigError: something that cannot be a recording.
    """
    if audio is None:
        raise ConfigError("transcribe needs recordings", fix="model.transcribe(['talk.wav'])")
    if isinstance(audio, (str, Path)) and Path(audio).suffix.lower() in (".json", ".jsonl"):
        from seaspeak.data.manifest import read as read_manifest

        audio = list(read_manifest(audio))
    several = isinstance(audio, (list, tuple)) and not _is_pair(audio)
    if not several and _is_iterable(audio):
        audio, several = list(audio), True
    things = audio if several else [audio]
    return [_item(place, thing, sample_rate) for place, thing in enumerate(things)]


def _item(place: int, thing: Any, sample_rate: int) -> Item:
    if hasattr(thing, "audio_filepath"):
        path = str(thing.audio_filepath)
        offset = float(getattr(thing, "offset", None) or 0.0)
        part = getattr(thing, "duration", None)
        return Item(place=place, name=path, audio=path, offset=offset, duration=float(part) if part else None)
    if isinstance(thing, (str, Path)):
        return Item(place=place, name=str(thing), audio=thing)
    name = f"recording {place}"
    if isinstance(thing, (bytes, bytearray, memoryview)):
        return Item(place=place, name=name, audio=bytes(thing))
    if hasattr(thing, "read"):
        return Item(place=place, name=str(getattr(thing, "name", name)), audio=thing)
    if _is_pair(thing):
        return Item(place=place, name=name, audio=(_array(thing[0]), int(thing[1])))
    if hasattr(thing, "__array__") or hasattr(thing, "detach") or _is_numbers(thing):
        return Item(place=place, name=name, audio=(_array(thing), sample_rate))
    raise ConfigError(
        f"{name} is nothing that can be transcribed",
        got=type(thing).__name__,
        expected="a path, bytes, a file object, an array or tensor, a pair (samples, rate), or a list of these",
    )


def _is_pair(thing: Any) -> bool:
    """Whether this is (samples, rate)."""
    if not isinstance(thing, tuple) or len(thing) != 2 or isinstance(thing[0], (str, bytes, Path)):
        return False
    return isinstance(thing[1], (int, float, np.integer)) and not isinstance(thing[0], (int, float))


def _is_numbers(thing: Any) -> bool:
    return isinstance(thing, (list, tuple)) and all(isinstance(value, (int, float)) for value in thing)


def _is_iterable(thing: Any) -> bool:
    """Whether this is another kind of sequence, or a generator, of recordings."""
    known = (str, Path, bytes, bytearray, memoryview, tuple, Mapping)
    return (
        not isinstance(thing, known)
        and not any(hasattr(thing, name) for name in ("read", "__array__", "detach", "audio_filepath"))
        and hasattr(thing, "__iter__")
    )


def _array(samples: Any) -> Any:
    samples = samples.detach().cpu().numpy() if hasattr(samples, "detach") else np.asarray(samples)
    return samples[:, 0] if samples.ndim == 2 and samples.shape[1] == 1 else samples


# --- running --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(slots=True)
class _Sized:
    """A recording and its length, in seconds; infinite where nobody knows."""

    item: Item
    seconds: float


def _run(
    recogniser: Recogniser, items: Sequence[Item], batch_size: int, channels: Channels, num_workers: int
) -> Iterator[tuple[int, Outcome]]:
    if batch_size < 1:
        raise ConfigError("batch_size has to be at least 1", got=str(batch_size))
    limit = recogniser.max_seconds or float("inf")
    sized: list[_Sized] = []
    for item in items:
        try:
            sized.append(_measured(item))
        except SeaspeakError as error:
            yield item.place, error
    sized.sort(key=lambda one: -one.seconds)
    short = [one for one in sized if one.seconds <= limit]
    for one in sized:
        if one.seconds > limit:
            yield one.item.place, _long(recogniser, one.item, channels)
    load = _Loader(recogniser.sample_rate, channels)
    for loaded in _ahead(load, list(_batches(short, batch_size)), num_workers):
        yield from _batch(recogniser, loaded, channels, limit)


def _measured(item: Item) -> _Sized:
    """Return how long a recording is, without decoding it."""
    if item.duration is None or not isinstance(item.audio, str):
        if hasattr(item.audio, "read"):
            item = dataclasses.replace(item, audio=_rewindable(item))
        with _named(item):
            whole = info(item.audio).duration
        left = float("inf") if whole is None else max(0.0, whole - item.offset)
        return _Sized(item, left if item.duration is None else min(left, item.duration))
    return _Sized(item, item.duration)


def _rewindable(item: Item) -> bytes:
    """Return what is left in a file object: it has to be read more than once."""
    content = item.audio.read()
    if not isinstance(content, bytes):
        raise AudioError(f"{item.name} is no binary file", got=type(content).__name__, fix="open it with mode 'rb'")
    return content


def _batches(sized: Sequence[_Sized], batch_size: int) -> Iterator[list[Item]]:
    """Gather recordings of similar length, not too many and not too much."""
    batch: list[Item] = []
    longest = 0.0
    for one in sized:
        longest = max(longest, one.seconds)
        if batch and (len(batch) >= batch_size or longest * (len(batch) + 1) > BATCH_SECONDS):
            yield batch
            batch, longest = [], one.seconds
        batch.append(one.item)
    if batch:
        yield batch


@dataclasses.dataclass(frozen=True)
class _Loader:
    """Reads recordings; an error takes the place of the samples."""

    sample_rate: int
    channels: Channels

    def __call__(self, items: Sequence[Item]) -> list[tuple[Item, Samples | SeaspeakError]]:
        return [(item, self._read(item)) for item in items]

    def _read(self, item: Item) -> Samples | SeaspeakError:
        try:
            with _named(item):
                return read(
                    item.audio,
                    sample_rate=self.sample_rate,
                    offset=item.offset,
                    duration=item.duration,
                    channel_selector=self.channels,
                ).samples
        except SeaspeakError as error:
            return error


Loaded = list[tuple[Item, "Samples | SeaspeakError"]]


def _ahead(load: _Loader, batches: Sequence[Sequence[Item]], num_workers: int) -> Iterator[Loaded]:
    """Yield loaded batches; threads, if there are any, read while others are computed."""
    if num_workers <= 0:
        yield from map(load, batches)
        return
    with ThreadPoolExecutor(num_workers) as pool:
        rest = iter(batches)
        waiting: list[Future[Loaded]] = [pool.submit(load, batch) for batch in itertools.islice(rest, num_workers + 1)]
        while waiting:
            loaded = waiting.pop(0).result()
            waiting += [pool.submit(load, batch) for batch in itertools.islice(rest, 1)]
            yield loaded


def _batch(recogniser: Recogniser, loaded: Loaded, channels: Channels, limit: float) -> Iterator[tuple[int, Outcome]]:
    ready: list[tuple[Item, Samples]] = []
    for item, samples in loaded:
        if isinstance(samples, SeaspeakError):
            yield item.place, samples
        elif len(samples) > limit * recogniser.sample_rate:  # longer than it said
            yield item.place, _long(recogniser, item, channels)
        else:
            ready.append((item, samples))
    if ready:
        transcripts = recogniser.recognise([samples for _, samples in ready])
        yield from zip((item.place for item, _ in ready), transcripts, strict=True)


def _long(recogniser: Recogniser, item: Item, channels: Channels) -> Outcome:
    """Transcribe a recording that is longer than the recogniser takes at once."""

    def stream() -> Iterator[Samples]:
        with _named(item):
            yield from blocks(
                item.audio,
                sample_rate=recogniser.sample_rate,
                offset=item.offset,
                duration=item.duration,
                channel_selector=channels,
            )

    try:
        if hasattr(recogniser, "recognise_long"):
            found: Transcript = recogniser.recognise_long(stream)
            return found
        return _by_pieces(recogniser, stream)
    except SeaspeakError as error:
        return error


def _by_pieces(recogniser: Recogniser, stream: Callable[[], Iterable[Samples]]) -> Transcript:
    rate = recogniser.sample_rate
    longest = recogniser.max_seconds
    assert longest is not None
    parts: list[tuple[float, Transcript]] = []
    end = 0
    for piece in quiet_pieces(stream(), sample_rate=rate, longest=longest):
        end = piece.start + len(piece.samples)
        parts.append((piece.start / rate, recogniser.recognise([piece.samples])[0]))
    return join(parts, duration=end / rate)


@contextlib.contextmanager
def _named(item: Item) -> Iterator[None]:
    """Make sure that an error from reading says which recording it is about."""
    try:
        yield
    except (FileMissingError, AudioError) as error:
        if item.name in error.problem or isinstance(item.audio, (str, Path)):
            raise
        problem = f"{item.name}: {error.problem}"
        raise type(error)(problem, got=error.got, expected=error.expected, fix=error.fix) from error


def _with_progress(outcomes: Iterable[tuple[int, Outcome]], total: int, verbose: bool) -> Iterator[tuple[int, Outcome]]:
    """Show a bar on a terminal while the recordings are done."""
    import sys

    if not verbose or total < 2 or not sys.stderr.isatty():
        yield from outcomes
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(outcomes, "Transcribing", total=total, console=Console(stderr=True), transient=True)
