"""``seaspeak speak`` with a voice of no size."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from seaspeak.audio.io import info, read
from seaspeak.collections.tts.models import FastPitchModel
from tests import voices

Seaspeak = Callable[..., Result]
TEXT = "One sentence is here. Another one follows it."


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    places = voices.archives(tmp_path_factory.mktemp("voice"))
    return ["--tts", str(places["tts"]), "--vocoder", str(places["vocoder"])]


@pytest.fixture
def say(seaspeak: Seaspeak, stages: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Seaspeak:
    monkeypatch.chdir(tmp_path)
    return lambda *words, **options: seaspeak("speak", *words, *stages, **options)


@pytest.mark.parametrize("form", ["wav", "flac", "ogg", "mp3"])
def test_the_name_of_the_file_chooses_the_format(form: str, say: Seaspeak) -> None:
    result = say(TEXT, "-o", f"out.{form}")
    assert result.exit_code == 0 and not result.stdout, result.output
    about = info(f"out.{form}")
    assert about.sample_rate == 22050 and about.channels == 1
    assert {"wav": "WAV", "flac": "FLAC", "ogg": "OGG", "mp3": "MP3"}[form] in about.format.upper()


def test_the_format_can_be_named(say: Seaspeak) -> None:
    assert say(TEXT, "-o", "out", "--format", "flac").exit_code == 0
    assert info("out").format.startswith("FLAC")


def test_words_files_and_standard_input_sound_alike(say: Seaspeak) -> None:
    Path("text.txt").write_text(TEXT, encoding="utf-8")
    assert say(TEXT, "-o", "a.wav").exit_code == say("text.txt", "-o", "b.wav").exit_code == 0
    assert say("-", "-o", "c.wav", stdin=TEXT.encode()).exit_code == 0
    assert Path("a.wav").read_bytes() == Path("b.wav").read_bytes() == Path("c.wav").read_bytes()


def test_standard_output_gets_the_same_sound(say: Seaspeak) -> None:
    say(TEXT, "-o", "a.wav")
    expected = read("a.wav").samples
    np.testing.assert_array_equal(read(say(TEXT, "-o", "-").stdout_bytes).samples, expected)
    raw = np.frombuffer(say(TEXT, "--raw").stdout_bytes, "<i2")
    np.testing.assert_array_equal(raw, np.rint(expected * 32768).astype(np.int16))
    assert say(TEXT, "--raw", "-o", "a.raw").exit_code == 0
    assert Path("a.raw").read_bytes() == raw.tobytes()


def test_word_times_are_written(say: Seaspeak) -> None:
    assert say(TEXT, "-o", "a.wav", "--times", "words.json").exit_code == 0
    times = json.loads(Path("words.json").read_text(encoding="utf-8"))
    words = [word for segment in times["segments"] for word in segment["words"]]
    assert times["text"] == TEXT and len(times["segments"]) == 2 and len(words) == 8
    assert times["duration"] == pytest.approx(read("a.wav").duration, abs=1e-3)
    assert all(word["start"] < word["end"] <= times["duration"] for word in words)
    assert say(TEXT, "-o", "a.wav", "--times", "words.srt").exit_code == 0
    assert "-->" in Path("words.srt").read_text(encoding="utf-8")


def test_the_same_seed_gives_the_same_samples(seaspeak: Seaspeak, shared: Path, tmp_path: Path) -> None:
    voices.generator(features=6).save_to(tmp_path / "generator.nemo")
    drawing_by_lot = shared / "fixtures" / "tts" / "waveglow_tiny" / "model.nemo"
    options = ["--raw", "--tts", tmp_path / "generator.nemo", "--vocoder", drawing_by_lot]
    first, again, other = (seaspeak("speak", TEXT, *options, "--seed", seed).stdout_bytes for seed in (1, 1, 2))
    assert first == again != other and len(first) == len(other)


def test_a_pipe_has_each_sentence_before_the_next_is_thought_of(say: Seaspeak, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo("pipe")
    listener = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    arrived = []

    def listen(self, *arguments, **options):
        with contextlib.suppress(BlockingIOError):
            arrived.append(len(os.read(listener, 1 << 16)))
        return synthesize(self, *arguments, **options)

    synthesize = FastPitchModel.synthesize
    monkeypatch.setattr(FastPitchModel, "synthesize", listen)
    result = say("One. Two. Three.", "--raw", "-o", "pipe")
    os.close(listener)
    assert result.exit_code == 0, result.output
    assert len(arrived) == 2 and min(arrived) > 0  # nothing yet when the first sentence was begun


def test_speed_changes_the_length(say: Seaspeak) -> None:
    say(TEXT, "-o", "usual.wav")
    say(TEXT, "-o", "fast.wav", "--speed", "2")
    assert read("fast.wav").duration < 0.8 * read("usual.wav").duration


def test_what_cannot_be_spoken_is_named_once(say: Seaspeak) -> None:
    result = say("Hello 🎉 there 🎉.", "-o", "a.wav")
    assert result.exit_code == 0
    assert result.stderr.count("🎉") == 1 and "left out 2 symbols that cannot be spoken: 2 × '🎉'" in result.stderr


@pytest.mark.parametrize("text", ["", "...", "🎉"])
def test_a_text_without_words_is_one_error_and_leaves_no_file(text: str, say: Seaspeak) -> None:
    result = say(text, "-o", "a.wav")
    assert result.exit_code == 1 and result.stderr.count("seaspeak: ") == 1
    assert "there is nothing to say" in result.stderr and not Path("a.wav").exists()


def test_files_that_are_empty_missing_or_no_text_are_one_error_each(say: Seaspeak) -> None:
    Path("empty.txt").touch()
    Path("sound.wav").write_bytes(b"RIFF\xff\xfe\x80")
    for name, message in {
        "empty.txt": "empty.txt is empty: there is nothing to say",
        "gone.txt": "there is no file 'gone.txt'",
        "sound.wav": "sound.wav is not text",
    }.items():
        result = say(name, "-o", "a.wav")
        assert result.exit_code == 1 and result.stderr.startswith(f"seaspeak: {message}"), result.stderr
    assert "standard input is empty" in say("-", "-o", "a.wav", stdin=b"").stderr


@pytest.mark.parametrize(
    "words",
    [
        ["Hello."],
        ["Hello.", "-o", "a.aiff"],
        ["Hello.", "--raw", "--format", "wav"],
        ["Hello.", "-o", "a.wav", "--times", "a.xml"],
        ["Hello.", "-o", "a.wav", "--format", "aac"],
    ],
    ids=" ".join,
)
def test_wrong_usage_leaves_with_2(words: list[str], say: Seaspeak) -> None:
    assert say(*words).exit_code == 2


def test_a_vocoder_that_does_not_fit_is_refused_with_the_remedy(
    say: Seaspeak, seaspeak: Seaspeak, stages: list[str], tmp_path: Path
) -> None:
    other = tmp_path / "other.nemo"
    voices.vocoder(sample_rate=16000).save_to(other)
    result = seaspeak("speak", TEXT, "-o", "a.wav", *stages[:2], "--vocoder", other)
    assert result.exit_code == 1 and "take a vocoder of 22050 Hz" in result.stderr
    result = seaspeak("speak", TEXT, "-o", "a.wav", "--tts", stages[3], "--vocoder", stages[3])
    assert result.exit_code == 1 and "HifiGanModel cannot take the place of SpectrogramGenerator" in result.stderr


@pytest.mark.slow
@pytest.mark.e2e
def test_a_pipe_plays_before_all_is_spoken_and_may_be_closed(stages: list[str]) -> None:
    command = [sys.executable, "-m", "seaspeak", "speak", "-", "--raw", *stages]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin and process.stdout and process.stderr
    process.stdin.write(("A sentence that repeats itself. " * 2000).encode())
    process.stdin.close()
    assert len(process.stdout.read(2000)) == 2000
    assert process.poll() is None  # most of it is still to be spoken
    process.stdout.close()
    process.wait(timeout=60)
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
