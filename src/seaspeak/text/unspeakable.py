"""How a text is spoken, and what of it has no sound: emoji, other scripts, unknown symbols."""

from __future__ import annotations

import unicodedata
from collections import Counter
from string import ascii_letters

from seaspeak.text.cleaners import latin
from seaspeak.text.normalize import EnglishNormalizer, Spoken
from seaspeak.text.symbols import PUNCTUATION

_LETTERS = frozenset(ascii_letters)
_SAID = _LETTERS | frozenset(PUNCTUATION) | frozenset("' ")
_MARKS = str.maketrans(
    {"«": '"', "»": '"', "‹": '"', "›": '"', "。": ".", "、": ",", "•": ",", "·": " ", "¿": "", "¡": "", "`": "'"}
)


def spoken_words(text: str) -> list[Spoken]:
    """Return English text word by word: as written, and as spoken, in Latin letters without accents.

    >>> [tuple(word) for word in spoken_words("Søren: $5 million")]
    [('Søren:', 'Soren:'), ('$5', 'five'), ('million', 'million dollars')]
    """
    return [word for piece in EnglishNormalizer().words(text) for word in _shared(piece)]


def spoken(text: str) -> str:
    """Return English text as it is spoken, with single blanks."""
    return " ".join(word.spoken for word in spoken_words(text) if word.spoken)


def speakable(text: str) -> str:
    """Return ``text`` with single blanks and without the symbols that have no sound; empty if nothing would be said.

    >>> speakable("Hi 😀 (it costs $5)"), speakable("- 😀 -")
    ('Hi (it costs $5)', '')
    """
    words = spoken_words(text)
    if not any(_LETTERS.intersection(word.spoken) for word in words):
        return ""
    lost = [_soundless(word) for word in words]
    pairs = zip(words, lost, strict=True)
    kept = ("".join(sign for sign in word.written if sign not in gone) for word, gone in pairs)
    remaining = " ".join(word for word in kept if word)
    return speakable(remaining) if any(lost) else remaining  # which may be read in another way


def unspeakable(text: str) -> Counter[str]:
    """Return the symbols of ``text`` that are left out of the sound, with how often each occurs.

    Marks that only pause, and characters that join others, are not counted.

    >>> unspeakable("Hi 😀😀 — 世界, 5 €!")
    Counter({'😀': 2, '世': 1, '界': 1})
    """
    words = spoken_words(text)
    soundless = (sign for word in words if (lost := _soundless(word)) for sign in word.written if sign in lost)
    return Counter(sign for sign in soundless if unicodedata.category(sign) not in ("Mn", "Cf", "Cc", "Sk"))


def _plain(text: str) -> str:
    return " ".join(latin(text.translate(_MARKS)).split())


def _shared(piece: Spoken) -> list[Spoken]:
    """Split what is read as a whole, ``5 km``, into its written words, each with its share of the spoken ones."""
    written, words = piece.written.split(), _plain(piece.spoken).split()
    if len(words) < len(written):
        return [Spoken(piece.written, " ".join(words))]
    cuts = [len(words) * place // len(written) for place in range(len(written) + 1)]
    return [Spoken(word, " ".join(words[cuts[i] : cuts[i + 1]])) for i, word in enumerate(written)]


def _soundless(word: Spoken) -> set[str]:
    """The signs of a written word of which something without a sound has come into the spoken one."""
    if not (lost := frozenset(unicodedata.normalize("NFD", word.spoken)) - _SAID):
        return set()
    return {sign for sign in word.written if lost.intersection(unicodedata.normalize("NFD", _plain(sign)))}
