"""MP3 files whose length libsndfile would get wrong.

libsndfile takes the number of samples from the file's Xing, Info or VBRI header and never reads past it. Without such a
header it multiplies the size of the file by the bit rate of the first frame: of a recording with a variable bit rate it
may drop more than half without a word. Files joined end to end stop where the header of the first part says.
"""

from __future__ import annotations

import os
from typing import Any

_HEAD_BYTES = 512
_ID3_HEADER = 10
_TIMES_LONGER = 64  # bit rates of MP3 differ by 320 / 8 at most
_TAIL_BYTES = 4096


def whole(file: Any) -> Any:
    """Return ``file``, an MP3, where it stands, or a view of it from which every sample will be read."""
    position = file.tell()
    file.seek(0, os.SEEK_END)
    size = file.tell()
    file.seek(0)
    start = _start_of_frames(file.read(_ID3_HEADER))
    file.seek(start)
    frame = file.read(_HEAD_BYTES)
    file.seek(position)
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    if at >= 0:
        return Endless(file, size, ignore=start + at) if _says_less(frame[at:], size - start) else file
    return file if b"VBRI" in frame else Endless(file, size)


def _start_of_frames(head: bytes) -> int:
    """Where the sound begins: behind the ID3 tag, if there is one."""
    if head[:3] != b"ID3" or len(head) < _ID3_HEADER:
        return 0
    return _ID3_HEADER + sum(seven_bits << shift for seven_bits, shift in zip(head[6:], (21, 14, 7, 0), strict=True))


def _says_less(header: bytes, size: int) -> bool:
    """Tell whether a Xing header speaks of clearly less than ``size`` bytes."""
    flags = int.from_bytes(header[4:8], "big")
    if not flags & 2:  # it does not state a size
        return False
    stated = int.from_bytes(header[12:16] if flags & 1 else header[8:12], "big")
    return size > 1.1 * stated + _TAIL_BYTES


class Endless:
    """A file that claims to be much longer than it is, so that a length estimated from its size is never too short.

    Args:
        file: what to read from.
        size: its length in bytes.
        ignore: where four bytes lie that are read as zeros: the name of a header that is wrong.
    """

    def __init__(self, file: Any, size: int, ignore: int | None = None) -> None:
        self._file, self._ignore = file, ignore
        self._end = size * _TIMES_LONGER + _TAIL_BYTES
        self._at = 0

    def tell(self) -> int:
        """The position, in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position; the end is where the file claims to end."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        return self._at

    def read(self, size: int) -> bytes:
        """Return bytes at the position; zeros near the claimed end, where libsndfile looks for a tag."""
        if self._at >= self._end - _TAIL_BYTES:
            data = bytes(min(size, self._end - self._at))
        else:
            self._file.seek(self._at)
            data = self._file.read(size)
            if self._ignore is not None:
                data = _zeroed(data, self._ignore - self._at)
        self._at += len(data)
        return data


def _zeroed(data: bytes, at: int) -> bytes:
    first, last = max(0, at), min(len(data), at + 4)
    return data if first >= last else data[:first] + bytes(last - first) + data[last:]
