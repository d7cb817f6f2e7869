"""English words to ARPAbet phones: dictionary, endings, ambiguous words, and words that are in no dictionary.

Source: behaviour of NeMo's ``EnglishG2p`` (1.5 to 3.0). Deviation: after a possessive or plural s the phone is the one
that English has (cats: S, buses: IH0 Z), where NeMo always puts Z.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from seaspeak.core.errors import FileMissingError
from seaspeak.text import letter_to_sound
from seaspeak.text.heteronyms import chosen
from seaspeak.text.pronunciations import Dictionary, cmudict
from seaspeak.text.words import Item, english_items

_SPEAKABLE = re.compile(r"[a-zA-ZÀ-ÿ\d]")


class Spelt(NamedTuple):
    """The symbols of one piece of a text, which begins at ``start``."""

    symbols: Sequence[str]
    start: int


class EnglishG2p:
    """Turns English text into phones, and into letters where it is not sure.

    Published models were trained on letters for what their dictionary leaves open (words it lacks, words with several
    pronunciations, listed heteronyms); so letters are what they get. A model without trained letters sets
    ``pronounce_all``: then those words are pronounced too, by rules and models that ship (assets/text/README.md).

    Args:
        phoneme_dict: a dictionary, its path, or its bytes; None for the one that ships.
        apply_to_oov_word: gives the symbols of a word that is not in the dictionary; None leaves its letters.
        ignore_ambiguous_words: whether a word with several pronunciations stays letters; else the first is taken.
        heteronyms: words that stay letters in any case, or the path of a file with one a line.
        encoding: the encoding of that file.
        phoneme_probability: how probably a word becomes phones at all; None always. For training on both.
        pronounce_all: whether to leave no letters.

    >>> g2p = EnglishG2p({"cat": [("K", "AE1", "T")]})
    >>> g2p("Cat's |IH1 Z| up!")
    ['K', 'AE1', 'T', 'S', ' ', 'IH1', 'Z', ' ', 'u', 'p', '!']
    """

    def __init__(
        self,
        phoneme_dict: Mapping[str, Sequence[Sequence[str]]] | str | Path | bytes | None = None,
        *,
        apply_to_oov_word: Callable[[str], Sequence[str]] | None = None,
        ignore_ambiguous_words: bool = True,
        heteronyms: str | Path | Iterable[str] | None = None,
        encoding: str = "latin-1",
        phoneme_probability: float | None = None,
        pronounce_all: bool = False,
    ) -> None:
        self.phoneme_dict = read_dictionary(phoneme_dict)
        self.apply_to_oov_word = apply_to_oov_word
        self.ignore_ambiguous_words = ignore_ambiguous_words
        self.heteronyms = read_words(heteronyms, encoding)
        self.phoneme_probability = phoneme_probability
        self.pronounce_all = pronounce_all
        self.random = random.Random(0)

    def __call__(self, text: str) -> list[str]:
        """Return the symbols of ``text``: phones, letters, blanks and marks."""
        return [symbol for spelt in self.pieces(text) for symbol in spelt.symbols]

    def pieces(self, text: str) -> Iterator[Spelt]:
        """Yield the symbols of each word and of what is between words, with where it begins in ``text``."""
        items = list(english_items(text))
        for place, item in enumerate(items):
            yield Spelt(self._symbols(items, place), item.start)

    def _symbols(self, items: list[Item], place: int) -> Sequence[str]:
        item = items[place]
        if item.symbols is not None:
            return item.symbols
        if self._stays_letters(item.text):
            return list(item.text)
        if (known := self._known(item.text)) is not None:
            return known
        if self.pronounce_all:
            return self._pronounced(items, place)
        if self.apply_to_oov_word is not None:
            return self.apply_to_oov_word(item.text)
        return self._by_parts(item.text) if "-" in item.text else list(item.text)

    def _stays_letters(self, word: str) -> bool:
        spared = self.phoneme_probability is not None and self.random.random() > self.phoneme_probability
        return spared or not _SPEAKABLE.search(word) or (not self.pronounce_all and word in self.heteronyms)

    def _known(self, word: str) -> Sequence[str] | None:
        """The phones of a word that the dictionary has, maybe without its s, and unambiguously."""
        if word in self.phoneme_dict:
            return self._only(word)
        for ending in ("'s", "s"):
            stem = word.removesuffix(ending)
            if stem != word and stem in self.phoneme_dict:
                phones = self._only(stem)
                return None if phones is None else letter_to_sound.with_s(phones)
        return None

    def _only(self, word: str) -> Sequence[str] | None:
        pronunciations = self.phoneme_dict[word]
        ambiguous = len(pronunciations) > 1 and (self.ignore_ambiguous_words or self.pronounce_all)
        return None if ambiguous else pronunciations[0]

    def _by_parts(self, word: str) -> Sequence[str]:
        symbols: list[str] = []
        for part in word.split("-"):
            known = None if self._stays_letters(part) else self._known(part)
            symbols += [*(part if known is None else known), "-"]
        return symbols[:-1]

    def _pronounced(self, items: list[Item], place: int) -> Sequence[str]:
        word = items[place].text
        if word in self.phoneme_dict:
            around = [item.text for item in items[max(place - 8, 0) : place + 9]]
            return chosen(word, self.phoneme_dict[word], around, min(place, 8))
        if not word[0].isalpha():
            return list(word)
        return letter_to_sound.pronounce(word, self.phoneme_dict)


def read_dictionary(
    source: Mapping[str, Sequence[Sequence[str]]] | str | Path | bytes | None,
) -> Mapping[str, Sequence[Sequence[str]]]:
    """The dictionary that a ``phoneme_dict`` of a configuration means; the one that ships for None."""
    if source is None:
        return cmudict()
    if isinstance(source, Mapping):
        return source
    return Dictionary.parse(source) if isinstance(source, bytes) else _read(str(source))


@cache
def _read(path: str) -> Dictionary:
    return Dictionary.read(path)


def read_words(source: str | Path | Iterable[str] | None, encoding: str = "utf-8") -> frozenset[str]:
    """The words of a list, or of a file with one a line, in lower case.

    Raises:
        FileMissingError: there is no such file.
    """
    if source is None:
        return frozenset()
    if isinstance(source, str | Path):
        if not Path(source).is_file():
            raise FileMissingError(f"there is no list of words at {source}")
        source = Path(source).read_text(encoding=encoding).splitlines()
    return frozenset(word.strip().lower() for word in source)
