"""How a word sounds that is in no dictionary."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files

from seaspeak.text.graphones import GraphoneModel

_SIBILANTS = frozenset(["S", "Z", "SH", "ZH", "CH", "JH"])
_VOICELESS = frozenset(["P", "T", "K", "F", "TH"])

LETTER_NAMES = {
    letter: tuple(phones.split())
    for letter, phones in (
        line.split(maxsplit=1)
        for line in """
        a EY1
        b B IY1
        c S IY1
        d D IY1
        e IY1
        f EH1 F
        g JH IY1
        h EY1 CH
        i AY1
        j JH EY1
        k K EY1
        l EH1 L
        m EH1 M
        n EH1 N
        o OW1
        p P IY1
        q K Y UW1
        r AA1 R
        s EH1 S
        t T IY1
        u Y UW1
        v V IY1
        w D AH1 B AH0 L Y UW0
        x EH1 K S
        y W AY1
        z Z IY1""".strip().splitlines()
    )
}


def with_s(phones: Sequence[str]) -> tuple[str, ...]:
    """Add the s of a plural, a possessive or a third person.

    >>> with_s(["B", "AH1", "S"]), with_s(["K", "AE1", "T"])
    (('B', 'AH1', 'S', 'IH0', 'Z'), ('K', 'AE1', 'T', 'S'))
    """
    last = phones[-1]
    return (*phones, *(("IH0", "Z") if last in _SIBILANTS else ("S",) if last in _VOICELESS else ("Z",)))


def pronounce(
    word: str, dictionary: Mapping[str, Sequence[Sequence[str]]], model: GraphoneModel | None = None
) -> tuple[str, ...]:
    """Return the phones of a word in lower case that ``dictionary`` lacks.

    Parts at hyphens are said one after the other; a word with a known stem takes the stem's phones and the ending's;
    a few letters without a vowel are spelt; the rest is asked of ``model``, of the one that ships by default.
    """
    if "-" in word:
        return tuple(phone for part in word.split("-") for phone in _known_or_guessed(part, dictionary, model))
    if word.endswith("'s") and len(word) > 2:
        return with_s(_known_or_guessed(word[:-2], dictionary, model))
    if len(word) < 5 and not _VOWEL.search(word):
        return _letters(word)
    return _by_ending(word, dictionary) or (model or shipped()).phones(word) or _letters(word)


def _letters(word: str) -> tuple[str, ...]:
    return tuple(phone for letter in word for phone in LETTER_NAMES.get(letter, ()))


def _known_or_guessed(
    word: str, dictionary: Mapping[str, Sequence[Sequence[str]]], model: GraphoneModel | None
) -> Sequence[str]:
    return dictionary[word][0] if word in dictionary else pronounce(word, dictionary, model)


def _by_ending(word: str, dictionary: Mapping[str, Sequence[Sequence[str]]]) -> tuple[str, ...]:
    """The phones of a known stem and a common ending, none if there are no such."""
    for ending, say in _ENDINGS.items():
        stem = word.removesuffix(ending)
        if stem == word or len(stem) < 3:
            continue
        doubled = [stem[:-1]] if stem[-1] == stem[-2] else []
        for candidate in (stem, f"{stem}e", *doubled):
            if candidate in dictionary:
                return say(dictionary[candidate][0])
    return ()


def _with_ed(phones: Sequence[str]) -> tuple[str, ...]:
    last = phones[-1]
    voiceless = last in _VOICELESS or last in ("S", "SH", "CH")
    return (*phones, *(("IH0", "D") if last in ("T", "D") else ("T",) if voiceless else ("D",)))


_VOWEL = re.compile("[aeiouy]")
_ENDINGS: dict[str, Callable[[Sequence[str]], tuple[str, ...]]] = {
    "s": with_s,
    "ed": _with_ed,
    "ing": lambda phones: (*phones, "IH0", "NG"),
    "ly": lambda phones: (*phones, "L", "IY0"),
    "ness": lambda phones: (*phones, "N", "AH0", "S"),
    "less": lambda phones: (*phones, "L", "AH0", "S"),
}


@cache
def shipped() -> GraphoneModel:
    """The model that ships, learned from CMUdict (assets/text/README.md)."""
    return GraphoneModel.from_bytes(files("seaspeak").joinpath("assets/text/g2p.npz").read_bytes())
