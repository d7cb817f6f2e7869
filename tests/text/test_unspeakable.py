"""How a text is spoken, and what of it has no sound."""

from __future__ import annotations

from collections import Counter
from string import ascii_letters

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seaspeak.text.symbols import PUNCTUATION
from seaspeak.text.unspeakable import speakable, spoken, spoken_words, unspeakable


def test_symbols_without_a_sound_are_counted() -> None:
    assert unspeakable("Café “naïve” — 5 € ½ m²… Straße") == Counter()
    assert unspeakable("Hi 😀😀 世界 👩‍🚀") == Counter({"😀": 2, "世": 1, "界": 1, "👩": 1, "🚀": 1})


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Straße, «naïve» — søren…", 'Strasse, "naive" -- soren...'),
        ("it cost $5, C++ and me@x.org", "it cost five dollars, C plus plus and m e at x dot org"),
        ("٣ cats", "three cats"),
        ("good 🎉 night 語", "good 🎉 night 語"),
    ],
)
def test_a_table_of_texts_as_spoken(written: str, said: str) -> None:
    assert spoken(written) == said


def test_words_keep_their_spelling() -> None:
    assert [word.written for word in spoken_words("Dr. Søren:\n5 km")] == ["Dr.", "Søren:", "5", "km"]


def test_what_has_no_sound_is_taken_out_where_it_has_none() -> None:
    assert speakable("Hi 😀 — (it costs 5€, not €字)!") == "Hi — (it costs 5€, not €)!"
    assert [speakable(text) for text in ("", "😀 …", "漢字", "- 1")] == ["", "", "", "- 1"]


@given(st.text(max_size=30) | st.text(alphabet=st.sampled_from("a1 .,$€⑳⅐й́\u0306字😀'\"«|^~\x00"), max_size=20))
@example("\u0438\u0306")
def test_what_remains_is_spelt_in_letters_and_marks(text: str) -> None:
    said = spoken(speakable(text))
    assert set(said) <= {*ascii_letters, *PUNCTUATION, "'", " "}
    assert not said or set(said) & set(ascii_letters)
