"""What goes wrong on the command line: one clear error each, other recordings still done, nothing lost."""

from __future__ import annotations

import json
import re
import resource
import signal
import subprocess
from pathlib import Path

import pytest
import soundfile

from seaspeak.cli.main import COMMANDS
from tests.faults import recordings as make
from tests.faults.commands import SEASPEAK, as_in_a_terminal, errors, run, start, wait_until
from tests.memory import measured

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="session")
def archive(shared: Path) -> Path:
    """A QuartzNet small enough to load in no time; it hears nonsense."""
    return shared / "fixtures" / "asr" / "quartznet5x5_tiny" / "model.nemo"


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.wav"
    soundfile.write(path, make.speech(1.5), make.RATE)
    return path


@pytest.mark.parametrize("name", make.BROKEN)
def test_a_broken_recording_is_named_and_the_others_are_done(
    name: str, tmp_path: Path, archive: Path, good: Path
) -> None:
    bad = tmp_path / name
    make.BROKEN[name](bad)
    result = run("transcribe", "-m", archive, good, bad, good, "-o", tmp_path / "out")
    assert result.exit_code == 1
    [error] = errors(result)
    assert name in error and "Traceback" not in result.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["good-2.txt", "good.txt"]
    assert "2 of 3 recordings transcribed, 1 failed" in result.stderr


@pytest.mark.parametrize("name", make.SOUND)
def test_unusual_recordings_are_no_errors(name: str, tmp_path: Path, archive: Path) -> None:
    make.SOUND[name](tmp_path / name)
    result = run("transcribe", "-m", archive, tmp_path / name)
    assert result.exit_code == 0 and errors(result) == []


def test_a_missing_file_is_named_and_the_others_are_done(tmp_path: Path, archive: Path, good: Path) -> None:
    result = run("transcribe", "-m", archive, tmp_path / "gone.wav", good)
    assert result.exit_code == 1
    assert errors(result) == [f"seaspeak: there is no file '{tmp_path / 'gone.wav'}'"]
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == [str(good)]


def test_if_nothing_is_there_no_model_is_loaded(tmp_path: Path) -> None:
    result = run("transcribe", "-m", tmp_path / "also_gone.nemo", tmp_path / "gone.wav", tmp_path / "*.wav")
    assert result.exit_code == 1
    assert len(errors(result)) == 2 and "also_gone" not in result.stderr


def test_an_empty_standard_input_is_an_error(archive: Path) -> None:
    result = run("transcribe", "-m", archive, "-", stdin=b"")
    assert result.exit_code == 1
    assert errors(result)[0].startswith("seaspeak: -: ")


def test_an_unknown_model_gets_the_nearest_name(good: Path) -> None:
    result = run("transcribe", "-m", "seaspeak_en_recognizer", good)
    assert result.exit_code == 1
    assert "did you mean 'seaspeak_en_recogniser'" in result.stderr


@pytest.mark.parametrize("damage", ["missing", "text", "truncated", "empty"])
def test_a_damaged_archive_is_one_error(damage: str, tmp_path: Path, archive: Path, good: Path) -> None:
    path = tmp_path / "model.nemo"
    content = {"text": b"not an archive\n" * 99, "truncated": archive.read_bytes()[:50_000], "empty": b""}
    if damage in content:
        path.write_bytes(content[damage])
    result = run("transcribe", "-m", path, good)
    assert result.exit_code == 1
    assert len(errors(result)) == 1 and "model.nemo" in result.stderr and "Traceback" not in result.stderr


def test_a_model_that_does_not_recognise_speech_is_refused(shared: Path, good: Path) -> None:
    result = run("transcribe", "-m", shared / "fixtures" / "tts" / "fastpitch_tiny" / "model.nemo", good)
    assert result.exit_code == 1 and len(errors(result)) == 1


def test_a_missing_manifest_is_one_error(tmp_path: Path, archive: Path) -> None:
    result = run("transcribe", "-m", archive, "--manifest", tmp_path / "gone.json")
    assert result.exit_code == 1
    [error] = errors(result)
    assert "gone.json" in error


def test_a_malformed_line_of_a_manifest_is_named_with_its_number(tmp_path: Path, archive: Path, good: Path) -> None:
    manifest = tmp_path / "list.json"
    line = json.dumps({"audio_filepath": good.name, "duration": 1.5, "text": "a"})
    manifest.write_text(f"{line}\n{line[:-5]}\n")
    result = run("transcribe", "-m", archive, "--manifest", manifest)
    assert result.exit_code == 1
    assert "list.json:2 is not JSON" in result.stderr


def test_a_manifest_that_names_a_missing_file_is_done_but_for_that(tmp_path: Path, archive: Path, good: Path) -> None:
    manifest = tmp_path / "list.json"
    entries = [{"audio_filepath": name, "duration": 1.5, "text": ""} for name in ("gone.wav", good.name)]
    manifest.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    result = run("transcribe", "-m", archive, "--manifest", manifest)
    assert result.exit_code == 1
    assert "gone.wav" in errors(result)[0]
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == [str(good)]


@pytest.mark.parametrize("place", ["/proc/seaspeak/texts", "in_the_way/texts", "in_the_way"])
def test_an_output_folder_that_nobody_can_write_to_is_one_error(place: str, tmp_path: Path, good: Path) -> None:
    (tmp_path / "in_the_way").write_text("a file")
    result = run("transcribe", "-m", "no such model is reached", good, "-o", tmp_path / place)
    assert result.exit_code == 1
    [error] = errors(result)
    assert "output folder" in error and "cannot be written to" in error


@pytest.mark.parametrize(
    "arguments",
    [
        ["transcribe"],
        ["transcribe", "a.wav", "-f", "doc"],
        ["transcribe", "a.wav", "-f", "all"],
        ["transcribe", "a.wav", "b.wav", "-f", "srt"],
        ["transcribe", "a.wav", "--batch-size", "0"],
        ["transcribe", "a.wav", "--nonsense"],
        ["no_such_command"],
    ],
    ids=" ".join,
)
def test_wrong_usage_leaves_with_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_device_that_is_not_there_is_one_error(archive: Path, good: Path) -> None:
    result = run("transcribe", "-m", archive, good, "--device", "quantum")
    assert result.exit_code == 1
    assert "the device 'quantum' cannot be used" in errors(result)[0]


@pytest.mark.slow
def test_a_full_disk_is_one_error_and_leaves_whole_files_only(tmp_path: Path, archive: Path) -> None:
    recording, out = tmp_path / "x.wav", tmp_path / "out"
    soundfile.write(recording, make.speech(30.0), make.RATE)

    def nearly_full() -> None:  # the text fits, JSON does not
        resource.setrlimit(resource.RLIMIT_FSIZE, (150, 150))

    process = start("transcribe", "-m", archive, recording, "-o", out, "-f", "all", preexec_fn=nearly_full)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "x.json cannot be written: File too large" in stderr and "Traceback" not in stderr
    assert [path.name for path in out.iterdir()] == ["x.txt"]
    assert (out / "x.txt").read_text().endswith("\n")


@pytest.mark.slow
def test_standard_output_on_a_full_disk_is_one_error(archive: Path, good: Path) -> None:
    with open("/dev/full", "w") as full:
        words = [*SEASPEAK, "transcribe", "-m", str(archive), str(good)]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "standard output cannot be written" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_reader_that_has_read_enough_is_no_error_message(archive: Path, good: Path) -> None:
    process = start("transcribe", "-m", archive, *[good] * 5)
    process.stdout.close()
    assert "Traceback" not in process.stderr.read() and process.wait(60) in (0, 1)
    process.stderr.close()


@pytest.mark.slow
@pytest.mark.parametrize("where", ["folder", "stdout"])
def test_ctrl_c_keeps_what_is_done_and_leaves_with_130(where: str, tmp_path: Path, archive: Path) -> None:
    recording, out = tmp_path / "x.wav", tmp_path / "out"
    soundfile.write(recording, make.speech(20.0), make.RATE)
    arguments = ["transcribe", "-m", archive, "--batch-size", 1, *[recording] * 500]
    process = start(*arguments, *(["-o", out] if where == "folder" else []), preexec_fn=as_in_a_terminal)
    if where == "folder":
        wait_until(lambda: (out / "x.txt").exists(), process)
        printed = ""
    else:
        printed = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    rest, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "seaspeak: interrupted" in stderr and "Traceback" not in stderr
    done = int(re.search(r"(\d+) of 500 recordings transcribed", stderr)[1])
    assert 1 <= done < 500
    if where == "folder":
        assert len([path for path in out.iterdir() if path.suffix == ".txt"]) == len(list(out.iterdir())) == done
    else:
        assert len((printed + rest).splitlines()) == done


@pytest.mark.slow
def test_two_hours_need_less_than_two_gigabytes(tmp_path: Path, archive: Path) -> None:
    path = tmp_path / "long.flac"
    minute = make.speech(60.0)
    with soundfile.SoundFile(path, "w", make.RATE, 1) as stream:
        for _ in range(120):
            stream.write(minute)
    done = measured("transcribe", "-m", archive, path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 h 00 min of audio" in done.stderr
    assert done.peak < 2e9


def test_help_of_every_command_is_there() -> None:
    for name in COMMANDS:
        assert run(name, "--help").exit_code == 0, name
