"""Fetching a file over HTTP: resumed where it stopped, checked, and never half there under its final name."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO

from seaspeak._version import __version__
from seaspeak.core.errors import DownloadError, StorageError

logger = logging.getLogger(__name__)

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there and the bytes that there will be, if that is known."""

_CHUNK = 1 << 18
_ATTEMPTS = 3  # without a byte in between
_TIMEOUT = 30.0  # seconds without an answer
_TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)


def download(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    size: int | None = None,
    refresh: bool = False,
    progress: Progress | None = None,
    wait: float = 1.0,
) -> Path:
    """Fetch ``url`` into ``target``.

    A download that breaks off is continued, by this call or by a later one, if the server allows it and the file is
    the same. Processes that want the same file wait for the one that is fetching it.

    Args:
        url: where it is.
        target: where it goes; ``<target>.part`` beside it holds what has come so far.
        sha256: checksum of the whole file, if known.
        size: its size in bytes, if known.
        refresh: fetch it again even if it is there.
        progress: told how far it is; by default a progress bar on a terminal.
        wait: seconds before a second attempt, doubled for each further one.

    Raises:
        DownloadError: the server cannot be reached, has no such file, or what came is not what was expected.
        StorageError: the file cannot be written.
    """
    from filelock import FileLock  # torch depends on it

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            if target.is_file() and not refresh:
                return target
            part = target.with_name(f"{target.name}.part")
            with _shown(target.name, progress) as show:
                _complete(url, part, show, wait)
            _check(part, url, sha256, size)
            os.replace(part, target)
            _note(part).unlink(missing_ok=True)
    except DownloadError:
        raise
    except OSError as error:
        raise StorageError(
            f"{target} cannot be written: {error.strerror or error}", fix="set SEASPEAK_CACHE_DIR to another folder"
        ) from error
    return target


def _complete(url: str, part: Path, show: Progress, wait: float) -> None:
    """Fetch what is missing of ``part``, as often as something comes."""
    failures = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            _fetch(url, part, show)
            return
        except urllib.error.HTTPError as error:
            error.close()
            if error.code not in _TRY_AGAIN:
                raise DownloadError(
                    f"{url} cannot be fetched: the server answers {error.code} {error.reason}"
                ) from error
            reason: Exception = error
        except (urllib.error.URLError, HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as error:
            reason = error
        failures = 1 if part.exists() and part.stat().st_size > before else failures + 1
        if failures >= _ATTEMPTS:
            why = getattr(reason, "reason", None) or reason
            raise DownloadError(f"{url} cannot be fetched: {why or type(reason).__name__}") from reason
        logger.info("download of %s broke off (%s); trying again", url, reason)
        time.sleep(wait * 2 ** (failures - 1))


def _fetch(url: str, part: Path, show: Progress) -> None:
    """One request: the rest of the file if part of it is here, else all of it."""
    have, tag = _state(part, url)
    request = urllib.request.Request(url, headers={"User-Agent": f"seaspeak/{__version__}"})
    if have and tag:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", tag)
    try:
        response: HTTPResponse = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # there is nothing behind what is here
            error.close()
            if (error.headers.get("Content-Range") or "").endswith(f"/{have}"):
                return
            part.unlink()
            raise ConnectionError("what had come is of another file") from error
        raise
    with response:
        start = _start(response)
        if start not in (0, have):
            raise HTTPException(f"the server sent bytes from {start} on instead of {have}")
        remaining = int(response.headers["Content-Length"]) if response.headers.get("Content-Length") else None
        total = start + remaining if remaining is not None else None
        tag = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        _note(part).write_text(json.dumps({"url": url, "tag": "" if tag.startswith("W/") else tag}))
        with part.open("ab" if start else "wb") as file:
            _copy(response, file, start, total, show)


def _copy(response: HTTPResponse, file: BinaryIO, start: int, total: int | None, show: Progress) -> None:
    done = start
    show(done, total)
    while data := response.read(_CHUNK):
        file.write(data)
        done += len(data)
        show(done, total)
    file.flush()
    os.fsync(file.fileno())
    if total is not None and done != total:
        raise ConnectionError(f"the connection ended after {done:,} of {total:,} bytes")


def _start(response: HTTPResponse) -> int:
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range") or "")
    return int(match[1]) if response.status == 206 and match else 0


def _state(part: Path, url: str) -> tuple[int, str]:
    """How much of the file is here, and the tag of the version that it is of."""
    try:
        note = json.loads(_note(part).read_text())
        return (part.stat().st_size, note["tag"]) if note["url"] == url else (0, "")
    except (OSError, ValueError, KeyError, TypeError):
        return 0, ""


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _check(part: Path, url: str, sha256: str | None, size: int | None) -> None:
    """Refuse, and remove, what is not the file that was expected."""
    found = part.stat().st_size
    problem = ""
    if size is not None and found != size:
        problem = f"{found:,} bytes instead of {size:,}"
    elif sha256 is not None and (digest := _sha256(part)) != sha256:
        problem = f"sha256 {digest[:16]}… instead of {sha256[:16]}…"
    if problem:
        part.unlink()
        raise DownloadError(f"what {url} sent is not the file that was expected", got=problem, fix="try again later")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            digest.update(data)
    return digest.hexdigest()


@contextlib.contextmanager
def _shown(name: str, progress: Progress | None) -> Iterator[Progress]:
    """The given progress function; else a bar if standard error is a terminal, and nothing if it is not."""
    if progress is not None or not sys.stderr.isatty():
        yield progress or (lambda done, total: None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bar(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
