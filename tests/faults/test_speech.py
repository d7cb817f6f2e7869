"""What goes wrong when texts are spoken, punctuated or swapped: one clear error each, the rest done, no half files."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from seaspeak.audio.io import info, read
from tests import voices
from tests.e2e.pages import SAMPLES
from tests.faults import recordings as make
from tests.faults.commands import SEASPEAK, as_in_a_terminal, errors, run, start, wait_until
from tests.memory import measured

pytestmark = pytest.mark.e2e

TEXT = "One sentence is here. Another one follows it."
LONG = "A sentence that repeats itself. " * 3000


@pytest.fixture(scope="session")
def archives(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An archive of no size for each stage; the recogniser hears nonsense in any sound."""
    fixtures = shared / "fixtures"
    return {
        "asr": fixtures / "asr" / "quartznet5x5_tiny" / "model.nemo",
        "punctuation": fixtures / "nlp" / "punctuation_capitalization_tiny" / "model.nemo",
        **voices.archives(tmp_path_factory.mktemp("voice")),
    }


@pytest.fixture(scope="session")
def stages(archives: dict[str, Path]) -> list[object]:
    """The options of ``swap``; those of ``speak`` are the last four."""
    return [word for stage, path in archives.items() for word in (f"--{stage}", path)]


@pytest.fixture
def good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    soundfile.write("good.wav", make.speech(1.5), make.RATE)
    return Path("good.wav")


def without(archive: Path, part: str, target: Path) -> Path:
    """Copy an archive but for the members whose name holds ``part``."""
    with tarfile.open(archive) as source, tarfile.open(target, "w") as copy:
        for member in source:
            if part not in member.name:
                copy.addfile(member, source.extractfile(member))
    return target


@pytest.mark.parametrize("name", make.BROKEN)
def test_a_broken_recording_is_named_and_the_others_are_swapped(name: str, good: Path, stages: list[object]) -> None:
    make.BROKEN[name](Path(name))
    result = run("swap", good, name, good, "-o", "out", *stages)
    assert result.exit_code == 1
    [error] = errors(result)
    assert name in error and "Traceback" not in result.stderr
    assert sorted(path.name for path in Path("out").iterdir()) == ["good-2.wav", "good.wav"]
    assert len(result.stdout.splitlines()) == 2


def test_a_recording_without_speech_is_named_and_the_others_are_swapped(good: Path, stages: list[object]) -> None:
    soundfile.write("silent.wav", np.zeros(32000), 16000)
    shutil.copy(SAMPLES / "boats.flac", ".")
    result = run("swap", "silent.wav", "boats.flac", "-o", "out", *stages, "--asr", "seaspeak_en_recogniser")
    assert result.exit_code == 1
    [error] = errors(result)
    assert error == "seaspeak: nobody was heard speaking in silent.wav"
    assert [path.name for path in Path("out").iterdir()] == ["boats.wav"]


@pytest.mark.parametrize(
    ("stage", "given", "message"),
    [
        ("asr", "tts", "FastPitchModel cannot take the place of ASRModel"),
        ("punctuation", "asr", "EncDecCTCModel cannot take the place of PunctuationCapitalizationModel"),
        ("tts", "vocoder", "HifiGanModel cannot take the place of SpectrogramGenerator"),
        ("vocoder", "tts", "FastPitchModel cannot take the place of Vocoder"),
    ],
)
def test_an_archive_of_the_wrong_kind_is_refused_in_each_stage(
    stage: str, given: str, message: str, good: Path, stages: list[object], archives: dict[str, Path]
) -> None:
    result = run("swap", good, "-o", "out.wav", *stages, f"--{stage}", archives[given])
    assert result.exit_code == 1 and errors(result) == [f"seaspeak: {message}"]
    assert str(archives[given]) in result.stderr and not Path("out.wav").exists()


@pytest.mark.parametrize("command", ["speak", "swap"])
@pytest.mark.parametrize(
    ("front_end", "remedy"),
    [
        ({"sample_rate": 16000}, "take a vocoder of 22050 Hz, or a generator of 16000 Hz"),
        ({"highfreq": 11025}, "take a vocoder that was trained on such spectrograms"),
        ({"features": 80}, "take a vocoder that was trained on such spectrograms"),
        ({"n_window_stride": 200}, "take a vocoder that was trained on such spectrograms"),
    ],
    ids=lambda case: "" if isinstance(case, str) else "-".join(case),
)
def test_a_vocoder_of_other_spectrograms_is_refused_with_the_remedy(
    front_end: dict[str, int], remedy: str, command: str, good: Path, stages: list[object]
) -> None:
    voices.vocoder(**front_end).save_to("other.nemo")
    what, options = (TEXT, stages[-4:]) if command == "speak" else (good, stages)
    result = run(command, what, "-o", "out.wav", *options, "--vocoder", "other.nemo")
    assert result.exit_code == 1 and len(errors(result)) == 1
    assert "does not understand the spectrograms" in result.stderr and remedy in result.stderr
    assert not Path("out.wav").exists()


def test_an_archive_without_its_tokenizer_is_one_error(good: Path, archives: dict[str, Path]) -> None:
    archive = without(archives["punctuation"], "vocab", Path("bare.nemo"))
    result = run("punctuate", "-m", archive, stdin=b"hello there\n")
    assert result.exit_code == 1 and not result.stdout
    [error] = errors(result)
    assert "vocab" in error and "neither here nor in the archive" in error


def test_an_archive_without_its_dictionary_is_one_error(good: Path, stages: list[object]) -> None:
    shipped = SAMPLES.parent / "models" / "seaspeak_en_fastpitch.nemo"
    archive = without(shipped, ".dict", Path("bare.nemo"))
    result = run("speak", TEXT, "-o", "out.wav", *stages[-4:], "--tts", archive)
    assert result.exit_code == 1
    [error] = errors(result)
    assert "phoneme_dict" in error and "neither here nor in the archive" in error and not Path("out.wav").exists()


def test_an_incomplete_folder_of_an_encoder_is_one_error(good: Path) -> None:
    for folder in ("encoder", "texts"):
        Path(folder).mkdir()
    Path("encoder/config.json").write_text('{"model_type": "bert", "vocab_size": 9, "hidden_size": 8}')
    Path("texts/one.txt").write_text("Hello there, friend.\n" * 9)
    result = run(
        "train",
        "--config",
        "punctuation_capitalization",
        "model.language_model.pretrained_model_name=encoder",
        "model.train_ds.plain_text=texts",
        "exp_manager.exp_dir=runs",
    )
    assert result.exit_code == 1
    [error] = errors(result)
    assert "encoder" in error and "Traceback" not in result.stderr


@pytest.mark.parametrize("place", ["/proc/seaspeak/out.wav", "in_the_way/out.wav"])
def test_an_output_that_cannot_be_written_is_one_error(place: str, good: Path, stages: list[object]) -> None:
    Path("in_the_way").write_text("a file")
    for command in (["speak", TEXT, "-o", place, *stages[-4:]], ["swap", good, "-o", place, *stages]):
        result = run(*command)
        assert result.exit_code == 1
        [error] = errors(result)
        assert place in error and "cannot be written" in error
    result = run("speak", TEXT, "-o", "out.wav", "--times", f"{place}.json", "--tts", "no model is reached")
    assert result.exit_code == 1 and "cannot be written to" in errors(result)[0]


@pytest.mark.parametrize("form", ["wav", "flac", "ogg", "mp3"])
def test_a_full_disk_is_one_error_whatever_the_format(form: str, good: Path, stages: list[object]) -> None:
    result = run("speak", TEXT, "-o", "/dev/full", "--format", form, *stages[-4:])
    assert result.exit_code == 1
    assert errors(result) == ["seaspeak: /dev/full cannot be written: No space left on device"]
    assert Path("/dev/full").is_char_device()  # not replaced by a file


@pytest.mark.slow
@pytest.mark.parametrize("form", ["wav", "mp3"])
def test_standard_output_on_a_full_disk_is_one_error(form: str, stages: list[object]) -> None:
    words = [*SEASPEAK, "speak", TEXT, "-o", "-", "--format", form, *map(str, stages[-4:])]
    with open("/dev/full", "w") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("seaspeak: standard output cannot be written") and "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("form", ["wav", "mp3"])
def test_a_listener_who_has_heard_enough_is_no_error_message(form: str, tmp_path: Path, stages: list[object]) -> None:
    (tmp_path / "long.txt").write_text(LONG)
    process = start("speak", tmp_path / "long.txt", "-o", "-", "--format", form, *stages[-4:])
    process.stdout.buffer.read(1)
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait(60) in (0, 1)
    process.stderr.close()


@pytest.mark.slow
def test_a_reader_who_has_read_enough_is_no_error_message(tmp_path: Path, archives: dict[str, Path]) -> None:
    (tmp_path / "long.txt").write_text("a line that repeats itself\n" * 3000)
    process = start("punctuate", tmp_path / "long.txt", "-m", archives["punctuation"])
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait(60) in (0, 1)
    process.stderr.close()


@pytest.mark.slow
def test_ctrl_c_in_a_speech_leaves_no_half_file_and_130(tmp_path: Path, stages: list[object]) -> None:
    (tmp_path / "long.txt").write_text(LONG)
    out = tmp_path / "out"
    process = start("speak", tmp_path / "long.txt", "-o", out / "a.flac", *stages[-4:], preexec_fn=as_in_a_terminal)
    wait_until(lambda: any(part.stat().st_size > 10_000 for part in out.glob(".*")), process)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130 and stderr == "seaspeak: interrupted\n"
    assert list(out.iterdir()) == []


@pytest.mark.slow
def test_ctrl_c_in_a_swap_keeps_what_is_done_and_leaves_with_130(
    tmp_path: Path, good: Path, stages: list[object]
) -> None:
    process = start("swap", *[good] * 500, "-o", tmp_path / "out", *stages, preexec_fn=as_in_a_terminal)
    printed = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    rest, stderr = process.communicate(timeout=60)
    assert process.returncode == 130 and stderr.endswith("seaspeak: interrupted\n") and "Traceback" not in stderr
    written = list((tmp_path / "out").iterdir())
    done = len((printed + rest).splitlines())
    assert done <= len(written) <= done + 1 < 500  # one may have been written, but not told of
    assert all(path.suffix == ".wav" and info(path).duration > 0 for path in written)


def test_what_cannot_be_spoken_is_left_out_counted_and_named_once(good: Path, stages: list[object]) -> None:
    result = run("speak", "Hello 🎉 there, 🎉 世界 ☃ ∮ and 世 again.", "-o", "odd.wav", *stages[-4:])
    assert result.exit_code == 0
    assert result.stderr.startswith("seaspeak: left out 7 symbols that cannot be spoken: ")
    assert all(result.stderr.count(symbol) == 1 for symbol in "🎉世界☃∮")
    run("speak", "Hello there, and again.", "-o", "plain.wav", *stages[-4:])
    np.testing.assert_array_equal(read("odd.wav").samples, read("plain.wav").samples)


def test_no_symbol_is_lost_in_punctuating(good: Path, archives: dict[str, Path]) -> None:
    text = "hello 🎉 there 世界 ☃ \u0301 \ufffd co-op o'clock 3.5 %"
    result = run("punctuate", "-m", archives["punctuation"], stdin=f"{text}\n".encode())
    assert result.exit_code == 0
    found = result.stdout.split()
    assert len(found) == len(text.split())
    assert all(old.lower() in new.lower() for old, new in zip(text.split(), found, strict=True))


def test_noise_is_swapped(good: Path, stages: list[object]) -> None:
    soundfile.write("noise.wav", np.random.default_rng(0).normal(0, 0.1, 16000), 16000)
    result = run("swap", "noise.wav", "-o", "out.wav", *stages)
    assert result.exit_code == 0 and info("out.wav").duration > 0


@pytest.mark.slow
def test_fifty_thousand_characters_are_spoken_in_little_memory(tmp_path: Path, stages: list[object]) -> None:
    peaks = []
    for count in (2_000, 50_000):
        (tmp_path / "long.txt").write_text((LONG * 2)[:count])
        done = measured("speak", "long.txt", "-o", "out.flac", "--times", "out.json", *stages[-4:], cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        peaks.append(done.peak)
    assert info(tmp_path / "out.flac").duration > 600
    assert peaks[1] - peaks[0] < 100e6  # the sound alone has that many bytes as float32


@pytest.mark.slow
def test_a_query_of_a_hundred_thousand_words_keeps_every_word(tmp_path: Path, archives: dict[str, Path]) -> None:
    words = ["abc", "de", "f", "gh", "ij"] * 20_000
    (tmp_path / "long.txt").write_text(" ".join(words) + "\n")
    done = measured("punctuate", "long.txt", "-m", archives["punctuation"], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    [line] = done.stdout.splitlines()
    assert [word.lower().strip(".,?") for word in line.split()] == words
    assert done.peak < 2e9
