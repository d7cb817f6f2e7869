"""A byte-pair tokenizer: texts to pieces and back, without torch and without another package.

The merges are those of Whisper's English models (GPT-2's), of which a reduced vocabulary keeps the pieces that
lower-case English needs: `reduced` builds one. A merge stays when both its parts and its result stay, and with each
piece stay the parts that it grows from, so that greedy merging reaches every kept piece and a text has exactly one
segmentation. All single letters are kept: every word of letters and apostrophes can be spelt.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from seaspeak.core.errors import DataError

ALPHABET = " 'abcdefghijklmnopqrstuvwxyz"
SPECIAL = ("<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>")
# Letters with the blank before them; an English ending behind an apostrophe is a chunk of its own.
_CHUNK = re.compile(r"'(?:s|t|re|ve|m|ll|d)| ?[a-z]+| ?'| ")
_MOST_KNOWN = 65536
_FOREIGN = re.compile(r"[^ 'a-z]")


class BytePairTokenizer:
    """Turn plain lower-case words (``a-z``, apostrophe, blank) into the ids of pieces, and ids into words.

    Args:
        pieces: every piece, special ones first; the id of a piece is its place.
        merges: pairs of pieces in the order in which they are joined.
        num_special: how many pieces at the beginning mark something and spell nothing.

    >>> tokenizer = BytePairTokenizer(["<|endoftext|>", *ALPHABET, "th", "the", " the"],
    ...                               [("t", "h"), ("th", "e"), (" ", "the")], num_special=1)
    >>> tokenizer.pieces_of("the theft")
    [' the', ' the', 'f', 't']
    >>> tokenizer.text(tokenizer.ids("the theft"))
    'the theft'
    """

    def __init__(self, pieces: Sequence[str], merges: Iterable[Sequence[str]], *, num_special: int = 3) -> None:
        self.pieces = list(pieces)
        self.merges = [(left, right) for left, right in merges]
        self.num_special = num_special
        self._id = {piece: place for place, piece in enumerate(self.pieces)}
        self._rank = {pair: place for place, pair in enumerate(self.merges)}
        self._known: dict[str, tuple[str, ...]] = {}  # words repeat

    def __len__(self) -> int:
        return len(self.pieces)

    def id_of(self, piece: str) -> int:
        """Return the id of one piece.

        Raises:
            DataError: there is no such piece.
        """
        if piece not in self._id:
            raise DataError(f"the tokenizer has no piece {piece!r}")
        return self._id[piece]

    def pieces_of(self, text: str) -> list[str]:
        """Return the pieces of ``text``; every word, the first too, begins with its blank.

        Raises:
            DataError: ``text`` has a character that cannot be spelt.
        """
        foreign = _FOREIGN.search(text)
        if foreign:
            raise DataError(
                f"the tokenizer cannot spell {foreign.group()!r}",
                got=repr(text),
                expected="lower-case letters a-z, apostrophes and blanks",
                fix="write numbers in words and leave out punctuation",
            )
        words = " ".join(["", *text.split()])
        return [piece for chunk in _CHUNK.findall(words) for piece in self._split(chunk)]

    def ids(self, text: str) -> list[int]:
        """Return the ids of `pieces_of`."""
        return [self._id[piece] for piece in self.pieces_of(text)]

    def text(self, ids: Iterable[int]) -> str:
        """Return the words that ``ids`` spell; special pieces spell nothing."""
        return " ".join("".join(self.pieces[i] for i in ids if i >= self.num_special).split())

    def _split(self, chunk: str) -> tuple[str, ...]:
        if chunk not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[chunk] = self._merge(chunk)
        return self._known[chunk]

    def _merge(self, chunk: str) -> tuple[str, ...]:
        parts = list(chunk)
        while len(parts) > 1:
            best = min(pairwise(parts), key=lambda pair: self._rank.get(pair, len(self._rank)))
            if best not in self._rank:
                break
            parts = join_pairs(parts, best, best[0] + best[1])
        return tuple(parts)

    def to_bytes(self) -> bytes:
        """Return the tokenizer as JSON, the form in which it lies in an archive."""
        content = {"num_special": self.num_special, "pieces": self.pieces, "merges": [list(m) for m in self.merges]}
        return json.dumps(content, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> BytePairTokenizer:
        """Return the tokenizer that `to_bytes` wrote.

        Raises:
            DataError: ``content`` is something else.
        """
        try:
            data = json.loads(content)
            return cls(data["pieces"], data["merges"], num_special=int(data["num_special"]))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                "the tokenizer file cannot be read",
                got=f"{type(error).__name__}: {error}",
                expected="JSON with pieces, merges and num_special",
            ) from error


def join_pairs(parts: list[str], pair: tuple[str, str], joined: str) -> list[str]:
    """Return ``parts`` with every ``pair`` of neighbours written as ``joined``, from left to right."""
    out: list[str] = []
    place = 0
    while place < len(parts):
        if tuple(parts[place : place + 2]) == pair:
            out.append(joined)
            place += 2
        else:
            out.append(parts[place])
            place += 1
    return out


def normalise(text: str) -> str:
    """Return ``text`` in lower case, hyphens and dashes as blanks, without anything but a-z, apostrophe and blank.

    >>> normalise("Well-known: the *cat's* toys, 7 of them")
    "well known the cat's toys of them"
    """
    text = re.sub(r"[-‐–—\s]+", " ", text.lower().replace("’", "'"))
    return " ".join(_FOREIGN.sub("", text).split())


def reduced(
    vocabulary: Mapping[str, int], merges: Sequence[Sequence[str]], texts: Iterable[str], size: int
) -> tuple[BytePairTokenizer, list[int]]:
    """Return a tokenizer with at most about ``size`` of the pieces of a larger one, and their ids in the larger one.

    Args:
        vocabulary: piece -> id of the larger tokenizer, blanks as blanks.
        merges: its merges in order.
        texts: normalised texts whose most frequent pieces are kept.
        size: stop when so many pieces are kept (a last piece may bring its parts with it).
    """
    pairs = [(left, right) for left, right in merges]
    full = BytePairTokenizer(sorted(vocabulary, key=vocabulary.__getitem__), pairs, num_special=0)
    counts = Counter(piece for text in texts for piece in full.pieces_of(text))
    parts: dict[str, tuple[str, str]] = {}
    for left, right in pairs:
        parts.setdefault(left + right, (left, right))
    kept = {letter for letter in ALPHABET if letter in vocabulary}
    for piece in sorted(counts, key=lambda piece: (-counts[piece], vocabulary[piece])):
        if len(kept) + len(SPECIAL) >= size:
            break
        _keep(piece, parts, kept)
    pieces = [*SPECIAL, *sorted(kept, key=vocabulary.__getitem__)]
    remaining = [pair for pair in pairs if {pair[0], pair[1], pair[0] + pair[1]} <= kept]
    return BytePairTokenizer(pieces, remaining), [vocabulary[piece] for piece in pieces]


def _keep(piece: str, parts: Mapping[str, tuple[str, str]], kept: set[str]) -> None:
    """Add ``piece`` to ``kept``, and before it the pieces that it grows from."""
    if piece not in kept:
        for part in parts[piece]:
            _keep(part, parts, kept)
        kept.add(piece)
