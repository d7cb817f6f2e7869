"""Writing sound as it is made: WAV, FLAC, OGG, MP3 or bare samples, into files and into pipes. No torch.

    with AudioWriter(stream, sample_rate=22050, format="flac") as writer:
        for block in blocks:
            writer.write(block)

What goes into a pipe can be played while it is made; a header that would tell the length then says "unknown".
"""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Callable, Iterator
from pathlib import PurePath
from types import TracebackType
from typing import Any, BinaryIO, cast

import numpy as np
import soundfile
from numpy.typing import NDArray

from seaspeak.core.errors import ConfigError, nearest

FORMATS = ("wav", "flac", "ogg", "mp3")
RAW = "raw"
_SUBTYPES = {"wav": "PCM_16", "flac": "PCM_16", "ogg": "VORBIS", "mp3": "MPEG_LAYER_III"}
_UNKNOWN = 0xFFFFFFFF  # a length that streaming players take for "until the end"


def format_of(path: str | PurePath, default: str = "wav") -> str:
    """Return the format that a file's name asks for.

    >>> format_of("talk.FLAC"), format_of("-")
    ('flac', 'wav')

    Raises:
        ConfigError: the name ends like no format that can be written.
    """
    suffix = PurePath(path).suffix.lower().lstrip(".")
    if suffix in FORMATS or not suffix:
        return suffix or default
    raise ConfigError(
        f"{str(path)!r} cannot be written as sound: no format ends in .{suffix}",
        expected=" ".join(f".{each}" for each in FORMATS),
        fix=nearest(suffix, FORMATS) or "name the format with --format",
    )


class AudioWriter:
    """Writes samples, block by block, as one mono recording of 16 bits.

    Args:
        stream: an open binary file, or a pipe; it stays open.
        sample_rate: in Hz.
        format: one of ``FORMATS``, or ``"raw"`` for little-endian samples without a header.

    Attributes:
        num_samples: how many were written.
    """

    def __init__(self, stream: BinaryIO, *, sample_rate: int, format: str = "wav") -> None:
        if format not in (*FORMATS, RAW):
            raise ConfigError(f"no sound format is called {format!r}", expected=", ".join((*FORMATS, RAW)))
        self.num_samples = 0
        self._stream = stream
        self._file: soundfile.SoundFile | None = None
        if format == RAW:
            return
        pipe = not stream.seekable()
        if pipe and format == "wav":
            stream.write(_endless_header(sample_rate))
            return
        self._target = _Pipe(stream) if pipe else _Target(stream)
        with self._target.failing():
            self._file = soundfile.SoundFile(
                cast(Any, self._target),
                "w",
                sample_rate,
                1,
                subtype=_SUBTYPES[format],
                format=format.upper(),
                closefd=False,
            )

    def write(self, samples: NDArray[np.float32]) -> None:
        """Write samples (num_samples,) between -1 and 1; what lies beyond is cut off."""
        if not len(samples):
            return
        whole = np.clip(np.rint(np.asarray(samples, np.float32) * 32767), -32768, 32767).astype("<i2")
        self.num_samples += len(whole)
        if self._file is not None:
            with self._target.failing():
                self._file.write(whole)
        else:
            self._stream.write(whole.tobytes())
        self._stream.flush()

    def close(self) -> None:
        """Write what the format keeps for the end."""
        if self._file is not None:
            with self._target.failing():
                self._file.close()
        self._stream.flush()

    def __enter__(self) -> AudioWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def encode(samples: NDArray[np.float32], sample_rate: int, format: str = "wav") -> bytes:
    """Return samples (num_samples,) as the content of a file."""
    stream = io.BytesIO()
    with AudioWriter(stream, sample_rate=sample_rate, format=format) as writer:
        writer.write(samples)
    return stream.getvalue()


class _Target:
    """A file as the encoder wants it. Nothing can be raised through C: what goes wrong is kept, and raised after."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._failure: BaseException | None = None

    @contextlib.contextmanager
    def failing(self) -> Iterator[None]:
        """Raise what went wrong within, rather than the encoder's own guess."""
        try:
            yield
        finally:
            if self._failure is not None:
                raise self._failure

    def write(self, data: bytes) -> int:
        return self._tried(lambda: self._put(bytes(data)))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._tried(lambda: self._go(offset, whence))

    def tell(self) -> int:
        return self._tried(self._stream.tell)

    def read(self, size: int = -1) -> bytes:
        return b""

    def flush(self) -> None:
        self._stream.flush()

    def _put(self, data: bytes) -> int:
        return self._stream.write(data)

    def _go(self, offset: int, whence: int) -> int:
        return self._stream.seek(offset, whence)

    def _tried(self, call: Callable[[], int]) -> int:
        if self._failure is None:
            try:
                return call()
            except BaseException as error:  # Ctrl-C too
                self._failure = error
        return 0


class _Pipe(_Target):
    """A pipe, which tells where it is; what would go back to correct a header is left out."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream)
        self._place, self._end = 0, 0

    def _put(self, data: bytes) -> int:
        if self._place == self._end:
            self._stream.write(data)
            self._end += len(data)
        self._place += len(data)
        return len(data)

    def _go(self, offset: int, whence: int) -> int:
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._end}[whence]
        return self._place

    def tell(self) -> int:
        return self._place


def _endless_header(sample_rate: int) -> bytes:
    layout = struct.pack("<HHIIHH", 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    chunks = b"fmt " + struct.pack("<I", len(layout)) + layout + b"data" + struct.pack("<I", _UNKNOWN)
    return b"RIFF" + struct.pack("<I", _UNKNOWN) + b"WAVE" + chunks
