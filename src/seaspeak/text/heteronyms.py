"""Words that are spelt alike and spoken in two ways: which way, by the words around.

Each reading has counts of the two words before and after it in example sentences; where a word has few examples, those
of all readings with its part of speech help ("to" before any verb). The likeliest reading wins (naive Bayes).
"""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

_OWN_WEIGHT = 8.0
_SHARED_WEIGHT = 30.0
_KINDS = 2000


class Reading(NamedTuple):
    """One way to say a word: phones, part of speech, number of examples, and what stood around in them."""

    phones: tuple[str, ...]
    label: str
    examples: int
    cues: Mapping[str, int]


class HeteronymModel:
    """Readings by word, and how often each cue occurs with each part of speech."""

    def __init__(self, readings: Mapping[str, Sequence[Reading]], labels: Mapping[str, Mapping[str, int]]) -> None:
        self.readings, self.labels = readings, labels
        self._sizes = {label: sum(cues.values()) for label, cues in labels.items()}

    @classmethod
    def from_bytes(cls, data: bytes) -> HeteronymModel:
        """Read what `to_bytes` wrote."""
        content: dict[str, Any] = json.loads(gzip.decompress(data))
        readings = {
            word: [Reading(tuple(phones.split()), label, count, cues) for phones, label, count, cues in rows]
            for word, rows in content["readings"].items()
        }
        return cls(readings, content["labels"])

    def to_bytes(self) -> bytes:
        """Return the model as gzipped JSON."""
        readings = {word: [[" ".join(row.phones), *row[1:]] for row in rows] for word, rows in self.readings.items()}
        content = json.dumps({"readings": readings, "labels": self.labels}, sort_keys=True, ensure_ascii=False)
        return gzip.compress(content.encode(), mtime=0)

    def choose(self, word: str, around: Sequence[str]) -> Reading | None:
        """Return the likeliest reading of ``word`` among cues like ``-1:to``, None if the word is not known."""
        rows = self.readings.get(word)
        return max(rows, key=lambda reading: self._score(reading, around)) if rows else None

    def _score(self, reading: Reading, around: Sequence[str]) -> float:
        shared, size = self.labels[reading.label], self._sizes[reading.label]
        own = sum(reading.cues.values())
        score = math.log(reading.examples + 0.5)
        for cue in around:
            usual = (shared.get(cue, 0) + _SHARED_WEIGHT / _KINDS) / (size + _SHARED_WEIGHT)
            score += math.log((reading.cues.get(cue, 0) + _OWN_WEIGHT * usual) / (own + _OWN_WEIGHT))
        return score


def cues(before: Iterable[str], after: Iterable[str]) -> list[str]:
    """Return the two words before and the two after, with their place.

    >>> cues(["i", "want", "to"], ["it", "now", "."])
    ['-1:to', '-2:want', '1:it', '2:now']
    """
    left = [word for word in before if word[:1].isalpha()][::-1]
    right = [word for word in after if word[:1].isalpha()]
    return [
        f"{sign}{place}:{word}" for sign, words in (("-", left), ("", right)) for place, word in enumerate(words[:2], 1)
    ]


def chosen(word: str, pronunciations: Sequence[Sequence[str]], around: Sequence[str], place: int) -> Sequence[str]:
    """Return the pronunciation of ``around[place]``, which is ``word``, that fits the words around.

    It is one of ``pronunciations``: the first if nothing is known about the word.
    """
    reading = shipped().choose(word, cues(around[:place], around[place + 1 :]))
    known = [phones for phones in pronunciations if reading is not None and tuple(phones) == reading.phones]
    return known[0] if known else pronunciations[0]


@cache
def shipped() -> HeteronymModel:
    """The model that ships (assets/text/README.md)."""
    return HeteronymModel.from_bytes(files("seaspeak").joinpath("assets/text/heteronyms.json.gz").read_bytes())
