"""English transcripts as a recogniser's labels spell them: lower case, numbers and abbreviations in words.

The rules, oddities included, are those that NeMo's recognisers were trained with, so that a transcript gives the same
labels here and there.

Source: behaviour of NeMo 1.0.0, ``cleaners.clean_text``. Deviation: a letter that has no Latin form stays as it is,
where NeMo's transliteration would respell it, so that what the labels cannot spell is seen by `seaspeak data check`.
"""

from __future__ import annotations

import logging
import re
import string
import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Any

from seaspeak.core.errors import ConfigError, require

logger = logging.getLogger(__name__)

PUNCTUATION_WORDS = {"+": "plus", "&": "and", "%": "percent"}

_TITLES = {
    "ms": "miss",
    "mrs": "misess",
    "mr": "mister",
    "messrs": "messeurs",
    "dr": "doctor",
    "drs": "doctors",
    "st": "saint",
    "co": "company",
    "jr": "junior",
    "sr": "senior",
    "rev": "reverend",
    "hon": "honorable",
    "sgt": "sergeant",
    "capt": "captain",
    "maj": "major",
    "col": "colonel",
    "lt": "lieutenant",
    "gen": "general",
    "prof": "professor",
    "lb": "pounds",
    "rep": "representative",
    "ave": "avenue",
    "etc": "et cetera",
}
_MONTHS = {
    "jan": "january",
    "feb": "february",
    "mar": "march",
    "apr": "april",
    "jun": "june",
    "jul": "july",
    "aug": "august",
    "sep": "september",
    "oct": "october",
    "nov": "november",
    "dec": "december",
}
_MORE = {
    "ltd": "limited",
    "fig": "figure",
    "figs": "figures",
    "gent": "gentlemen",
    "ft": "fort",
    "esq": "esquire",
    "prep": "preperation",
    "bros": "brothers",
    "ind": "independent",
    "mme": "madame",
    "pro": "professional",
    "vs": "versus",
}
_COMMON = _TITLES | _MONTHS
ABBREVIATIONS = {
    None: _COMMON,
    "fastpitch": {word: spoken for word, spoken in (_COMMON | _MORE).items() if word not in ("messrs", "etc")},
    "expanded": _COMMON | _MORE | {"inc": "include"},
}

_LATIN = str.maketrans(
    {
        "ß": "ss",
        "æ": "ae",
        "Æ": "AE",
        "œ": "oe",
        "Œ": "OE",
        "ø": "o",
        "Ø": "O",
        "đ": "d",
        "Đ": "D",
        "ð": "d",
        "Ð": "D",
        "þ": "th",
        "Þ": "Th",
        "ł": "l",
        "Ł": "L",
        "ı": "i",
        "‘": "'",
        "’": "'",
        "‚": ",",
        "“": '"',
        "”": '"',
        "„": '"',
        "«": "<<",
        "»": ">>",
        "‐": "-",
        "‑": "-",
        "‒": "-",
        "–": "-",
        "—": "--",
        "−": "-",
        "×": "x",
    }
)

_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})(am|pm)?")
_ORDINAL = re.compile(r"[0-9]+(st|nd|rd|th)")
_THREE_DIGITS = re.compile(r"[0-9]{3}([.,][0-9]{1,2})?[!.?]?$")
_DECIMALS = re.compile(r"[.,]([0-9]{1,2})$")


def clean_text(
    text: str, *, labels: Iterable[str] = (), abbreviations: str | None = None, replace_punctuation: bool = True
) -> str:
    """Return ``text`` in lower-case words.

    Args:
        text: a transcript.
        labels: what a recogniser can write; punctuation among them is kept.
        abbreviations: which list to expand: None, ``"fastpitch"`` or ``"expanded"``.
        replace_punctuation: whether other punctuation becomes blanks.

    Raises:
        ConfigError: there is no such list of abbreviations.
        MissingExtra: the text has digits and the package ``inflect`` is missing.

    >>> clean_text("Dr. Smith's 42 cats, on the 1st", labels="'")
    "doctor smith's forty two cats on the first"
    """
    if "£" in text or "€" in text:
        logger.warning("a transcript has '£' or '€', for which there are no words: %r", text)
    text = " ".join(latin(text).lower().split())
    text = speak_numbers(text)
    text = expand_abbreviations(text, abbreviations)
    for mark, word in PUNCTUATION_WORDS.items():
        text = text.replace(mark, f" {word} ")
    if replace_punctuation:
        others = set(string.punctuation) - set("".join(labels)) - set(PUNCTUATION_WORDS)
        text = text.translate({ord(mark): " " for mark in others})
    return " ".join(text.split())


def latin(text: str) -> str:
    """Return ``text`` with accents taken off and typographic marks in ASCII; other scripts stay.

    >>> latin("naïve café — Straße, привет")
    'naive cafe -- Strasse, привет'
    """
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFKD", text.translate(_LATIN))
    kept, latin_before = [], False
    for character in decomposed:
        if unicodedata.combining(character):
            if not latin_before:
                kept.append(character)
            continue
        latin_before = character.isascii()
        kept.append(character)
    return unicodedata.normalize("NFC", "".join(kept))


def expand_abbreviations(text: str, version: str | None = None) -> str:
    """Replace each abbreviation that ends in a dot by its words; ``text`` is in lower case.

    >>> expand_abbreviations("mr. holmes of baker st.")
    'mister holmes of baker saint'
    """
    if version not in ABBREVIATIONS:
        raise ConfigError(
            "the list of abbreviations is not known", got=repr(version), expected=", ".join(map(repr, ABBREVIATIONS))
        )
    return _abbreviation_pattern(version).sub(lambda match: ABBREVIATIONS[version][match[1]], text)


@cache
def _abbreviation_pattern(version: str | None) -> re.Pattern[str]:
    return re.compile(rf"\b({'|'.join(ABBREVIATIONS[version])})\.")


def speak_numbers(text: str) -> str:
    """Put the numbers of ``text`` into words; words are separated by single blanks.

    A word with a digit is a time (``2:30pm``), an ordinal (``1st``), or a number, of dollars if it has ``$``. A number
    that is followed by three digits continues in them. One or two digits after a dot or comma are decimals if they
    end the word; other dots are dropped, which makes ``$5.50!`` five hundred and fifty dollars, as in NeMo.
    """
    if not any(character.isdigit() for character in text):
        return text
    words = text.split(" ")
    spoken: list[str] = []
    held, dollars = "", False
    for place, word in enumerate(words):
        if not any(digit in word for digit in string.digits):
            spoken.append(word)
            continue
        after_sign = bool(spoken) and spoken[-1].endswith("$")
        if after_sign:
            spoken[-1] = spoken[-1][:-1]
        if match := _TIME.match(word):
            spoken.append(_spoken_time(*match.groups()))
        elif match := _ORDINAL.match(word):
            spoken.append(_in_words(match[0]))
        else:
            dollars = dollars or after_sign or word.startswith("$")
            held += word
            if place + 1 < len(words) and _THREE_DIGITS.match(words[place + 1]):
                spoken.append("")
                continue
            spoken.append(_spoken_number(held, dollars=dollars))
            held, dollars = "", False
    return " ".join(spoken)


def _spoken_time(hours: str, minutes: str, half: str | None) -> str:
    parts = [_in_words(hours), _in_words(minutes) if int(minutes) else "", half or ""]
    return " ".join(part for part in parts if part)


def _spoken_number(number: str, *, dollars: bool) -> str:
    match = _DECIMALS.search(number)
    whole, decimals = (number[: match.start()], match[1]) if match else (number, "")
    whole = whole.replace(".", "")
    if dollars:
        cents = f" and {_in_words(decimals)} {'cent' if whole == decimals else 'cents'}" if decimals else ""
        return f"{_in_words(whole)} dollars{cents}"
    if decimals:
        return _in_words(f"{whole}.{decimals}")
    return re.sub("[0-9,]+", lambda digits: f" {_in_words(digits[0])} ", whole)


def _in_words(number: str) -> str:
    return str(_inflect().number_to_words(number))


@cache
def _inflect() -> Any:
    return require("inflect", extra="asr", why="putting numbers into words").engine()
