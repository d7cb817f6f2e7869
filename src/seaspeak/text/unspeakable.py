"""What in a text has no sound: emoji, other scripts, unknown symbols."""

from __future__ import annotations

import unicodedata
from collections import Counter

from seaspeak.text.normalize import EnglishNormalizer
from seaspeak.text.symbols import PUNCTUATION
from seaspeak.text.words import plain_english

_SILENT = frozenset("".join(PUNCTUATION) + "'`‘’‚“”„«»–—‐‑‒―…·•¿¡\ufeff\u200b\u200d\ufe0f")


def unspeakable(text: str) -> Counter[str]:
    """Return the symbols of ``text`` that are left out of the sound, with how often each occurs.

    Marks that only pause, and characters that join others, are not counted.

    >>> unspeakable("Hi 😀😀 — 世界, 5 €!")
    Counter({'😀': 2, '世': 1, '界': 1})
    """
    if text.isascii():
        return Counter()
    spoken = plain_english(EnglishNormalizer()(text))
    return Counter(sign for sign in spoken if not (sign.isascii() or sign in _SILENT or _is_silent(sign)))


def _is_silent(sign: str) -> bool:
    return sign.isspace() or unicodedata.category(sign) in ("Mn", "Cf", "Cc", "Sk")
