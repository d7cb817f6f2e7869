"""``seaspeak transcribe`` with a small recogniser."""

from __future__ import annotations

import json
import os
import pty
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
from typer.testing import Result

from tests.faults.recordings import RATE, speech

Seaspeak = Callable[..., Result]
SPEED = re.compile(r"[\d.]+ s of audio in [\d.]+ s: real-time factor \d+\.\d{3}")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, seconds in {"long.wav": 3.0, "short.flac": 1.0, "middle.ogg": 2.0}.items():
        soundfile.write(tmp_path / name, speech(seconds), RATE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_one_file_gives_its_text_alone_and_the_speed_on_standard_error(
    seaspeak: Seaspeak, archive: Path, folder: Path
) -> None:
    result = seaspeak("transcribe", "long.wav", "-m", archive)
    assert result.exit_code == 0
    assert result.stdout.count("\n") == 1 and "\t" not in result.stdout and len(result.stdout) > 1
    assert SPEED.fullmatch(result.stderr.strip())


def test_standard_input_gives_the_same_as_the_file(seaspeak: Seaspeak, archive: Path, folder: Path) -> None:
    by_name = seaspeak("transcribe", "long.wav", "-m", archive)
    by_pipe = seaspeak("transcribe", "-", "-m", archive, stdin=(folder / "long.wav").read_bytes())
    assert by_pipe.stdout == by_name.stdout


def test_several_give_a_line_each_in_the_order_given(seaspeak: Seaspeak, archive: Path, folder: Path) -> None:
    given = ["long.wav", "short.flac", "middle.ogg", "long.wav"]
    result = seaspeak("transcribe", *given, "-m", archive, "--batch-size", 2)
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert [name for name, _ in lines] == given
    alone = seaspeak("transcribe", "middle.ogg", "-m", archive).stdout
    assert lines[2][1] + "\n" == alone


@pytest.mark.parametrize("what", [".", "*.*"])
def test_folders_and_patterns_give_a_line_each(seaspeak: Seaspeak, archive: Path, folder: Path, what: str) -> None:
    result = seaspeak("transcribe", what, "-m", archive)
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == ["long.wav", "middle.ogg", "short.flac"]


def test_a_manifest_gives_what_it_lists_with_its_offsets(seaspeak: Seaspeak, archive: Path, folder: Path) -> None:
    soundfile.write(folder / "part.wav", speech(3.0)[RATE : 2 * RATE], RATE, subtype="FLOAT")
    entries = [
        {"audio_filepath": "long.wav", "duration": 3.0, "text": ""},
        {"audio_filepath": "long.wav", "offset": 1.0, "duration": 1.0, "text": ""},
    ]
    (folder / "list.json").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    result = seaspeak("transcribe", "--manifest", "list.json", "-m", archive, "-o", "out", "-f", "json")
    assert result.exit_code == 0, result.stderr
    durations = [json.loads((folder / "out" / name).read_text())["duration"] for name in ("long.json", "long-2.json")]
    assert durations == [3.0, 1.0]


def test_every_format_lands_in_the_folder(seaspeak: Seaspeak, archive: Path, folder: Path) -> None:
    result = seaspeak("transcribe", "long.wav", "short.flac", "-m", archive, "-o", "out", "-f", "all")
    assert result.exit_code == 0 and result.stdout == ""
    suffixes = ["ctm", "json", "srt", "tsv", "txt", "vtt"]
    assert sorted(p.name for p in (folder / "out").iterdir()) == [
        f"{n}.{s}" for n in ("long", "short") for s in suffixes
    ]
    plain = seaspeak("transcribe", "long.wav", "-m", archive).stdout
    assert (folder / "out" / "long.txt").read_text() == plain


def test_json_of_several_is_one_object_a_line_with_its_name(seaspeak: Seaspeak, archive: Path, folder: Path) -> None:
    result = seaspeak("transcribe", "short.flac", "long.wav", "-m", archive, "-f", "json")
    objects = [json.loads(line) for line in result.stdout.splitlines()]
    assert [each["audio_filepath"] for each in objects] == ["short.flac", "long.wav"]
    assert all(
        word["end"] <= each["duration"] + 0.1 for each in objects for s in each["segments"] for word in s["words"]
    )


def test_threads_are_set(seaspeak: Seaspeak, archive: Path, folder: Path) -> None:
    import torch

    before = torch.get_num_threads()
    try:
        assert seaspeak("transcribe", "short.flac", "-m", archive, "--threads", 1).exit_code == 0
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.e2e
def test_a_terminal_gets_a_progress_bar_and_a_pipe_does_not(archive: Path, folder: Path) -> None:
    words = ["transcribe", "long.wav", "short.flac", "-m", str(archive)]
    shown: list[bytes] = []

    def read(descriptor: int) -> bytes:
        shown.append(os.read(descriptor, 1024))
        return shown[-1]

    status = pty.spawn([str(Path(sys.executable).with_name("seaspeak")), *words], read)
    screen = b"".join(shown).decode()
    assert os.waitstatus_to_exitcode(status) == 0
    assert "Transcribing" in screen and "long.wav\t" in screen
