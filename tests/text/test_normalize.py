"""Written English in spoken words."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seaspeak.core.errors import ConfigError
from seaspeak.text.normalize import EnglishNormalizer

CASES = {
    "Dr. Smith paid $3.50 at 12:30pm on the 21st": (
        "doctor Smith paid three dollars and fifty cents at twelve thirty p m on the twenty first"
    ),
    "In 1984, 1,000 people & 3% of 25,000.": (
        "In nineteen eighty four, one thousand people and three percent of twenty five thousand."
    ),
    "It costs $1,000,000 or $.50, $1.00 and $0.01.": (
        "It costs one million dollars or fifty cents, one dollar and one cent."
    ),
    "£20 or €5, $5m, $2 billion": "twenty pounds or five euros, five million dollars, two billion dollars",
    "3.14159 and 2.5": "three point one four one five nine and two point five",
    "Call 555-1234 + wait": "Call five five five, one two three four plus wait",
    "100m 5kg, 1 ft, 2 ft": "one hundred meters five kilograms, one foot, two feet",
    "10-20 km/h, 5 m², -40°C": ("ten to twenty kilometers per hour, five square meters, minus forty degrees Celsius"),
    "½ or 2 1/2 cups, 3/4": "one half or two and one half cups, three quarters",
    "King Henry VIII and World War II, Chapter IV. I am": (
        "King Henry the eighth and World War two, Chapter four. I am"
    ),
    "St. John lives on Main St. He met Dr. No at 5 p.m. They left.": (
        "saint John lives on Main street. He met doctor No at five p m. They left."
    ),
    "We saw cats, e.g. lions, etc.": "We saw cats, for example lions, et cetera.",
    "Jan. 5, 2003 and 4th of July": "January fifth, two thousand three and fourth of July",
    "NASA met the US in the U.S.A. today": "NASA met the u s in the u s a today",
    "MP3, B12 and 3D": "m p three, b twelve and three d",
    "the '90s and 1800s": "the nineties and eighteen hundreds",
    "No. 5, #1, 16:9, 007": "number five, number one, sixteen to nine, zero zero seven",
    "visit https://www.example.com/a-b.": "visit w w w dot example dot com slash a dash b.",
    "from 1990-1995, pages 10–20": "from nineteen ninety to nineteen ninety five, pages ten to twenty",
    "May 5 is fine; they may 5 times": "May fifth is fine; they may five times",
    "I THINK THIS IS GREAT": "I THINK THIS IS GREAT",
    "at 6:05:01, 24/7": "at six o five and one second, twenty four seven",
}

UNLIKE_NEMO = {
    "(1)Hello",  # we do say the number
    "1!hello",
    "august 23, 2002",  # we keep the comma, for the pause
    "Dr. Evil",  # the list leaves capitals as they are; we expand both
}


@pytest.mark.parametrize("written", CASES)
def test_a_table_of_cases(written: str) -> None:
    assert EnglishNormalizer()(written) == CASES[written]


def squeezed(text: str) -> str:
    return re.sub(r"\s*([!,.()])\s*", r"\1", text.strip())


def test_the_published_cases_hold_but_for_four(shared: Path) -> None:
    rows = [line.split("\t") for line in (shared / "spec/nlp_tn_cases.tsv").read_text().splitlines()]
    cases = [(written, spoken) for direction, _, written, spoken in rows if direction == "tn"]
    normalizer = EnglishNormalizer()
    wrong = {written for written, spoken in cases if squeezed(normalizer(written)) != squeezed(spoken)}
    assert len(cases) == 163
    assert wrong == UNLIKE_NEMO


TEXTS = st.text(max_size=40) | st.text(alphabet=st.sampled_from("0123456789.,:/-$€%kmKM°²½st'aApPi #@()VX\n"))


@given(TEXTS)
@example("5²³ ٣ ①")
@example("1.2.3.4:5")
def test_no_digit_remains_and_nothing_raises(text: str) -> None:
    spoken = EnglishNormalizer()(text)
    assert not any(sign.isdigit() for sign in spoken)
    assert spoken == EnglishNormalizer()(text)


@given(st.lists(st.from_regex(r"[a-z]{1,9}[,;!?]?", fullmatch=True), max_size=8).map(" ".join))
def test_plain_words_stay(text: str) -> None:
    assert EnglishNormalizer()(text) == text


@given(TEXTS)
def test_words_hold_all_that_was_written(text: str) -> None:
    normalizer = EnglishNormalizer()
    words = normalizer.words(text)
    plain = "".join(str(int(sign)) if sign.isdecimal() else sign for sign in text)
    circled = any(sign.isdigit() and not sign.isdecimal() for sign in text)
    assert circled or "".join("".join(word.written.split()) for word in words) == "".join(plain.split())
    assert " ".join(" ".join(word.spoken for word in words).split()) == normalizer(text)


def test_own_abbreviations_come_first(tmp_path: Path) -> None:
    (tmp_path / "own.tsv").write_text("Dr.\tdrive\nSQL\tsequel\n")
    assert EnglishNormalizer(whitelist=str(tmp_path / "own.tsv"))("SQL Dr. 5") == "sequel drive five"
    assert EnglishNormalizer(whitelist={"SQL": "sequel"}).normalize("SQL!") == "sequel!"


def test_another_language_is_refused() -> None:
    with pytest.raises(ConfigError, match="English only"):
        EnglishNormalizer(lang="de")


@pytest.mark.parametrize("unit", ["a", "1", "a1", "A.", "1,", "@", "a.", "1-", " ", "1 ", "Dr. Smith paid $3.50. "])
def test_long_texts_take_time_in_proportion(unit: str) -> None:
    text = (unit * 50_000)[:50_000]
    normalizer = EnglishNormalizer()
    normalizer(text[:500])
    start = time.process_time()
    normalizer(text)
    assert time.process_time() - start < 10  # a tenth of that here; a square law would take minutes
