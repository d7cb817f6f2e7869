"""What samples come from: files, bytes, file objects and arrays behind one small interface."""

from __future__ import annotations

import io
import logging
import os
import tempfile
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray

from seaspeak.audio import mp3
from seaspeak.core.errors import AudioError, FileMissingError

logger = logging.getLogger(__name__)

_IN_MEMORY = 64 << 20  # bytes of a stream that are kept in memory; a longer one goes to a temporary file
_MP3_PREROLL = 0.5  # seconds: samples right after a seek are wrong until the decoder has seen earlier frames
_SKIP_FRAMES = 1 << 20
_UNKNOWN_FRAMES = 1 << 60  # libsndfile's count of a stream without an end
_MISSING_TAIL = 0.5  # seconds that a file may end before its header says without a word about it


class Source(Protocol):
    """An opened recording, read from front to back.

    Attributes:
        name: how to speak of it in a message.
        sample_rate: in Hz.
        channels: how many.
        num_frames: samples a channel, None where the file does not say reliably.
        duration: in seconds, an estimate where ``num_frames`` is None; None where even that is not known.
        format: such as ``"WAV PCM_16"``.
    """

    name: str
    sample_rate: int
    channels: int
    num_frames: int | None
    duration: float | None
    format: str

    def skip(self, frames: int) -> None:
        """Go on from the ``frames``-th sample; only before the first `read`."""

    def read(self, frames: int) -> NDArray[np.float32]:
        """Return the next samples, (frames, channels); fewer only at the end."""

    def close(self) -> None:
        """Let go of the file, if it was opened here."""


def open_source(source: Any) -> Source:
    """Open a path, bytes, a file object, or ``(array, sample_rate)``.

    Raises:
        FileMissingError: the path does not exist.
        AudioError: it is not a recording that can be read.
        MissingExtra: reading its format needs the extra ``media``.
    """
    if isinstance(source, tuple):
        return ArraySource(*source) if len(source) == 2 else _refuse(source)
    if isinstance(source, (str, os.PathLike)):
        return _open_path(Path(source).expanduser())
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _open_file(io.BytesIO(source), f"{len(source)} bytes of audio", owned=True)
    if hasattr(source, "read"):
        name = getattr(source, "name", None)
        file = _seekable(source)
        return _open_file(file, name if isinstance(name, str) else "the audio stream", owned=file is not source)
    if hasattr(source, "shape"):
        raise AudioError("an array of samples needs its sample rate", fix="pass (array, sample_rate)")
    return _refuse(source)


def _refuse(source: object) -> Source:
    raise AudioError(
        "this is not audio",
        got=type(source).__name__,
        expected="a path, bytes, a file object, or (array, sample_rate)",
    )


def _open_path(path: Path) -> Source:
    if path.is_dir():
        raise AudioError(f"{path} is a folder, not a recording")
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise FileMissingError(f"there is no file {path}") from error
    except OSError as error:
        raise AudioError(f"{path} cannot be opened", got=error.strerror or str(error)) from error
    usable = _seekable(file)  # a path may name a pipe: /dev/stdin, or <(ffmpeg ...) in a shell
    if usable is not file:
        file.close()
    return _open_file(usable, str(path), owned=True)


def _seekable(file: BinaryIO) -> BinaryIO:
    """Return ``file``, or a copy of what comes out of it: of a pipe, or of a file that is not at its beginning."""
    if getattr(file, "seekable", lambda: hasattr(file, "seek"))() and file.tell() == 0:
        return file
    spool = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 (closed with the source)
    while piece := file.read(1 << 16):
        spool.write(piece)
    spool.seek(0)
    return spool  # type: ignore[return-value]  # a spooled file has all that is used of BinaryIO


def _open_file(file: BinaryIO, name: str, *, owned: bool) -> Source:
    try:
        return _identified(file, name, owned=owned)
    except BaseException:
        if owned:
            file.close()
        raise


def _identified(file: BinaryIO, name: str, *, owned: bool) -> Source:
    head = file.read(64)
    file.seek(0)
    if not head:
        raise AudioError(f"{name} is empty", expected="a recording")
    try:
        return FileSource(file, name, owned=owned)
    except soundfile.LibsndfileError as error:
        from seaspeak.audio import media

        file.seek(0)
        if media.looks_like_media(head):
            return media.MediaSource(file, name, owned=owned)
        raise AudioError(
            f"{name} is not a recording that can be read",
            got=_describe(head),
            expected="WAV, FLAC, OGG with Vorbis or Opus, MP3, AIFF, CAF or another format of libsndfile",
        ) from error


def _describe(head: bytes) -> str:
    if head.isascii() and b"\0" not in head:
        return f"text that begins {head[:32].decode('ascii')!r}"
    return f"data that begins {head[:8].hex(' ')}"


class _Straight(soundfile.SoundFile):
    """A file that is not sought in after each read.

    soundfile (0.14) seeks to where it stands after every read of a seekable file. That costs time, and in MP3 the
    samples after a seek are wrong, so that a file read in blocks would differ from the file read at once.
    """

    def seekable(self) -> bool:
        return False

    def can_seek(self) -> bool:
        return bool(super().seekable())


class FileSource(Source):
    """A recording that libsndfile reads."""

    def __init__(self, file: BinaryIO, name: str, *, owned: bool) -> None:
        self.name = name
        self._raw, self._owned = file, owned
        self._file = _Straight(file)
        self.sample_rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.format = f"{self._file.format} {self._file.subtype}"
        stated = self._file.frames if self._file.frames < _UNKNOWN_FRAMES else None
        self.duration = None if stated is None else stated / self.sample_rate
        self._is_mp3 = self._file.format == "MP3"
        if self._is_mp3:
            view = mp3.whole(file)
            if view is not file:
                self._file, stated = _Straight(view), None
        self.num_frames = None if self._is_mp3 else stated
        self._stated, self._position = stated, 0

    def skip(self, frames: int) -> None:
        """Seek where that is exact, else read up to there."""
        preroll = round(_MP3_PREROLL * self.sample_rate) if self._is_mp3 else 0
        target = max(0, frames - preroll)
        if target and self._file.can_seek():
            try:
                self._position = self._file.seek(target)
            except soundfile.LibsndfileError:
                logger.debug("%s cannot be sought in; reading from its start", self.name)
        while self._position < frames:
            if not len(self.read(min(_SKIP_FRAMES, frames - self._position))):
                break

    def read(self, frames: int) -> NDArray[np.float32]:
        """Return the next samples, (frames, channels); fewer only at the end."""
        try:
            block: NDArray[np.float32] = self._file.read(frames, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise AudioError(
                f"{self.name} is damaged or cut off",
                got=f"{self._file.format} that breaks off before its end"
                + (f" at {self.duration:.1f} s" if self.duration else ""),
                fix="copy or download the file again",
            ) from error
        self._position += len(block)
        if len(block) < frames and self._stated is not None:
            missing = (self._stated - self._position) / self.sample_rate
            if missing > _MISSING_TAIL:
                logger.warning("%s ends %.1f s before the length that its header states", self.name, missing)
        return block

    def close(self) -> None:
        """Close the file, unless it belongs to the caller."""
        self._file.close()
        if self._owned:
            self._raw.close()


class ArraySource(Source):
    """Samples in memory: a numpy array, or a tensor (anything with ``numpy()``).

    One axis is samples. Of two axes the shorter is channels. Integers are scaled to [-1, 1) by their type's range.
    """

    def __init__(self, array: Any, sample_rate: float) -> None:
        self.name = "the array of samples"
        self._samples = _as_floats(_as_array(array), self.name)
        try:
            self.sample_rate = int(sample_rate)
        except (TypeError, ValueError) as error:
            raise AudioError("a sample rate must be a number of samples a second", got=repr(sample_rate)) from error
        if self.sample_rate < 1:
            raise AudioError("a sample rate must be a number of samples a second", got=repr(sample_rate))
        self.num_frames, self.channels = self._samples.shape
        self.duration = self.num_frames / self.sample_rate
        self.format = "array"
        self._position = 0

    def skip(self, frames: int) -> None:
        """Go on from the ``frames``-th sample."""
        self._position = min(frames, self.num_frames)

    def read(self, frames: int) -> NDArray[np.float32]:
        """Return the next samples, (frames, channels); fewer only at the end."""
        block = self._samples[self._position : self._position + frames]
        self._position += len(block)
        return np.asarray(block, dtype=np.float32)

    def close(self) -> None:
        """Nothing to let go of."""


def _as_array(array: Any) -> NDArray[Any]:
    if isinstance(array, np.ndarray):
        return array
    if hasattr(array, "detach"):  # a tensor, maybe with a gradient, on another device, in a type numpy lacks
        array = array.detach().cpu()
        array = array.float() if array.is_floating_point() else array
    return np.asarray(array.numpy() if hasattr(array, "numpy") else array)


def _as_floats(array: NDArray[Any], name: str) -> NDArray[Any]:
    """Return (num_frames, channels), floating point; integers are scaled."""
    if array.ndim not in (1, 2):
        raise AudioError(f"{name} has too many axes", got=f"shape {array.shape}", expected="(samples,) or two axes")
    if array.ndim == 1:
        array = array[:, None]
    elif array.shape[0] < array.shape[1]:
        array = array.T
    if array.dtype.kind == "f":
        return array
    if array.dtype == np.uint8:
        return (array.astype(np.float32) - 128.0) / 128.0
    if array.dtype in (np.int8, np.int16, np.int32):
        return (array / np.float64(-np.iinfo(array.dtype).min)).astype(np.float32)
    raise AudioError(
        f"{name} has a type without a natural scale", got=str(array.dtype), expected="float, int16, int32 or uint8"
    )
