"""Words and what stands between them, as the synthesis tokenizers see a text.

Source: behaviour of NeMo 1.5 to 3.0 (fixtures of 1.23 and 3.0).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

_QUOTES = str.maketrans({"’": "'", "“": '"', "”": '"'})

_ENGLISH = "A-Za-z"
_ANY_LATIN = "A-Za-zÀ-ÖØ-öø-ÿ"


class Item(NamedTuple):
    """A piece of a text: a word, symbols that are to stay as they are (``|HH AH0|``), or other characters.

    ``start`` is where it begins in the text; ``symbols`` is None unless the piece is protected.
    """

    text: str
    start: int
    symbols: list[str] | None = None


def plain_english(text: str, *, lower: bool = True) -> str:
    r"""Take accents off letters, make typographic quotes plain, and by default put all in lower case.

    >>> plain_english("“Naïve” Café’s")
    '"naive" cafe\\'s'
    """
    if not text.isascii():
        decomposed = unicodedata.normalize("NFD", text)
        text = "".join(mark for mark in decomposed if unicodedata.category(mark) != "Mn").translate(_QUOTES)
    return text.lower() if lower else text


def composed(text: str) -> str:
    """Join letters and accents into single characters, and make the typographic apostrophe plain."""
    return unicodedata.normalize("NFC", text).replace("’", "'")


def _pattern(letters: str) -> re.Pattern[str]:
    return re.compile(rf"([{letters}](?:[{letters}\-']*[{letters}])?)|\|([^|]*)\||[^{letters}|]+")


_ENGLISH_WORD = _pattern(_ENGLISH)
_LATIN_WORD = _pattern(_ANY_LATIN)


def english_items(text: str) -> Iterator[Item]:
    """Split English text; words come in lower case. A lone ``|`` is left out.

    >>> [item.text for item in english_items("Well-known, o'clock!")]
    ['well-known', ', ', "o'clock", '!']
    """
    for match in _ENGLISH_WORD.finditer(text):
        yield Item(match[1].lower(), match.start()) if match[1] else _other(match)


def latin_items(text: str) -> Iterator[Item]:
    """Split a text of any language in Latin letters; words keep their case."""
    for match in _LATIN_WORD.finditer(text):
        yield Item(match[1], match.start()) if match[1] else _other(match)


def _other(match: re.Match[str]) -> Item:
    protected = match[2]
    return Item(match[0], match.start(), None if protected is None else protected.split(" "))
