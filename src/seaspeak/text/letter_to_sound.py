"""How a word sounds that is in no dictionary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


def pronounce(word: str, dictionary: Mapping[str, Sequence[Sequence[str]]]) -> tuple[str, ...]:
    """Return the phones of a word in lower case that ``dictionary`` lacks."""
    return tuple(phone for letter in word for phone in LETTER_NAMES.get(letter, ()))
