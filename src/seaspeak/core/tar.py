"""Tar files from anybody, read without trusting a byte of them.

The standard library's reader extracts links and devices, follows sizes that a header claims and recurses into
extension headers; this one lists regular files and reads them by name. It knows what archives are made of: ustar
headers, with the long names and sizes of the POSIX (pax) and GNU forms.
"""

from __future__ import annotations

import io
import re
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from seaspeak.core.errors import ArchiveError, StorageError

BLOCK = 512
MAX_RATIO = 100
MAX_BYTES = 64 << 30
_MAX_MEMBERS = 100_000
_MAX_EXTENSION = 1 << 20  # bytes of one pax or GNU extension header
_SMALL = 1 << 20  # up to here a high ratio is no bomb: a tiny tar is mostly padding
_CHUNK = 1 << 20
_REFUSED = {b"1": "a hard link", b"2": "a symbolic link", b"3": "a device", b"4": "a device", b"6": "a pipe"}


class Member(NamedTuple):
    """Where the content of a regular file lies in a tar."""

    offset: int
    size: int


class Window(io.RawIOBase):
    """A read-only, seekable view of ``size`` bytes of a file from ``offset`` on."""

    def __init__(self, file: BinaryIO, member: Member) -> None:
        self._file, self._member, self._position = file, member, 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to ``offset`` bytes from the view's start, from here, or from its end."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._member.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """The position in the view."""
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # narrower than any buffer
        """Fill ``buffer`` as far as the view goes; returns the number of bytes."""
        view = memoryview(buffer).cast("B")
        count = min(len(view), max(0, self._member.size - self._position))
        self._file.seek(self._member.offset + self._position)
        got = self._file.readinto(view[:count])  # type: ignore[attr-defined]  # files opened here have it
        self._position += got
        return int(got)


def unzipped(file: BinaryIO, *, limit: int | None = None) -> BinaryIO:
    """Return ``file`` itself, or, if it is gzip-compressed, its content in a nameless temporary file.

    Args:
        file: an open file.
        limit: how many bytes may come out; by default 100 times the size of the file, at most 64 GiB.

    Raises:
        ArchiveError: the compressed data is damaged, ends early, or unpacks to more than the limit.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    magic = file.read(2)
    file.seek(0)
    if magic != b"\x1f\x8b":
        return file
    limit = limit if limit is not None else max(_SMALL, min(MAX_RATIO * size, MAX_BYTES))
    content: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    try:
        _inflate(file, content, limit)
    except OSError as error:
        content.close()
        raise StorageError(
            f"there is no room to unpack the archive: {error}", fix="set TMPDIR to a folder with space"
        ) from error
    except BaseException:
        content.close()
        raise
    return content


def _inflate(source: BinaryIO, target: BinaryIO, limit: int) -> None:
    stream, written, pending = zlib.decompressobj(wbits=31), 0, b""
    while True:
        pending = pending or source.read(_CHUNK)
        if not pending:
            raise ArchiveError("the compressed archive ends early", fix="download or copy it again")
        try:
            data = stream.decompress(pending, _CHUNK)
        except zlib.error as error:
            raise ArchiveError(f"the compressed archive is damaged: {error}", fix="copy it again") from error
        written += len(data)
        if written > limit:
            raise ArchiveError(
                "the archive unpacks to far more than it is large",
                got=f"more than {limit:,} bytes",
                expected=f"at most {MAX_RATIO} times the file",
                fix="open it with Archive.open(path, max_bytes=...) if you trust it",
            )
        target.write(data)
        pending = stream.unconsumed_tail
        if stream.eof:
            return


def index(file: BinaryIO) -> dict[str, Member]:
    """List the regular files of an uncompressed tar by name, without a leading ``./``.

    Raises:
        ArchiveError: this is no tar; it ends early; a member is a link or a device, or has an absolute name or
            one with ``..``; a size is larger than what the file holds.
    """
    end = file.seek(0, io.SEEK_END)
    members: dict[str, Member] = {}
    position, count, extended = 0, 0, {}
    while position + BLOCK <= end:
        header = _block(file, position)
        if not header.strip(b"\0"):
            break
        _check_sum(header, first=position == 0)
        kind, size = header[156:157], _number(header[124:136])
        if kind in b"xgLK" and kind:
            if size > _MAX_EXTENSION or position + BLOCK + size > end:
                raise ArchiveError("the archive has a header of impossible size")
            extended.update(_extension(kind, _block(file, position + BLOCK, size)))
            position += BLOCK + _padded(size)
            continue
        size = int(extended.get("size", size))
        name = _safe(extended.get("path") or _name(header))
        extended = {}
        position, count = position + BLOCK, count + 1
        if kind in _REFUSED or kind not in (b"0", b"\0", b"7", b"5"):
            what = _REFUSED.get(kind, f"something of kind {kind!r}")
            raise ArchiveError(f"member {name!r} of the archive is {what}", expected="regular files only")
        if size < 0 or size > end - position:
            raise ArchiveError(
                f"the archive ends early, within {name!r}",
                got=f"{end - position:,} bytes",
                expected=f"{size:,} bytes",
                fix="download or copy it again",
            )
        if kind != b"5":
            if name in members or count > _MAX_MEMBERS:
                raise ArchiveError(f"member {name!r} occurs twice" if name in members else "too many members")
            members[name] = Member(position, size)
        position += _padded(size)
    return members


def append(file: BinaryIO, name: str, write: Callable[[BinaryIO], object]) -> None:
    """Write one member at the end of a tar whose content ``write`` produces; its size need not be known before.

    Names, times and owners carry nothing of the machine: the same model gives the same bytes.
    """
    info = tarfile.TarInfo(f"./{name}")
    info.mode = 0o644
    start = file.tell()
    head = len(info.tobuf(tarfile.GNU_FORMAT))
    file.write(bytes(head))
    write(file)
    end = file.tell()
    info.size = end - start - head
    file.seek(start)
    file.write(info.tobuf(tarfile.GNU_FORMAT))
    file.seek(end)
    file.write(bytes(_padded(info.size) - info.size))


def finish(file: BinaryIO) -> None:
    """Write the two empty blocks that end a tar."""
    file.write(bytes(2 * BLOCK))


def _block(file: BinaryIO, position: int, size: int = BLOCK) -> bytes:
    file.seek(position)
    return file.read(size)


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _check_sum(header: bytes, *, first: bool) -> None:
    expected = sum(header) - sum(header[148:156]) + 8 * ord(" ")
    try:
        correct = _number(header[148:156]) == expected
    except ArchiveError:
        correct = False
    if not correct:
        problem = "this is not a .nemo archive (neither a tar nor a gzip-compressed tar)"
        raise ArchiveError(problem if first else "the archive is damaged: a header has a wrong check sum")


def _number(field: bytes) -> int:
    """A number of a header: octal digits, or (GNU) base 256 behind a set top bit."""
    if field[0] in (0x80, 0xFF):
        return int.from_bytes(field[1:], "big", signed=False) if field[0] == 0x80 else -1
    digits = field.strip(b" \0")
    if not re.fullmatch(rb"[0-7]*", digits):
        raise ArchiveError("the archive is damaged: a header has a size that is no number")
    return int(digits or b"0", 8)


def _name(header: bytes) -> str:
    name = header[:100].split(b"\0", 1)[0]
    prefix = header[345:500].split(b"\0", 1)[0] if header[257:263] == b"ustar\0" else b""
    return (prefix + b"/" + name if prefix else name).decode("utf-8", "replace")


def _extension(kind: bytes, data: bytes) -> dict[str, str]:
    """The path and size that an extension header gives to the member behind it."""
    if kind == b"L":
        return {"path": data.split(b"\0", 1)[0].decode("utf-8", "replace")}
    found: dict[str, str] = {}
    while kind == b"x" and (match := re.match(rb"(\d{1,7}) ([^=]+)=", data)):
        length = int(match[1])
        key, value = match[2].decode("utf-8", "replace"), data[match.end() : length - 1]
        if length <= match.end() or (key == "size" and not re.fullmatch(rb"\d{1,19}", value)):
            raise ArchiveError("the archive is damaged: an extension header makes no sense")
        if key in ("path", "size"):
            found[key] = value.decode("utf-8", "replace")
        data = data[length:]
    return found


def _safe(name: str) -> str:
    """The member's name without ``./``, if it stays inside the archive."""
    parts = Path(name).parts
    unified = name.replace("\\", "/")
    if unified.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in unified.split("/") or "\0" in name:
        raise ArchiveError(f"member {name!r} of the archive points outside of it", fix="do not use this file")
    return "/".join(part for part in parts if part != ".")
