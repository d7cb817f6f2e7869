"""Written English to spoken words: numbers, dates, money, times, units, abbreviations, addresses, acronyms.

A text is gone through once; at each place the first rule that fits says what is written there. What no rule fits is
left as it is, so plain words and punctuation never change, and every spoken piece knows what was written for it.

Source: the semiotic classes of NeMo's text processing and its test cases (nlp_tn_cases); readings are American.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import NamedTuple

from seaspeak.core.errors import ConfigError
from seaspeak.text.spoken_rules import RULES, Match


class Spoken(NamedTuple):
    """A piece of a text as it was written, and the words for it."""

    written: str
    spoken: str


class EnglishNormalizer:
    """Puts English text into words that can be pronounced.

    Args:
        lang: the language; only English is known.
        input_case: taken and not used: both cases are read.
        whitelist: further abbreviations, ``{written: spoken}``, or the path of a file of ``written<TAB>spoken`` lines.
        post_process, deterministic, cache_dir, overwrite_cache: taken and not used, NeMo's configurations have them.

    Raises:
        ConfigError: the language is another one.

    >>> normalizer = EnglishNormalizer()
    >>> normalizer("Dr. Smith paid $3.50 at 12:30pm on the 21st.")
    'doctor Smith paid three dollars and fifty cents at twelve thirty p m on the twenty first.'
    """

    def __init__(
        self,
        input_case: str = "cased",
        lang: str = "en",
        deterministic: bool = True,
        cache_dir: str | None = None,
        overwrite_cache: bool = False,
        whitelist: dict[str, str] | str | None = None,
        post_process: bool = True,
    ) -> None:
        if lang != "en":
            raise ConfigError("text can be put into words in English only", got=repr(lang), expected="'en'")
        self._own = _whitelist(whitelist)
        self._own_pattern = _alternatives(self._own) if self._own else None

    def __call__(self, text: str) -> str:
        """Return ``text`` in words, with single blanks."""
        return " ".join(" ".join(piece.spoken for piece in self.words(text)).split())

    def normalize(
        self, text: str, verbose: bool = False, punct_pre_process: bool = False, punct_post_process: bool = False
    ) -> str:
        """Return ``text`` in words; the other arguments are NeMo's and change nothing."""
        return self(text)

    def normalize_list(self, texts: Iterable[str], **kwargs: bool) -> list[str]:
        """Return each of ``texts`` in words."""
        return [self.normalize(text, **kwargs) for text in texts]

    def words(self, text: str) -> list[Spoken]:
        """Return the text word by word: as written, and as spoken, which may be several words or none.

        >>> EnglishNormalizer().words("Paid $5 (£4)!")
        [Spoken(written='Paid', spoken='Paid'), Spoken(written='$5', spoken='five dollars'), \
Spoken(written='(£4)!', spoken='(four pounds)!')]
        """
        words: list[Spoken] = []
        written = spoken = ""
        for piece in self._pieces(_plain_digits(text)):
            if piece.written.isspace():
                if written:
                    words.append(Spoken(written, " ".join(spoken.split())))
                written = spoken = ""
                continue
            written, spoken = written + piece.written, spoken + piece.spoken
        return [*words, Spoken(written, " ".join(spoken.split()))] if written else words

    def _pieces(self, text: str) -> Iterator[Spoken]:
        """Split into rules' matches, blanks, and what is left."""
        shouting = _is_shouting(text)
        if self._own_pattern is None:
            yield from _by_rules(text, shouting=shouting)
            return
        for place, part in enumerate(self._own_pattern.split(text)):
            yield from [Spoken(part, self._own[part])] if place % 2 else _by_rules(part, shouting=shouting)


Normalizer = EnglishNormalizer
"""NeMo's name."""


def _whitelist(source: dict[str, str] | str | None) -> dict[str, str]:
    if source is None or isinstance(source, dict):
        return dict(source or {})
    with open(source, encoding="utf-8") as lines:
        pairs = (line.rstrip("\n").split("\t") for line in lines if "\t" in line)
        return {written: spoken for written, spoken, *_ in pairs if written}


def _alternatives(words: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    return re.compile(rf"(?<!\w)({'|'.join(map(re.escape, longest_first))})(?!\w)")


def _plain_digits(text: str) -> str:
    """Write the digits of other scripts as ours, one for one, but for the powers after units."""
    if text.isascii():
        return text
    return "".join(_plain_digit(sign) for sign in text)


def _plain_digit(sign: str) -> str:
    return sign if sign in "²³" or not sign.isdigit() else str(unicodedata.digit(sign))


def _is_shouting(text: str) -> bool:
    """Whether most of the words are in capitals, so that capitals say nothing."""
    words = re.findall(r"[A-Za-z]{2,}", text)
    return sum(word.isupper() for word in words) * 2 > len(words) > 2


def _by_rules(text: str, *, shouting: bool) -> Iterator[Spoken]:
    place = 0
    for match in _any_rule().finditer(text):
        if place < match.start():
            yield Spoken(text[place : match.start()], text[place : match.start()])
        place = match.end()
        yield Spoken(match[0], _say(match, shouting=shouting))
    if place < len(text):
        yield Spoken(text[place:], text[place:])


def _say(match: Match, *, shouting: bool) -> str:
    name = str(match.lastgroup)
    if name == "blank":
        return match[0]
    if name == "acronym" and shouting:
        return match[0]
    pattern, speak = _compiled()[name]
    inner = pattern.match(match.string, match.start())  # in the text, since a pattern may look around
    assert inner is not None
    words = speak(inner)
    before = " " if match.start() and match.string[match.start() - 1].isalnum() else ""
    after = match.string[match.end() : match.end() + 1]
    return f"{before}{words}{_stop(match)}{' ' if after.isalnum() else ''}"


def _stop(match: Match) -> str:
    """A full stop that a match has swallowed and that also ends the sentence."""
    if not match[0].endswith(".") or not match.start():
        return ""
    after = match.string[match.end() : match.end() + 3].lstrip()
    if match.lastgroup == "title" or (match.lastgroup == "abbreviation" and match[0][0].isupper()):
        return "." if not after else ""
    return "." if not after or after[0].isupper() else ""


@cache
def _any_rule() -> re.Pattern[str]:
    rules = (
        f"(?P<{name}>{before}(?:{_without_groups(body)}){after})" for name, (before, body, after, _) in RULES.items()
    )
    return re.compile("|".join([r"(?P<blank>\s+)", *rules]))


def _without_groups(pattern: str) -> str:
    """The pattern with its capturing groups made plain, so that they do not count."""
    return re.sub(r"(?<!\\)\((?!\?)", "(?:", pattern)


@cache
def _compiled() -> dict[str, tuple[re.Pattern[str], Callable[[Match], str]]]:
    return {
        name: (re.compile(f"{before}(?:{body}){after}"), speak) for name, (before, body, after, speak) in RULES.items()
    }
