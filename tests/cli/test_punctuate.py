"""``seaspeak punctuate`` with NeMo's smallest model, whose texts NeMo's own results stand beside."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from tests.fixture import Fixture

Seaspeak = Callable[..., Result]


@pytest.fixture(scope="module")
def restorer(shared: Path) -> Fixture:
    return Fixture(shared / "fixtures/nlp/punctuation_capitalization_windows_v123")


@pytest.fixture(scope="module")
def pairs(restorer: Fixture) -> list[tuple[str, str]]:
    """Texts, and what NeMo makes of them when each is one window, as here by default."""
    outputs = restorer.meta["text_outputs"]
    whole = outputs["results"]['{"max_seq_length": 64, "step": 8, "margin": 16}']
    return list(zip(outputs["texts"], whole, strict=True))


@pytest.fixture
def punctuate(seaspeak: Seaspeak, restorer: Fixture) -> Seaspeak:
    return lambda *words, **options: seaspeak("punctuate", "-m", restorer.archive, *words, **options)


def test_each_line_of_a_file_becomes_a_line(punctuate: Seaspeak, pairs: list[tuple[str, str]], tmp_path: Path) -> None:
    path = tmp_path / "talk.txt"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(text for text, _ in pairs).encode() + b"\n \n")
    result = punctuate(path)
    assert result.exit_code == 0, result.output
    assert result.stdout.split("\n") == [*(restored for _, restored in pairs), "", ""]


def test_standard_input_is_the_default(punctuate: Seaspeak, pairs: list[tuple[str, str]]) -> None:
    text, restored = pairs[0]
    assert punctuate(stdin=text.encode()).stdout == punctuate("-", stdin=text.encode()).stdout == f"{restored}\n"


def test_nothing_in_is_nothing_out(punctuate: Seaspeak) -> None:
    result = punctuate(stdin=b"")
    assert (result.exit_code, result.stdout) == (0, "")


@pytest.mark.e2e
def test_a_pipe_that_stays_open_gets_its_line_at_once(restorer: Fixture, pairs: list[tuple[str, str]]) -> None:
    command = [sys.executable, "-m", "seaspeak", "punctuate", "-m", str(restorer.archive)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdin is not None and process.stdout is not None
        for text, restored in pairs[:3]:
            process.stdin.write(f"{text}\n")
            process.stdin.flush()
            assert process.stdout.readline() == f"{restored}\n"  # the pipe is open: nothing but this line has come
        process.stdin.close()
        assert process.stdout.read() == ""
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (["gone.txt"], None, "seaspeak: there is no file 'gone.txt'"),
        (["-"], b"fine\n\xff\xfe\n", "seaspeak: line 2 of standard input is not text"),
        (["-m", "no_such_model"], b"a\n", "seaspeak: "),
        (["-m", "gone.nemo"], b"a\n", "seaspeak: "),
    ],
)
def test_what_fails_is_one_error_and_exit_code_1(
    arguments: list[str], stdin: bytes | None, message: str, punctuate: Seaspeak
) -> None:
    result = punctuate(*arguments, stdin=stdin)
    assert result.exit_code == 1
    assert result.stderr.startswith(message) and "Traceback" not in result.stderr


def test_a_model_of_another_kind_is_refused(seaspeak: Seaspeak, archive: Path) -> None:
    result = seaspeak("punctuate", "-m", archive, stdin=b"a\n")
    assert result.exit_code == 1
    assert "EncDecCTCModel cannot take the place of PunctuationCapitalizationModel" in result.stderr


def test_wrong_usage_is_exit_code_2(seaspeak: Seaspeak) -> None:
    assert seaspeak("punctuate", "a.txt", "b.txt").exit_code == 2
