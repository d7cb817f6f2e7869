"""The English cleaner; the expectations are what NeMo 3.0 and 1.0 write, or follow from the rules of both."""

from __future__ import annotations

import pytest

from seaspeak.text.cleaners import clean_text, expand_abbreviations, latin, speak_numbers


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("at 2:30pm", "at two thirty pm"),
        ("at 10:00", "at ten"),
        ("the 22nd", "the twenty-second"),
        ("10 000 men", "  ten thousand  men"),
        ("1 234 567", "  one million, two hundred and thirty-four thousand, five hundred and sixty-seven "),
        ("costs $3.50 now", "costs three dollars and fifty cents now"),
        ("costs $5.50!", "costs five hundred and fifty dollars"),
        ("us$ 20", "us twenty dollars"),
        ("3.14", "three point one four"),
        ("1,000", " one thousand "),
        ("b52s", "b fifty-two s"),
        ("no numbers", "no numbers"),
    ],
)
def test_numbers_are_spoken(text, spoken):
    assert speak_numbers(text).split() == spoken.split()


@pytest.mark.parametrize(
    ("version", "text", "expanded"),
    [
        (None, "mr. and mrs. smith, etc.", "mister and misess smith, et cetera"),
        (None, "st. john st.", "saint john saint"),
        (None, "alms. may. esq.", "alms. may. esq."),
        ("fastpitch", "john, esq. etc.", "john, esquire etc."),
        ("expanded", "acme inc. etc.", "acme include et cetera"),
    ],
)
def test_abbreviations_are_expanded_by_version(version, text, expanded):
    assert expand_abbreviations(text, version) == expanded


def test_punctuation_becomes_words_blanks_or_stays_if_it_is_a_label():
    text = "R&B, 'rock' + roll: 10%?"

    assert clean_text(text, labels="'") == "r and b 'rock' plus roll ten percent"
    assert clean_text(text, labels="',?") == "r and b, 'rock' plus roll ten percent ?"
    assert clean_text("a, b!", replace_punctuation=False) == "a, b!"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("naïve café", "naive cafe"),
        ("Łódź, Ærø, Straße", "Lodz, AEro, Strasse"),
        ("“it’s” — so…", '"it\'s" -- so...'),
        ("привет мир", "привет мир"),
        ("日本語 が", "日本語 が"),
    ],
)
def test_accents_are_taken_off_and_other_scripts_stay(text, plain):
    assert latin(text) == plain


def test_currencies_without_words_are_warned_about(caplog):
    clean_text("£5 or 5€")

    assert "'£' or '€'" in caplog.text
