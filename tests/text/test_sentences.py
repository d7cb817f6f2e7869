"""Sentences of a text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaspeak.text.sentences import split


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Dr. No paid $3.50. It was 5 p.m. then.", ["Dr. No paid $3.50.", "It was 5 p.m. then."]),
        ("“Why?” he asked. “Go!” She left.", ["“Why?” he asked.", "“Go!”", "She left."]),
        (
            "Well... perhaps. J. R. Smith came, etc. Then what?!",
            ["Well... perhaps.", "J. R. Smith came, etc.", "Then what?!"],
        ),
        ("A title\n\nA text", ["A title", "A text"]),
        ("  ", []),
    ],
)
def test_a_table_of_texts(text: str, sentences: list[str]) -> None:
    assert split(text) == sentences


def test_a_long_sentence_is_cut_where_it_pauses() -> None:
    text = "one two three, four five six seven eight nine"
    assert split(text, limit=30) == ["one two three,", "four five six seven eight nine"]
    assert split(text, limit=12) == ["one two", "three,", "four five", "six seven", "eight nine"]
    assert split("abcdef", limit=4) == ["abcd", "ef"]


@given(st.text(alphabet=st.sampled_from("ab A.!?…,;\n\"'”)1。字 "), max_size=120), st.integers(1, 40))
def test_nothing_is_lost_and_the_limit_is_kept(text: str, limit: int) -> None:
    parts = split(text, limit)
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(0 < len(part) <= limit for part in parts)
