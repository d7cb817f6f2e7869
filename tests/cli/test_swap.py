"""``seaspeak swap`` with the recogniser that ships and a voice of no size."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import Result

from seaspeak.audio.io import info, read
from tests import voices
from tests.e2e.pages import SAMPLES

Seaspeak = Callable[..., Result]
BOATS = SAMPLES / "boats.flac"


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    places = voices.archives(tmp_path_factory.mktemp("voice"))
    return ["--tts", str(places["tts"]), "--vocoder", str(places["vocoder"])]


@pytest.fixture
def swap(seaspeak: Seaspeak, stages: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Seaspeak:
    monkeypatch.chdir(tmp_path)
    return lambda *words, **options: seaspeak("swap", *words, *stages, "--punctuation", "none", **options)


def test_one_recording_gives_its_text_and_the_new_recording(swap: Seaspeak) -> None:
    result = swap(BOATS, "-o", "swapped.flac")
    assert result.exit_code == 0, result.output
    assert result.stdout == "the fishing boats came back to the beach before the storm\n"
    assert info("swapped.flac").sample_rate == 22050 and info("swapped.flac").format.startswith("FLAC")
    assert re.search(r"real-time factors: hearing \d+\.\d\d, speaking \d+\.\d\d", result.stderr)


def test_standard_input_is_a_recording_too(swap: Seaspeak) -> None:
    swap(BOATS, "-o", "file.wav")
    result = swap("-", "-o", "piped.wav", stdin=BOATS.read_bytes())
    assert result.exit_code == 0
    assert Path("file.wav").read_bytes() == Path("piped.wav").read_bytes()


def test_several_recordings_go_into_a_folder(swap: Seaspeak) -> None:
    result = swap(BOATS, SAMPLES / "library.ogg", "gone.wav", "-o", "out")
    assert result.exit_code == 1
    assert sorted(path.name for path in Path("out").iterdir()) == ["boats.wav", "library.wav"]
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == [str(BOATS), str(SAMPLES / "library.ogg")]
    assert "there is no file 'gone.wav'" in result.stderr


def test_speed_changes_the_length(swap: Seaspeak) -> None:
    swap(BOATS, "-o", "usual.wav")
    swap(BOATS, "-o", "fast.wav", "--speed", "2")
    assert read("fast.wav").duration < 0.8 * read("usual.wav").duration


def test_the_report_is_one_page_with_everything_in_it(swap: Seaspeak) -> None:
    assert swap(BOATS, "-o", "swapped.wav", "--report", "report.html").exit_code == 0
    page = Path("report.html").read_text(encoding="utf-8")
    assert page.count('src="data:audio/flac;base64,') == 2 and page.count('src="data:image/png;base64,') == 2
    assert page.count("<svg") == 2 and "fishing" in page and "flowchart LR" in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page)


@pytest.mark.parametrize("seconds", [0.5, 3.0])
def test_a_recording_without_speech_is_one_error_and_leaves_no_file(seconds: float, swap: Seaspeak) -> None:
    soundfile.write("silent.wav", np.zeros(round(16000 * seconds)), 16000)
    result = swap("silent.wav", "-o", "swapped.wav")
    assert result.exit_code == 1 and result.stderr.count("seaspeak: ") == 1
    assert "nobody was heard speaking in silent.wav" in result.stderr and not Path("swapped.wav").exists()


def test_an_empty_file_is_one_error(swap: Seaspeak) -> None:
    Path("empty.wav").touch()
    result = swap("empty.wav", "-o", "swapped.wav")
    assert result.exit_code == 1 and result.stderr.count("seaspeak: ") == 1 and "empty.wav" in result.stderr


def test_a_noisy_recording_is_swapped(swap: Seaspeak) -> None:
    sound = read(BOATS)
    noise = np.random.default_rng(0).normal(0, 0.01, len(sound.samples)).astype(np.float32)
    soundfile.write("noisy.wav", sound.samples + noise, sound.sample_rate)
    result = swap("noisy.wav", "-o", "swapped.wav")
    assert result.exit_code == 0 and "fishing boats" in result.stdout


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["a.wav"],
        ["a.wav", "-o", "-"],
        ["a.wav", "-o", "b.aiff"],
        ["a.wav", "b.wav", "-o", "out", "--report", "r.html"],
        ["a.wav", "b.wav", "-o", "out.wav"],
    ],
    ids=" ".join,
)
def test_wrong_usage_leaves_with_2(words: list[str], swap: Seaspeak) -> None:
    assert swap(*words).exit_code == 2
