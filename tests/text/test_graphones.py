"""The model of letters and phones, and how a word is said that no dictionary has."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from seaspeak.text.graphones import GraphoneModel, align, train
from seaspeak.text.letter_to_sound import pronounce, shipped
from seaspeak.text.pronunciations import Dictionary, cmudict
from seaspeak.text.symbols import CONSONANTS, STRESSED_VOWELS

WORDS = [
    (spelling, phones.split())
    for spelling, phones in {
        "bat": "B AE1 T", "cat": "K AE1 T", "mat": "M AE1 T", "cab": "K AE1 B", "tab": "T AE1 B", "tax": "T AE1 K S",
        "max": "M AE1 K S", "bit": "B IH1 T", "mix": "M IH1 K S", "tim": "T IH1 M", "cam": "K AE1 M",
    }.items()
]  # fmt: skip


def test_letters_get_their_phones() -> None:
    assert align(WORDS)[5] == [("t", ("T",)), ("a", ("AE1",)), ("x", ("K", "S"))]


def test_a_pattern_is_learned_and_survives_storage() -> None:
    model = train(WORDS, least=(1,) * 5)
    assert model.phones("bax") == ("B", "AE1", "K", "S")
    again = GraphoneModel.from_bytes(model.to_bytes())
    assert [again.phones(word) for word in ("bim", "tixcab", "ü")] == [
        model.phones(word) for word in ("bim", "tixcab", "ü")
    ]


def test_the_shipped_model_says_a_word_that_it_never_saw() -> None:
    assert "seaspeak" not in cmudict()
    assert shipped().phones("seaspeak") == ("S", "IY1", "S", "P", "IY1", "K")


def test_known_parts_are_said_as_known() -> None:
    dictionary = Dictionary.parse("jump JH AH1 M P\nbake B EY1 K\nwait W EY1 T\nstop S T AA1 P\nbus B AH1 S\n")
    said = {
        word: " ".join(pronounce(word, dictionary))
        for word in ("jumped", "waited", "baking", "stopping", "jumps-bus", "bus's", "xkc")
    }
    assert said == {
        "jumped": "JH AH1 M P T",
        "waited": "W EY1 T IH0 D",
        "baking": "B EY1 K IH0 NG",
        "stopping": "S T AA1 P IH0 NG",
        "jumps-bus": "JH AH1 M P S B AH1 S",
        "bus's": "B AH1 S IH0 Z",
        "xkc": "EH1 K S K EY1 S IY1",
    }


@given(st.from_regex(r"[a-z]([a-z'-]{0,12}[a-z])?", fullmatch=True))
def test_every_word_gets_phones_that_exist(word: str) -> None:
    phones = pronounce(word, cmudict())
    assert set(phones) <= set(CONSONANTS) | set(STRESSED_VOWELS)
    assert phones
