"""Pairs of sentences: reading, cleaning, numbering.

Numbers of words: 0 pads, 1 starts and 2 ends a sentence, the words follow in the order in which they appear.
"""

from __future__ import annotations

import itertools
import random
import re
import unicodedata
from pathlib import Path

import torch
from torch import Tensor

from seaspeak.core.errors import DataError, FileMissingError

PAD, SOS, EOS = 0, 1, 2
MAX_LENGTH = 10
"""Sentences with this many words, or more, are left out."""

Pair = tuple[str, str]


class Vocabulary:
    """Words and their numbers.

    Attributes:
        name: what the corpus is called.
        word2index, index2word: words that occur.
        counts: how often.
    """

    def __init__(self, name: str, pairs: list[Pair]) -> None:
        self.name = name
        self.word2index: dict[str, int] = {}
        self.index2word = {PAD: "PAD", SOS: "SOS", EOS: "EOS"}
        self.counts: dict[str, int] = {}
        for word in " ".join(itertools.chain.from_iterable(pairs)).split():
            self.counts[word] = self.counts.get(word, 0) + 1
            if word not in self.word2index:
                number = len(self.index2word)
                self.word2index[word], self.index2word[number] = number, word

    def __len__(self) -> int:
        """How many numbers there are, the three special ones included."""
        return len(self.index2word)

    def numbers(self, sentence: str) -> list[int]:
        """Return the numbers of the words of a sentence, and the end."""
        return [*(self.word2index[word] for word in sentence.split()), EOS]


def normalise(text: str) -> str:
    """Return lower-case letters and ``.!?`` set apart; all else is a blank.

    >>> normalise("Ça va?  It's fine!")
    'ca va ? it s fine !'
    """
    decomposed = unicodedata.normalize("NFD", text.lower().strip())
    letters = "".join(char for char in decomposed if unicodedata.category(char) != "Mn")
    return re.sub(r"[^a-z.!?]+", " ", re.sub(r"([.!?])", r" \1", letters)).strip()


def read_pairs(datafile: str | Path, corpus_name: str) -> tuple[Vocabulary, list[Pair]]:
    """Return the vocabulary and the pairs of a file of tab-separated sentences.

    Raises:
        FileMissingError: there is no such file.
        DataError: a line has no two sentences; the message gives the line.
    """
    path = Path(datafile).expanduser()
    if not path.is_file():
        raise FileMissingError(f"there is no file {path}")
    pairs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").strip().splitlines(), start=1):
        sentences = [normalise(sentence) for sentence in line.split("\t")]
        if len(sentences) != 2:
            raise DataError(f"{path}:{number} has {len(sentences)} columns", expected="two sentences, a tab between")
        if all(len(sentence.split()) < MAX_LENGTH for sentence in sentences):
            pairs.append((sentences[0], sentences[1]))
    return Vocabulary(corpus_name, pairs), pairs


def trim(voc: Vocabulary, pairs: list[Pair], min_count: int) -> tuple[Vocabulary, list[Pair]]:
    """Leave out the words that occur less than ``min_count`` times, and the pairs that hold them."""
    frequent = {word for word, count in voc.counts.items() if count >= min_count}
    kept = [pair for pair in pairs if frequent.issuperset(" ".join(pair).split())]
    trimmed = Vocabulary(voc.name, [(" ".join(word for word in voc.word2index if word in frequent), "")])
    trimmed.counts = {word: voc.counts[word] for word in trimmed.word2index}
    return trimmed, kept


def sample_pairs(pairs: list[Pair], count: int) -> list[Pair]:
    """Return ``count`` random pairs (Python's global generator)."""
    return [random.choice(pairs) for _ in range(count)]


def make_batch(voc: Vocabulary, pairs: list[Pair]) -> tuple[Tensor, Tensor, Tensor, Tensor, int]:
    """Return source (T, B), its lengths (B), target (S, B), its mask (S, B) and S; longest source first."""
    ordered = sorted(pairs, key=lambda pair: len(pair[0].split()), reverse=True)
    sources = [voc.numbers(source) for source, _ in ordered]
    targets = [voc.numbers(target) for _, target in ordered]
    source, target = _padded(sources), _padded(targets)
    lengths = torch.tensor([len(numbers) for numbers in sources])
    return source, lengths, target, target != PAD, target.shape[0]


def _padded(sequences: list[list[int]]) -> Tensor:
    return torch.tensor(list(itertools.zip_longest(*sequences, fillvalue=PAD)))
