"""A joint model of letters and phones: how a word sounds that nobody has written down.

A word is a row of graphones, a letter with the none, one or two phones that it makes (``x:K S``). An n-gram model over
graphones is learned from a dictionary; the best row for a word's letters is found by beam search.

Source: joint-sequence models, Bisani and Ney 2008, doi:10.1016/j.specom.2008.01.002, here with one letter a graphone;
Witten-Bell interpolation.
"""

from __future__ import annotations

import io
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Graphone = tuple[str, tuple[str, ...]]

_BITS = 11
_START = 0
_BEAM = 10
_UNSEEN = 1e-4


class GraphoneModel:
    """An n-gram model over graphones.

    Args:
        graphones: what the numbers of the n-grams mean; the first is the boundary of a word.
        ngrams: for each order from 1, how often each n-gram occurs; its key has the last graphone in the lowest bits.
    """

    def __init__(self, graphones: Sequence[Graphone], ngrams: Sequence[dict[int, int]]) -> None:
        self.graphones = list(graphones)
        self._ngrams = list(ngrams)
        self._contexts = [_contexts(counts) for counts in self._ngrams]
        self._by_letter: dict[str, list[int]] = defaultdict(list)
        for number, (letter, _) in enumerate(self.graphones):
            self._by_letter[letter].append(number)

    def phones(self, letters: str) -> tuple[str, ...]:
        """Return the likeliest phones of a word; a letter that the model does not know makes none."""
        beam: list[tuple[float, int, tuple[int, ...]]] = [(0.0, 0, ())]  # boundaries all the way back
        for letter in letters:
            if letter not in self._by_letter:
                continue
            best: dict[int, tuple[float, int, tuple[int, ...]]] = {}
            for score, history, row in beam:
                for number in self._by_letter[letter]:
                    after = ((history << _BITS) | number) & self._mask
                    total = score + math.log(self._probability(history, number))
                    if after not in best or total > best[after][0]:
                        best[after] = (total, after, (*row, number))
            beam = sorted(best.values(), reverse=True)[:_BEAM]
        row = max((score + math.log(self._probability(history, _START)), row) for score, history, row in beam)[1]
        return tuple(phone for number in row for phone in self.graphones[number][1])

    @property
    def _mask(self) -> int:
        return (1 << _BITS * (len(self._ngrams) - 1)) - 1

    def _probability(self, history: int, number: int) -> float:
        """Probability of a graphone after ``history``, shorter histories mixed in where the longer one is rare."""
        probability = _UNSEEN
        for order, (counts, contexts) in enumerate(zip(self._ngrams, self._contexts, strict=True)):
            context = history & ((1 << _BITS * order) - 1)
            if context not in contexts:
                break
            total, kinds = contexts[context]
            seen = counts.get((context << _BITS) | number, 0)
            probability = (seen + kinds * probability) / (total + kinds)
        return probability

    def to_bytes(self) -> bytes:
        """Return the model as a compressed numpy archive."""
        arrays: dict[str, Any] = {}
        for order, counts in enumerate(self._ngrams, 1):
            keys = np.array(sorted(counts), dtype=np.uint64)
            arrays[f"keys{order}"] = np.diff(keys, prepend=np.uint64(0))
            arrays[f"counts{order}"] = np.array([min(counts[int(key)], 65535) for key in keys], dtype=np.uint16)
        names = [f"{letter}:{' '.join(phones)}" for letter, phones in self.graphones]
        buffer = io.BytesIO()
        np.savez_compressed(buffer, graphones=np.array(names), **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> GraphoneModel:
        """Read what `to_bytes` wrote."""
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            names = [str(name).partition(":") for name in arrays["graphones"]]
            ngrams = [
                dict(zip(np.cumsum(arrays[f"keys{order}"]).tolist(), arrays[f"counts{order}"].tolist(), strict=True))
                for order in range(1, len(arrays.files) // 2 + 1)
            ]
        return cls([(letter, tuple(phones.split())) for letter, _, phones in names], ngrams)

    def save(self, path: str | Path) -> None:
        """Write the model to a file."""
        Path(path).write_bytes(self.to_bytes())


def _contexts(counts: dict[int, int]) -> dict[int, tuple[int, int]]:
    """For each context of n-grams: how often it occurs, and with how many different ends."""
    totals: Counter[int] = Counter()
    kinds: Counter[int] = Counter()
    for key, count in counts.items():
        totals[key >> _BITS] += count
        kinds[key >> _BITS] += 1
    return {context: (total, kinds[context]) for context, total in totals.items()}


def train(
    words: Iterable[tuple[str, Sequence[str]]],
    *,
    order: int = 5,
    least: Sequence[int] = (1, 1, 1, 2, 2),
    passes: int = 4,
) -> GraphoneModel:
    """Learn a model from words and their phones.

    Args:
        words: word and phones; a pair that cannot be aligned (more than two phones a letter) is left out.
        order: how many graphones an n-gram has at most, up to five.
        least: for each order, how often an n-gram must occur to be kept.
        passes: how often letters and phones are aligned anew.
    """
    rows = align(words, passes=passes)
    kinds = Counter(graphone for row in rows for graphone in row)
    graphones: list[Graphone] = [("", ()), *(graphone for graphone, _ in kinds.most_common((1 << _BITS) - 1))]
    number = {graphone: place for place, graphone in enumerate(graphones)}
    ngrams: list[Counter[int]] = [Counter() for _ in range(order)]
    for row in rows:
        if not all(graphone in number for graphone in row):
            continue
        history = 0
        for graphone in (*(number[graphone] for graphone in row), _START):
            history = ((history << _BITS) | graphone) & ((1 << _BITS * order) - 1)
            for length in range(1, order + 1):
                ngrams[length - 1][history & ((1 << _BITS * length) - 1)] += 1
    kept = [
        {key: count for key, count in counts.items() if count >= lowest}
        for counts, lowest in zip(ngrams, least, strict=True)
    ]
    return GraphoneModel(graphones, kept)


def align(words: Iterable[tuple[str, Sequence[str]]], *, passes: int = 4) -> list[list[Graphone]]:
    """Give each letter of each word its phones: the likeliest way, by what the pass before found."""
    pairs = [(word, tuple(phones)) for word, phones in words if 0 < len(phones) <= 2 * len(word)]
    costs = _first_costs(pairs)
    rows: list[list[Graphone]] = []
    for turn in range(passes):
        part = pairs if turn == passes - 1 else pairs[turn :: max(len(pairs) // 20_000, 1)]
        rows = [_aligned(word, phones, costs) for word, phones in part]
        counts = Counter(graphone for row in rows for graphone in row)
        letters = Counter(letter for row in rows for letter, _ in row)
        costs = {graphone: math.log(letters[graphone[0]] / count) for graphone, count in counts.items()}
    return rows


def _first_costs(pairs: list[tuple[str, tuple[str, ...]]]) -> dict[Graphone, float]:
    """Costs from how often a letter and a phone stand at about the same place."""
    together: Counter[Graphone] = Counter()
    alone: Counter[str] = Counter()
    for word, phones in pairs:
        for place, letter in enumerate(word):
            near = place * len(phones) // len(word)
            for phone in phones[max(near - 1, 0) : near + 2]:
                together[letter, (phone,)] += 1
                alone[letter] += 1
    return {graphone: math.log(alone[graphone[0]] / count) for graphone, count in together.items()}


def _aligned(word: str, phones: tuple[str, ...], costs: dict[Graphone, float]) -> list[Graphone]:
    """The cheapest row of graphones for a word, by dynamic programming over how many phones are used up."""
    best: list[dict[int, tuple[float, int]]] = [{0: (0.0, 0)}]
    for letter in word:
        here: dict[int, tuple[float, int]] = {}
        for used, (cost, _) in best[-1].items():
            for size in range(min(2, len(phones) - used) + 1):
                chunk = phones[used : used + size]
                total = cost + costs.get((letter, chunk), 8.0 + 2.0 * (size == 2) - 3.0 * (size == 0))
                if used + size not in here or total < here[used + size][0]:
                    here[used + size] = (total, size)
        best.append(here)
    row, used = [], len(phones)
    for place in range(len(word), 0, -1):
        size = best[place][used][1]
        row.append((word[place - 1], phones[used - size : used]))
        used -= size
    return row[::-1]


def distance(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many phones are to be changed, taken out or put in, to make one row of the other.

    >>> distance(["K", "AE1", "T"], ["K", "AH0", "T", "S"])
    2
    """
    row = list(range(len(other) + 1))
    for place, first in enumerate(one, 1):
        before, row[0] = row[0], place
        for column, second in enumerate(other, 1):
            before, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, before + (first != second))
    return row[-1]
