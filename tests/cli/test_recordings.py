"""What the user names, as a list of recordings."""

from __future__ import annotations

import io
from pathlib import Path, PurePath
from types import SimpleNamespace

import pytest

from seaspeak.cli.recordings import collect, is_one
from seaspeak.core.errors import DataError, FileMissingError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("b.wav", "a.FLAC", "deep/c.mp3", "notes.txt", ".hidden.wav", "odd[1].wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(arguments: list[str]) -> list[str]:
    return [recording.name for recording in collect(arguments)[0]]


def test_files_stay_in_the_order_given(folder: Path) -> None:
    assert names(["b.wav", "a.FLAC", "b.wav"]) == ["b.wav", "a.FLAC", "b.wav"]


def test_a_folder_gives_its_recordings_at_any_depth_and_says_what_it_left_out(folder: Path) -> None:
    recordings, left_out = collect(["."])
    assert [recording.name for recording in recordings] == ["a.FLAC", "b.wav", "deep/c.mp3", "odd[1].wav"]
    assert [recording.place for recording in recordings][2] == PurePath("deep/c")
    assert [str(note) for note in left_out] == [
        "left out of .: 1 file that does not end like a recording (notes.txt)",
    ]


def test_a_pattern_gives_what_it_matches_sorted(folder: Path) -> None:
    assert names(["*.wav"]) == ["b.wav", "odd[1].wav"]
    assert names(["**/*.mp3"]) == ["deep/c.mp3"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(folder: Path) -> None:
    recordings, _ = collect(["odd[1].wav"])
    assert [recording.audio for recording in recordings] == [Path("odd[1].wav")]


@pytest.mark.parametrize("argument", ["nothing.wav", "*.opus"])
def test_what_is_not_there_is_named_and_the_rest_goes_on(folder: Path, argument: str) -> None:
    missing, there = collect([argument, "b.wav"])[0]
    assert isinstance(missing.error, FileMissingError) and argument in str(missing.error)
    assert there.error is None


def test_a_folder_without_recordings_is_an_error(folder: Path) -> None:
    (folder / "empty").mkdir()
    [recording] = collect(["empty"])[0]
    assert isinstance(recording.error, DataError) and "'empty' holds no recordings" in str(recording.error)


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"RIFF")))
    [recording] = collect(["-"])[0]
    assert (recording.name, recording.audio.read(), recording.place) == ("-", b"RIFF", PurePath("stdin"))


def test_the_text_alone_is_for_one_file_or_standard_input(folder: Path) -> None:
    assert (
        is_one(["b.wav"], None) and is_one(["-"], None) and is_one(["odd[1].wav"], None) and is_one(["gone.wav"], None)
    )
    assert not is_one(["."], None) and not is_one(["*.FLAC"], None) and not is_one(["b.wav", "a.FLAC"], None)
    assert not is_one([], Path("manifest.json"))
