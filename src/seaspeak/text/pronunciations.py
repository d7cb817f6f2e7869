"""Pronouncing dictionaries in the format of CMUdict.

A line is a word, blanks, and its phones in ARPAbet, vowels with a stress digit. A further pronunciation of a word is
marked ``WORD(1)``, ``WORD(2)`` and so on. Both spellings that are about are read: the classic one (upper case, two
blanks, comments in lines of their own that start with ``;;;``), which NeMo's archives hold, and the current one (lower
case, one blank, comments after ``#``).
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

from seaspeak.core.errors import DataError, FileMissingError

Pronunciation = tuple[str, ...]

_GZIP = b"\x1f\x8b"


class Dictionary(Mapping[str, list[Pronunciation]]):
    r"""The pronunciations of words, in the order of their lines; words are in lower case.

    A line is taken apart when its word is asked for, so that 135,000 of them cost a tenth of a second, not one.

    >>> dictionary = Dictionary.parse("READ  R EH1 D\\nREAD(1)  R IY1 D\\n")
    >>> dictionary["read"]
    [('R', 'EH1', 'D'), ('R', 'IY1', 'D')]
    """

    def __init__(self, lines: Mapping[str, list[str]]) -> None:
        self._lines = dict(lines)

    @classmethod
    def parse(cls, text: str | bytes, *, origin: str = "the dictionary") -> Dictionary:
        """Read a dictionary's text, or its bytes (UTF-8 or else Latin-1, maybe gzipped).

        Raises:
            DataError: there is no pronunciation in it; the message names ``origin``.
        """
        if isinstance(text, bytes):
            text = _decoded(gzip.decompress(text) if text.startswith(_GZIP) else text)
        lines: dict[str, list[str]] = {}
        for line in text.splitlines():
            word, _, phones = line.partition("#")[0].partition(" ") if not line.startswith("#") else ("", "", "")
            if not phones or not (word[0].isalpha() or word[0] == "'"):
                continue
            if word.endswith(")") and "(" in word:
                word = word[: word.index("(")]
            lines.setdefault(word.lower(), []).append(phones)
        if not lines:
            raise DataError(
                f"{origin} holds no pronunciation", expected="lines like 'HELLO  HH AH0 L OW1', as CMUdict's"
            )
        return cls(lines)

    @classmethod
    def read(cls, path: str | Path) -> Dictionary:
        """Read a dictionary file, gzipped or not.

        Raises:
            FileMissingError, DataError: there is no such file, or no pronunciation in it.
        """
        path = Path(path)
        if not path.is_file():
            raise FileMissingError(
                f"there is no pronouncing dictionary at {path}",
                fix="give the path of a file like CMUdict, or none for the one that ships",
            )
        return cls.parse(path.read_bytes(), origin=str(path))

    def __getitem__(self, word: str) -> list[Pronunciation]:
        return [tuple(phones.split()) for phones in self._lines[word]]

    def __contains__(self, word: object) -> bool:
        return word in self._lines

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)

    def count(self, word: str) -> int:
        """How many pronunciations ``word`` has, 0 if it is not here."""
        return len(self._lines.get(word, ()))

    def classic(self) -> str:
        """The text of the dictionary in CMUdict's classic spelling, the only one that NeMo reads."""
        return "".join(f"{line}\n" for word in self for line in self._classic_lines(word))

    def _classic_lines(self, word: str) -> Iterable[str]:
        for number, phones in enumerate(self[word]):
            mark = f"({number})" if number else ""
            yield f"{word.upper()}{mark}  {' '.join(phones)}"


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


@cache
def cmudict() -> Dictionary:
    """The dictionary that ships: CMUdict, American English (assets/text/README.md)."""
    data = files("seaspeak").joinpath("assets/text/cmudict.dict.gz").read_bytes()
    return Dictionary.parse(data, origin="the dictionary that ships")
