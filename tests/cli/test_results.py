"""Where transcripts go."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path, PurePath

import pytest

from seaspeak.cli.recordings import Recording
from seaspeak.cli.results import InOrder, IntoFolder, check_folder, places, write_file
from seaspeak.core.errors import StorageError
from seaspeak.text.transcript import Transcript


def recordings(*stems: str) -> list[Recording]:
    return [Recording(stem, Path(stem), PurePath(stem)) for stem in stems]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_output_is_in_the_order_given_whatever_finishes_first(order: tuple[int, ...]) -> None:
    printed: list[str] = []
    results = InOrder(lambda index, transcript: transcript.text, printed.append)
    for index in order:
        results.add(index, None if index == 2 else Transcript(str(index)))
    assert printed == ["0", "1", "3"]
    results.close()
    assert printed == ["0", "1", "3"]


def test_what_was_held_back_is_printed_at_the_end() -> None:
    printed: list[str] = []
    results = InOrder(lambda index, transcript: transcript.text, printed.append)
    results.add(3, Transcript("3"))
    results.add(1, Transcript("1"))
    assert printed == []
    results.close()
    assert printed == ["1", "3"]


def test_files_appear_as_soon_as_their_transcript_is_there(tmp_path: Path) -> None:
    results = IntoFolder(tmp_path / "new" / "folder", recordings("one", "sub/two"), ["txt", "json"])
    results.add(1, Transcript("second"))
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert written == ["new/folder/sub/two.json", "new/folder/sub/two.txt"]
    assert (tmp_path / "new" / "folder" / "sub" / "two.txt").read_text() == "second\n"


def test_recordings_of_the_same_name_do_not_overwrite_each_other() -> None:
    stems = [str(place) for place in places(recordings("x", "x", "d/x", "x", "x-2"))]
    assert stems == ["x", "x-2", "d/x", "x-3", "x-2-2"]


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(StorageError, match=r"x\.txt cannot be written: No space left on device"):
        write_file(path, "new")
    assert [p.name for p in tmp_path.iterdir()] == ["x.txt"] and path.read_text() == "old"


@pytest.mark.parametrize("place", ["file/below", "file", "/proc/nowhere"])
def test_a_folder_that_nobody_can_write_to_is_one_error(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("a file, not a folder")
    with pytest.raises(StorageError, match="cannot be written to"):
        check_folder(tmp_path / place)


def test_a_full_disk_is_one_error_and_leaves_no_half_file(tmp_path: Path) -> None:
    program = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from seaspeak.cli.results import write_file\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_file(Path(sys.argv[1]), 'x' * 5000)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "x.txt"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "x.txt cannot be written: File too large" in done.stderr
    assert list(tmp_path.iterdir()) == []
