"""Reading recordings: any rate, any number of channels, whole, in part, or block by block. No torch.

    recording = read("talk.flac", sample_rate=16000)          # one array, mono
    for block in blocks("talk.flac", sample_rate=16000):      # constant memory, the same samples
        ...

A source is a path, bytes, a file object (a pipe as well), or ``(array, sample_rate)`` with a numpy array or a tensor.
It may be WAV, FLAC, OGG with Vorbis or Opus, MP3, AIFF, CAF and whatever else libsndfile knows; M4A, WebM and their
like with the extra ``media``. Samples are float32 between -1 and 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seaspeak.audio.resample import Resampler
from seaspeak.audio.sources import Source, open_source
from seaspeak.core.errors import AudioError

Channels = int | str | Sequence[int] | None
_BLOCK_SECONDS = 30.0


class Recording(NamedTuple):
    """Samples (num_samples,), float32 between -1 and 1, and their rate in Hz."""

    samples: NDArray[np.float32]
    sample_rate: int

    @property
    def duration(self) -> float:
        """In seconds."""
        return len(self.samples) / self.sample_rate


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioInfo:
    """What a recording says about itself.

    Attributes:
        sample_rate: in Hz.
        channels: how many.
        num_frames: samples a channel; None where the file does not say it reliably, as MP3 never does.
        duration: in seconds, an estimate where ``num_frames`` is None; None where even that is not known.
        format: such as ``"WAV PCM_16"``.
    """

    sample_rate: int
    channels: int
    num_frames: int | None
    duration: float | None
    format: str


def info(source: Any) -> AudioInfo:
    """Return rate, channels and length of a recording, without decoding it.

    Raises:
        AudioError, FileMissingError, MissingExtra: as `read`.
    """
    with closing(open_source(source)) as opened:
        return AudioInfo(
            sample_rate=opened.sample_rate,
            channels=opened.channels,
            num_frames=opened.num_frames,
            duration=opened.duration,
            format=opened.format,
        )


def read(
    source: Any,
    *,
    sample_rate: int | None = None,
    offset: float = 0.0,
    duration: float | None = None,
    channel_selector: Channels = None,
) -> Recording:
    """Read a recording, or a part of it, as one channel.

    Args:
        source: path, bytes, file object, or ``(array, sample_rate)``.
        sample_rate: of the result, in Hz; that of the source by default.
        offset: where to begin, in seconds.
        duration: how much to read, in seconds; to the end by default. A part may reach past the end.
        channel_selector: which channels to average: None or ``"average"`` for all, a number, or numbers, from 0.

    Raises:
        FileMissingError: the path does not exist.
        AudioError: the source is empty, damaged or no recording, has no samples in that part, or samples that are
            not numbers.
        MissingExtra: reading its format needs the extra ``media``.

    >>> stereo = np.zeros((44100, 2), dtype=np.int16)
    >>> recording = read((stereo, 44100), sample_rate=16000)
    >>> recording.samples.shape, recording.samples.dtype, recording.duration
    ((16000,), dtype('float32'), 1.0)
    """
    with closing(open_source(source)) as opened:
        rate = sample_rate or opened.sample_rate
        pieces = list(_mono(opened, rate, offset, duration, channel_selector, _BLOCK_SECONDS))
    samples = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    return Recording(samples, rate)


def blocks(
    source: Any,
    *,
    sample_rate: int | None = None,
    seconds: float = _BLOCK_SECONDS,
    offset: float = 0.0,
    duration: float | None = None,
    channel_selector: Channels = None,
) -> Iterator[NDArray[np.float32]]:
    """Yield what `read` returns in arrays of ``seconds``, the last one shorter, in memory that does not grow.

    ``seconds`` is the length of a block; the other arguments are those of `read`.

    Raises:
        AudioError, FileMissingError, MissingExtra: as `read`.
    """
    with closing(open_source(source)) as opened:
        rate = sample_rate or opened.sample_rate
        size = max(1, round(seconds * rate))
        waiting: list[NDArray[np.float32]] = []
        have = 0
        for piece in _mono(opened, rate, offset, duration, channel_selector, seconds):
            waiting.append(piece)
            have += len(piece)
            if have >= size:
                joined = np.concatenate(waiting)
                whole = have // size * size
                yield from np.split(joined[:whole], whole // size)
                waiting, have = [joined[whole:]], have - whole
        if have:
            yield np.concatenate(waiting)


def _mono(
    source: Source, rate: int, offset: float, duration: float | None, channels: Channels, seconds: float
) -> Iterator[NDArray[np.float32]]:
    """Yield the samples of one channel at ``rate``, in pieces of about ``seconds``; at least one sample in all."""
    if offset < 0 or (duration is not None and duration < 0):
        raise AudioError(
            f"a part of {source.name} cannot begin before its start or have a negative length",
            got=f"offset {offset} s, duration {duration} s",
        )
    chosen = _chosen(source, channels)
    start = round(offset * source.sample_rate)
    left = None if duration is None else round(duration * source.sample_rate)
    source.skip(start)
    resampler = Resampler(source.sample_rate, rate)
    step = max(1, round(seconds * source.sample_rate))
    empty = True
    while left is None or left > 0:
        asked = step if left is None else min(step, left)
        block = source.read(asked)
        piece = resampler.push(_mixed(block, chosen, source.name))
        if len(piece):
            empty = False
            yield piece
        if len(block) < asked:
            break
        left = None if left is None else left - asked
    rest = resampler.finish()
    if len(rest):
        yield rest
    elif empty:
        raise _nothing(source, offset, duration)


def _chosen(source: Source, channels: Channels) -> list[int] | None:
    """Return the channels to average, None for all."""
    if channels is None or channels == "average":
        return None
    if isinstance(channels, int):
        channels = [channels]
    if isinstance(channels, str) or not channels or not all(0 <= channel < source.channels for channel in channels):
        raise AudioError(
            f"channel_selector does not fit {source.name}, which has {source.channels} channel(s)",
            got=repr(channels),
            expected=f"None, 'average', or numbers from 0 to {source.channels - 1}",
        )
    return list(channels)


def _mixed(block: NDArray[np.float32], chosen: list[int] | None, name: str) -> NDArray[np.float32]:
    """Average channels of (frames, channels)."""
    if chosen is not None:
        block = block[:, chosen]
    mono = block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32)
    if not np.isfinite(mono).all():
        raise AudioError(
            f"{name} has samples that are not numbers",
            got=f"{int((~np.isfinite(mono)).sum())} NaN or infinite values",
            fix="write the recording again from its source",
        )
    return np.ascontiguousarray(mono)


def _nothing(source: Source, offset: float, duration: float | None) -> AudioError:
    if offset or duration is not None:
        return AudioError(
            f"{source.name} has no samples in the part that was asked for",
            got=f"offset {offset:g} s, duration {'to the end' if duration is None else f'{duration:g} s'}",
            expected=f"a part of its {source.duration:.2f} s" if source.duration is not None else "",
        )
    return AudioError(f"{source.name} holds no samples")
