from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaspeak.core.errors import ConfigError
from seaspeak.text.parsers import CharParser, ENCharParser, make_parser

LETTERS = [" ", *"abcdefghijklmnopqrstuvwxyz'"]


def test_label_numbers_and_texts_are_nemos(shared: Path):
    results = json.loads((shared / "fixtures" / "asr" / "v1_text_parser" / "meta.json").read_text())["results"]
    assert set(results) == {"en", "en_no_norm", "base", "en_blank"}
    for case in results.values():
        parser = make_parser(case["labels"], **case["config"])
        for row in case["rows"]:
            assert parser(row["text"]) == row["ids"], row["text"]
            assert parser.normalize(row["text"]).strip() == row["normalized"], row["text"]


@given(text=st.text(alphabet=LETTERS, max_size=40))
def test_text_in_labels_comes_back_from_its_numbers(text):
    numbers = CharParser(LETTERS, do_normalize=False)(text)

    assert "".join(LETTERS[number] for number in numbers) == text


@given(text=st.text(max_size=60))
def test_any_text_gives_labels_or_nothing(text):
    numbers = make_parser(LETTERS, "en")(text)

    assert numbers is None or all(0 <= number < len(LETTERS) for number in numbers)


def test_words_can_be_labels():
    parser = CharParser([" ", "a", "b", "<laugh>"])

    assert parser("ab <laugh> b") == [1, 2, 0, 3, 0, 2]
    assert parser("<laugh>b") == [1, 2]  # not a whole word, so letter by letter


def test_unknown_characters_become_the_unknown_label_if_there_is_one():
    assert CharParser(["?", "a", " "], unk_id=0)("a z") == [1, 2, 0]


@pytest.mark.parametrize(("name", "missing"), [("base", ["é", "!", "!"]), ("en", [])])
def test_what_cannot_be_spelt_is_told(name, missing):
    parser = make_parser(LETTERS, name)

    assert parser.unspellable(parser.normalize("Hé! Hi!")) == missing


def test_a_blank_that_is_no_label_is_told():
    assert CharParser(["a", "b"]).unspellable("a b a") == [" ", " "]


def test_all_printable_characters_are_the_default_labels():
    assert make_parser(None, "base", do_lowercase=False)("Az") == [36, 35]


def test_an_unknown_parser_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"no parser of this name(.|\n)*did you mean 'base'"):
        make_parser(LETTERS, "bas")


def test_an_unknown_list_of_abbreviations_is_refused():
    with pytest.raises(ConfigError, match="list of abbreviations is not known"):
        ENCharParser(LETTERS, abbreviation_version="slow")("mr. x")


def test_parsing_loads_no_torch():
    program = (
        "import sys; from seaspeak.text.parsers import make_parser\n"
        "make_parser(None, 'en')('5'); print('torch' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
