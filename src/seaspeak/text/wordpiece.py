"""WordPiece, the tokenizer of BERT: texts to pieces and ids, without torch and without another package.

A text is cleaned (control characters go, every kind of blank is a blank), put into lower case without accents, cut at
blanks, punctuation and Chinese characters, and each word is covered from the left by the longest pieces that the
vocabulary has; a piece that does not begin a word is written ``##piece``. The result equals that of transformers'
``BertTokenizer`` (tests/text/test_wordpiece.py holds the two together); where Python and that package know different
ages of the Unicode tables, a few hundred rare characters are told apart differently.

Words repeat, so the ids of a word are worked out once: a running text costs one look-up a word.
"""

from __future__ import annotations

import heapq
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from seaspeak.core.errors import DataError, FileMissingError
from seaspeak.text.bytepair import join_pairs

PAD, UNK, CLS, SEP, MASK = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
INSIDE = "##"
MAX_CHARS = 100
"""BERT's own limit: a longer word is unknown as a whole."""
_MOST_KNOWN = 1 << 17
_BLANKS = " \t\n\r\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_WORD = re.compile(f"[^{_BLANKS}]+")
_ASCII_PARTS = re.compile(r"[0-9A-Za-z]+|[!-/:-@\[-`{-~]")
# Blocks of Chinese characters; the fifth begins a page later than its block, as it does in transformers.
_CHINESE = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
_DROPPED = frozenset(("Cc", "Cf", "Co", "Cs"))


class WordPiece:
    """Turn texts into pieces of a vocabulary and their ids.

    Args:
        vocab: the pieces in the order of their ids, or the file that has one a line.
        lowercase: whether words are put into lower case.
        strip_accents: whether accents are taken away; by default, where ``lowercase`` is true.
        max_chars: a word with more characters is unknown as a whole.
        unknown: the piece that stands for a word that cannot be covered.
        special: pieces that are found in a text as they are written, before anything else is done with it.

    Raises:
        FileMissingError: the file does not exist.
        DataError: the vocabulary has no piece ``unknown``.

    >>> pieces = WordPiece([*SPECIAL, "un", "##afford", "##able", "cafe", "!"])
    >>> pieces.tokens("Unaffordable Café!")
    ['un', '##afford', '##able', 'cafe', '!']
    >>> pieces.word_ids(["unaffordable", "café!", "?"])
    [[5, 6, 7], [8, 9], [1]]
    """

    def __init__(
        self,
        vocab: str | Path | Sequence[str],
        *,
        lowercase: bool = True,
        strip_accents: bool | None = None,
        max_chars: int = MAX_CHARS,
        unknown: str = UNK,
        special: Sequence[str] = SPECIAL,
    ) -> None:
        self.pieces = read_vocabulary(vocab) if isinstance(vocab, str | Path) else list(vocab)
        self.lowercase = lowercase
        self.strip_accents = lowercase if strip_accents is None else strip_accents
        self.max_chars = max_chars
        self.vocab = {piece: place for place, piece in enumerate(self.pieces)}
        self.unk_id = self.id_of(unknown)
        self._longest = max(map(len, self.pieces))
        known = sorted((token for token in special if token in self.vocab), key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, known)) or r"(?!)")
        self._known: dict[str, tuple[int, ...]] = {}

    def __len__(self) -> int:
        return len(self.pieces)

    def id_of(self, piece: str) -> int:
        """Return the id of one piece.

        Raises:
            DataError: the vocabulary does not have it.
        """
        if piece not in self.vocab:
            raise DataError(f"the vocabulary has no piece {piece!r}", got=f"{len(self.pieces)} pieces")
        return self.vocab[piece]

    @cached_property
    def pad_id(self) -> int:
        """Id of the token that fills a batch up."""
        return self.id_of(PAD)

    @cached_property
    def cls_id(self) -> int:
        """Id of the token that begins a sequence."""
        return self.id_of(CLS)

    @cached_property
    def sep_id(self) -> int:
        """Id of the token that ends a sequence."""
        return self.id_of(SEP)

    @cached_property
    def mask_id(self) -> int:
        """Id of the token that hides another."""
        return self.id_of(MASK)

    def ids(self, text: str) -> list[int]:
        """Return the ids of the pieces of ``text``, without ``[CLS]`` and ``[SEP]`` around them.

        A special token that stands in the text keeps its id.
        """
        known = self._known
        return [i for word in _WORD.findall(text) for i in (known.get(word) or self._word(word))]

    def tokens(self, text: str) -> list[str]:
        """Return the pieces of ``text``."""
        return [self.pieces[i] for i in self.ids(text)]

    def word_ids(self, words: Iterable[str]) -> list[list[int]]:
        """Return the ids of each of ``words``; a word of which nothing is left has none."""
        return [self.ids(word) for word in words]

    def text(self, ids: Iterable[int]) -> str:
        """Return the words that ``ids`` spell, a blank between them."""
        return " ".join(self.pieces[i] for i in ids).replace(f" {INSIDE}", "")

    def _word(self, word: str) -> tuple[int, ...]:
        """Return the ids of what stands between two blanks, and remember them."""
        found: list[int] = []
        place = 0
        for special in self._special.finditer(word):
            found += self._between(word[place : special.start()])
            found.append(self.vocab[special.group()])
            place = special.end()
        found += self._between(word[place:])
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[word] = ids = tuple(found)
        return ids

    def _between(self, word: str) -> list[int]:
        parts = split_word(word, lowercase=self.lowercase, strip_accents=self.strip_accents)
        return [i for part in parts for i in self._cover(part)]

    def _cover(self, part: str) -> list[int]:
        """Return the longest pieces from left to right, or ``[UNK]`` alone where some place has none."""
        if len(part) > self.max_chars:
            return [self.unk_id]
        ids: list[int] = []
        start = 0
        while start < len(part):
            prefix = INSIDE if start else ""
            for end in range(min(len(part), start + self._longest), start, -1):
                piece = self.vocab.get(prefix + part[start:end])
                if piece is not None:
                    break
            else:
                return [self.unk_id]
            ids.append(piece)
            start = end
        return ids


def read_vocabulary(path: str | Path) -> list[str]:
    """Return the pieces of a vocabulary file: one a line, the id is the line's number from 0.

    Raises:
        FileMissingError: the file does not exist.
        DataError: it is not text.
    """
    path = Path(path)
    if not path.is_file():
        raise FileMissingError(f"the vocabulary file {path} does not exist")
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise DataError(f"the vocabulary file {path} is not UTF-8 text", got=str(error)) from error
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n")


def split_text(text: str, *, lowercase: bool = True, strip_accents: bool = True) -> list[str]:
    r"""Return the words of ``text`` as WordPiece sees them: normalised, each mark a word of its own.

    >>> split_text("It's 5 o'clock,\tÉmile!")
    ['it', "'", 's', '5', 'o', "'", 'clock', ',', 'emile', '!']
    """
    words = _WORD.findall(text)
    return [part for word in words for part in split_word(word, lowercase=lowercase, strip_accents=strip_accents)]


def split_word(word: str, *, lowercase: bool = True, strip_accents: bool = True) -> list[str]:
    """Return the words of what stands between two blanks."""
    if word.isascii():
        cleaned = "".join(filter(str.isprintable, word))
        return _ASCII_PARTS.findall(cleaned.lower() if lowercase else cleaned)
    parts: list[str] = []
    letters: list[str] = []
    for char in _normalised(word, lowercase=lowercase, strip_accents=strip_accents):
        if char == " " or _is_mark(char):
            parts.append("".join(letters))
            parts.append(char.strip())
            letters.clear()
        else:
            letters.append(char)
    parts.append("".join(letters))
    return [part for part in parts if part]


def _normalised(word: str, *, lowercase: bool, strip_accents: bool) -> str:
    kept = (c for c in word if c != "\ufffd" and unicodedata.category(c) not in _DROPPED)
    text = "".join(f" {c} " if _is_chinese(c) else c for c in kept)
    if strip_accents:
        text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
    return "".join(map(str.lower, text)) if lowercase else text  # by character: no final sigma


def _is_mark(char: str) -> bool:
    return char in string.punctuation or unicodedata.category(char).startswith("P")


def _is_chinese(char: str) -> bool:
    return char >= "\u3400" and any(first <= ord(char) <= last for first, last in _CHINESE)


def prune(
    vocab: Sequence[str], texts: Iterable[str] | Mapping[str, int], *, minimum: int = 1, lowercase: bool = True
) -> tuple[list[str], list[int]]:
    """Return the pieces of ``vocab`` that a body of texts needs, and their ids in ``vocab``.

    Special tokens and all single characters stay, so that every word that could be spelt can still be spelt, in more
    pieces. With ``minimum=1`` the texts themselves are cut as before. ``embedding.weight[kept]`` is the smaller
    table of an encoder.

    Args:
        vocab: the pieces in the order of their ids.
        texts: the texts, or how often each of their words occurs.
        minimum: how often a piece must occur to stay.
        lowercase: as for `WordPiece`.
    """
    tokenizer = WordPiece(vocab, lowercase=lowercase)
    words = texts if isinstance(texts, Mapping) else Counter(word for text in texts for word in _WORD.findall(text))
    counts: Counter[int] = Counter()
    for word, count in words.items():
        for piece in tokenizer.ids(word):
            counts[piece] += count
    kept = [
        place
        for place, piece in enumerate(vocab)
        if piece in SPECIAL or len(piece.removeprefix(INSIDE)) == 1 or counts[place] >= minimum
    ]
    return [vocab[place] for place in kept], kept


def train(
    texts: Iterable[str], size: int, *, lowercase: bool = True, strip_accents: bool | None = None, minimum: int = 2
) -> list[str]:
    """Return a vocabulary of at most ``size`` pieces for texts like ``texts``.

    It begins with the special tokens and every character, and grows by joining the two neighbours that are found
    together most often, as the WordPiece trainer of Hugging Face's tokenizers does. Equal counts are decided by the
    alphabet, so the same texts in any order give the same vocabulary.

    Args:
        texts: the texts.
        size: the number of pieces wanted.
        lowercase: as for `WordPiece`.
        strip_accents: as for `WordPiece`.
        minimum: neighbours that are found together less often are not joined; the vocabulary may stay smaller.

    Raises:
        DataError: ``size`` has no room for the special tokens and the characters.
    """
    accents = lowercase if strip_accents is None else strip_accents
    counts = Counter(word for text in texts for word in split_text(text, lowercase=lowercase, strip_accents=accents))
    letters = sorted({letter for word in counts for letter in word})
    pieces = [*SPECIAL, *letters, *(INSIDE + letter for letter in letters)]
    if len(pieces) > size:
        raise DataError(
            f"a vocabulary of {size} pieces has no room for {len(letters)} characters, alone and inside words",
            fix=f"ask for more than {len(pieces)} pieces, or leave out texts in other scripts",
        )
    neighbours = _Neighbours(counts)
    known = set(pieces)
    while len(pieces) < size and (pair := neighbours.most_frequent(minimum)):
        joined = neighbours.join(pair)
        if joined not in known:
            known.add(joined)
            pieces.append(joined)
    return pieces


class _Neighbours:
    """Words in parts, with how often each two parts are neighbours and in which words."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self.words = [[word[0], *(INSIDE + letter for letter in word[1:])] for word in counts]
        self.count_of = list(counts.values())
        self.counts: Counter[tuple[str, str]] = Counter()
        self.places: dict[tuple[str, str], set[int]] = {}
        for place in range(len(self.words)):
            self._add(place)
        self.heap = [(-count, pair) for pair, count in self.counts.items()]
        heapq.heapify(self.heap)

    def most_frequent(self, minimum: int) -> tuple[str, str] | None:
        """Return the pair with the highest count, or nothing if that is below ``minimum``."""
        while self.heap:
            count, pair = heapq.heappop(self.heap)
            if self.counts[pair] != -count:
                continue  # the count has changed since, and a newer entry says so
            return pair if -count >= minimum else None
        return None

    def join(self, pair: tuple[str, str]) -> str:
        """Make one part of ``pair`` wherever it occurs and return it."""
        joined = pair[0] + pair[1].removeprefix(INSIDE)
        changed: set[tuple[str, str]] = set()
        for place in list(self.places[pair]):
            changed |= self._remove(place)
            self.words[place] = join_pairs(self.words[place], pair, joined)
            changed |= self._add(place)
        for other in changed:
            heapq.heappush(self.heap, (-self.counts[other], other))
        return joined

    def _add(self, place: int) -> set[tuple[str, str]]:
        pairs = list(pairwise(self.words[place]))
        for pair in pairs:
            self.counts[pair] += self.count_of[place]
            self.places.setdefault(pair, set()).add(place)
        return set(pairs)

    def _remove(self, place: int) -> set[tuple[str, str]]:
        pairs = list(pairwise(self.words[place]))
        for pair in pairs:
            self.counts[pair] -= self.count_of[place]
            self.places[pair].discard(place)
        return set(pairs)
