"""Containers that libsndfile does not read (M4A, MP4, WebM, AAC, AMR, WMA ...), decoded by PyAV if it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from seaspeak.core.errors import AudioError, require

_SIGNATURES = {
    0: (b"\x1aE\xdf\xa3", b"\x30\x26\xb2\x75", b"#!AMR", b"FLV\x01", b"\xff\xf1", b"\xff\xf9", b"OggS", b"ADIF"),
    4: (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"),
    8: (b"AVI ",),
}


def looks_like_media(head: bytes) -> bool:
    """Tell whether the first bytes of a file are those of a container that PyAV may read."""
    return any(head.startswith(mark, at) for at, marks in _SIGNATURES.items() for mark in marks)


class MediaSource:
    """The first audio track of a media file."""

    def __init__(self, file: BinaryIO, name: str, *, owned: bool) -> None:
        av = require("av", extra="media", why=f"reading {name}, which libsndfile cannot,")
        self.name = name
        self._raw, self._owned = file, owned
        self._error = av.error.FFmpegError
        try:
            self._container = av.open(file)
            self._track = self._container.streams.audio[0]
        except (self._error, IndexError) as error:
            raise AudioError(f"{name} has no audio track that can be read", got=str(error)) from error
        self.sample_rate = int(self._track.rate)
        self.channels = int(self._track.channels)
        self.format = f"{self._container.format.name} {self._track.codec_context.name}"
        self.num_frames: int | None = None
        length = self._track.duration
        self.duration: float | None = float(length * self._track.time_base) if length else None
        self._resampler = av.AudioResampler(format="flt", layout=self._track.layout, rate=self.sample_rate)
        self._decoded = self._decode()
        self._rest = np.zeros((0, self.channels), dtype=np.float32)

    def _decode(self) -> Iterator[NDArray[np.float32]]:
        try:
            for frame in self._container.decode(self._track):
                yield from map(self._samples, self._resampler.resample(frame))
            yield from map(self._samples, self._resampler.resample(None))
        except self._error as error:
            raise AudioError(f"{self.name} is damaged or cut off", got=str(error)) from error

    def _samples(self, frame: Any) -> NDArray[np.float32]:
        return np.asarray(frame.to_ndarray().reshape(-1, self.channels), dtype=np.float32)

    def skip(self, frames: int) -> None:
        """Go on from the ``frames``-th sample, by decoding all before it: seeking would be inexact."""
        while frames > 0 and len(block := self.read(min(frames, 1 << 20))):
            frames -= len(block)

    def read(self, frames: int) -> NDArray[np.float32]:
        """Return the next samples, (frames, channels); fewer only at the end."""
        pieces, have = [self._rest], len(self._rest)
        while have < frames and (piece := next(self._decoded, None)) is not None:
            pieces.append(piece)
            have += len(piece)
        joined = np.concatenate(pieces)
        self._rest = joined[frames:]
        return joined[:frames]

    def close(self) -> None:
        """Let go of the decoder, and of the file unless it belongs to the caller."""
        self._container.close()
        if self._owned:
            self._raw.close()
