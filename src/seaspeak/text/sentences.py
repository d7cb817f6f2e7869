"""Splitting a text into sentences that a synthesis model can say in one go."""

from __future__ import annotations

import re

from seaspeak.text.spoken_forms import ABBREVIATIONS, LATIN_ABBREVIATIONS

LIMIT = 250
"""Characters that are said in about 15 seconds, the longest that most voices have seen in training."""

_END = re.compile(r"[.!?…。！？]+[\"'”’»)\]]*(?=\s)|\n\s*\n|(?<=[。！？])(?=\S)")
_CLAUSE = re.compile(r"[,;:–—][\"'”’)\]]*(?=\s)|(?<=\s)(?=(?:and|but|or|which|because|while|when)\s)")
_BLANK = re.compile(r"(?=\s)")
_NO_END = {f"{word.lower()}." for word in [*ABBREVIATIONS, "Dr", "Drs", "St", "No", "Fig"]} | set(LATIN_ABBREVIATIONS)
_MAY_END = {"etc.", "co.", "corp.", "inc.", "ltd.", "jr.", "sr.", "bros.", "ave.", "blvd.", "rd.", "st."}


def split(text: str, limit: int = LIMIT) -> list[str]:
    """Return the sentences of ``text`` without the blanks around them, none longer than ``limit`` if words allow.

    A longer sentence is cut after commas and before conjunctions, else between words, else within one. Nothing but
    blanks is lost.

    Raises:
        ValueError: ``limit`` is not at least 1.

    >>> split("Dr. No paid $3.50. “Why?” he asked... Well!")
    ['Dr. No paid $3.50.', '“Why?” he asked...', 'Well!']
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}")
    parts = [part for sentence in _sentences(text) for part in _short(sentence, limit)]
    return [part for part in parts if part]


def _sentences(text: str) -> list[str]:
    sentences, start = [], 0
    for match in _END.finditer(text):
        if _ends(text, match):
            sentences.append(text[start : match.end()].strip())
            start = match.end()
    return [*sentences, text[start:].strip()]


def _ends(text: str, match: re.Match[str]) -> bool:
    after = text[match.end() : match.end() + 80].lstrip()
    if not after or match[0].isspace() or not match[0]:
        return True
    first = re.sub(r"^[\"'“‘«(\[]+", "", after)[:1]
    if first.islower():
        return False
    if match[0] != ".":
        return True
    before = text[max(match.start() - 20, 0) : match.end()].split()[-1].lstrip("\"'“‘([").lower()
    initial = len(before) == 2 and before[0].isalpha() and before != "i."
    return before in _MAY_END and first.isupper() if before in _NO_END else not initial


def _short(sentence: str, limit: int) -> list[str]:
    """Cut a sentence until every part fits."""
    parts = []
    while len(sentence) > limit:
        cut = _last(_CLAUSE, sentence, limit) or _last(_BLANK, sentence, limit) or limit
        parts.append(sentence[:cut].strip())
        sentence = sentence[cut:].strip()
    return [*parts, sentence]


def _last(pattern: re.Pattern[str], sentence: str, limit: int) -> int:
    """The last place within the limit, and not in the first quarter, where ``pattern`` allows a cut; else 0."""
    ends = (match.end() for match in pattern.finditer(sentence, 0, limit + 1))
    return max((end for end in ends if limit // 4 < end <= limit), default=0)
