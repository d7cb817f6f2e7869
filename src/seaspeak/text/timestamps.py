"""NeMo's time stamps of a CTC output, for who reads ``Transcript.timestamp`` as NeMo's ``Hypothesis.timestamp``.

NeMo places a token between the frame in which the one before was first recognised and the frame in which it is
recognised itself; punctuation belongs to the word before and has no length (spec asr §10.5). Imports no torch.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

Entry = dict[str, Any]


def nemo_timestamps(
    symbols: Sequence[str],
    starts: Sequence[int],
    *,
    spoken: Sequence[int],
    punctuation: Collection[str],
    separator: str = " ",
    segment_ends: Collection[str] = (".", "!", "?"),
    segment_gap: int | None = None,
    kind: str = "all",
    frame_seconds: float,
) -> dict[str, list[Any]]:
    """Return the lists ``timestep``, ``char``, ``word`` and ``segment``.

    Args:
        symbols: the tokens after merging repeats and dropping blanks.
        starts: the first frame of each.
        spoken: every frame whose best symbol is not blank.
        punctuation: the symbols that join the word before.
        separator: the symbol between words.
        segment_ends: characters, or words, that end a segment.
        segment_gap: frames without a word that end a segment.
        kind: the list to make: ``char``, ``word``, ``segment``, or ``all``.
        frame_seconds: seconds that one frame stands for.
    """
    chars: list[Entry] = []
    start = max(0, spoken[0] - 1) if spoken else 0
    for place, (symbol, frame) in enumerate(zip(symbols, starts, strict=True)):
        end = start if place and symbol[:1] in punctuation else frame
        chars.append({"char": symbol, "start_offset": start, "end_offset": end})
        start = frame
    words = _words(chars, separator, punctuation)
    segments = _segments(words, segment_ends, segment_gap)
    lists = {"char": chars, "word": words, "segment": segments}
    wanted = [name for name in lists if kind in (name, "all")]
    for name in wanted:
        for entry in lists[name]:
            entry["start"] = entry["start_offset"] * frame_seconds
            entry["end"] = entry["end_offset"] * frame_seconds
    return {"timestep": list(spoken), **{name: lists[name] for name in wanted}}


def _words(chars: Sequence[Entry], separator: str, punctuation: Collection[str]) -> list[Entry]:
    words: list[Entry] = []
    current: list[Entry] = []
    following = ""  # the next symbol that is not a separator
    nexts: list[str] = []
    for entry in reversed(chars):
        nexts.append(following)
        following = following if entry["char"] == separator else entry["char"]
    for entry, after in zip(chars, reversed(nexts), strict=True):
        symbol = entry["char"]
        is_mark = symbol in punctuation and symbol != separator
        if symbol == separator and not (separator == " " and after in punctuation):
            if current:
                words.append(_word(current))
            current = []
        elif is_mark and not current and words:
            words[-1]["word"] = words[-1]["word"].removesuffix(" ") + symbol
            words[-1]["end_offset"] = entry["end_offset"]
        else:
            if is_mark and current and current[-1]["char"] == " ":
                current.pop()
            current.append(entry)
    if current:
        words.append(_word(current))
    if words:
        words[0]["start_offset"] = chars[0]["start_offset"]
    return words


def _word(entries: Sequence[Entry]) -> Entry:
    return {
        "word": "".join(entry["char"] for entry in entries),
        "start_offset": entries[0]["start_offset"],
        "end_offset": entries[-1]["end_offset"],
    }


def _segments(words: Sequence[Entry], separators: Collection[str], gap: int | None) -> list[Entry]:
    groups: list[list[Entry]] = []
    closed = True
    for word in words:
        paused = bool(gap) and not closed and word["start_offset"] - groups[-1][-1]["end_offset"] >= (gap or 0)
        if closed or paused:
            groups.append([])
        groups[-1].append(word)
        closed = not paused and (word["word"][-1:] in separators or word["word"] in separators)
    return [
        {
            "segment": " ".join(word["word"] for word in group),
            "start_offset": group[0]["start_offset"],
            "end_offset": group[-1]["end_offset"],
        }
        for group in groups
    ]
