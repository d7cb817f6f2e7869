"""Dictionaries like CMUdict, in its spellings of yesterday and today."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from seaspeak.core.errors import DataError, FileMissingError
from seaspeak.text.pronunciations import Dictionary, cmudict

CLASSIC = ";;; CMUdict\nREAD  R EH1 D\nREAD(1)  R IY1 D\n'BOUT  B AW1 T\n"
CURRENT = "'bout B AW1 T\nread R EH1 D # past\nread(2) R IY1 D\n"


@pytest.mark.parametrize(
    "text",
    [CLASSIC, CURRENT, CURRENT.encode(), gzip.compress(CLASSIC.encode())],
    ids=["classic", "current", "bytes", "gzip"],  # compressed bytes hold the time: no name for a test
)
def test_both_spellings_are_read(text: str | bytes) -> None:
    dictionary = Dictionary.parse(text)
    assert dictionary["read"] == [("R", "EH1", "D"), ("R", "IY1", "D")]
    assert dictionary["'bout"] == [("B", "AW1", "T")]
    assert len(dictionary) == 2


def test_a_dictionary_is_written_in_the_spelling_that_nemo_reads() -> None:
    text = Dictionary.parse(CURRENT).classic()
    assert text == "'BOUT  B AW1 T\nREAD  R EH1 D\nREAD(1)  R IY1 D\n"
    assert dict(Dictionary.parse(text)) == dict(Dictionary.parse(CURRENT))


def test_old_files_in_latin_1_are_read() -> None:
    assert "café" in Dictionary.parse("CAFÉ  K AH0 F EY1\n".encode("latin-1"))


def test_cmudict_ships() -> None:
    assert len(cmudict()) == 126052
    assert cmudict()["hello"][0] == ("HH", "AH0", "L", "OW1")


def test_a_file_that_is_no_dictionary_is_named(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("one\ntwo\n")
    with pytest.raises(DataError, match=r"words\.txt holds no pronunciation"):
        Dictionary.read(path)
    with pytest.raises(FileMissingError, match="no pronouncing dictionary"):
        Dictionary.read(tmp_path / "none.txt")
