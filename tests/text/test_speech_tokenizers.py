"""The tokenizers of synthesis models: NeMo's symbols in NeMo's order, and which tokens a word takes."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaspeak.text.g2p import EnglishG2p
from seaspeak.text.pronunciations import Dictionary
from seaspeak.text.speech_tokenizers import EnglishCharsTokenizer, EnglishPhonemesTokenizer, SpeechTokenizer
from seaspeak.text.words import english_items, plain_english
from tests.fixture import Fixture

DICTIONARY = Dictionary.parse("HELLO  HH AH0 L OW1\nWORLD  W ER1 L D\n")


@pytest.fixture
def front_end(shared: Path) -> Fixture:
    return Fixture(shared / "fixtures" / "tts" / "text_front_end")


def fixture_g2p(fixture: Fixture) -> EnglishG2p:
    return EnglishG2p(fixture.folder / "phoneme_dict.txt", apply_to_oov_word=list)


def tokenizer_of(fixture: Fixture, name: str) -> SpeechTokenizer:
    config = fixture.meta["results"][name]["config"]
    if name.startswith("chars"):
        return EnglishCharsTokenizer(**config)
    return EnglishPhonemesTokenizer(fixture_g2p(fixture), **config)


def test_symbols_and_numbers_are_those_of_nemo(front_end: Fixture) -> None:
    seen = 0
    for name, expected in front_end.meta["results"].items():
        if not name.startswith(("chars", "phonemes")):
            continue
        tokenizer = tokenizer_of(front_end, name)
        assert tokenizer.tokens == expected["tokens"], name
        assert tokenizer.pad == expected["pad"], name
        for row in expected["rows"]:
            assert tokenizer.encode(row["text"]) == row["ids"], (name, row["text"])
            assert tokenizer.decode(row["ids"]) == row["decoded"], (name, row["text"])
            seen += 1
    assert seen >= 50


def test_phones_are_those_of_nemo(front_end: Fixture) -> None:
    g2p = fixture_g2p(front_end)
    for row in front_end.meta["results"]["phonemes_default"]["rows"]:
        # NeMo's listing was made from the text as it stands: only its tokenizer takes accents off.
        assert g2p(row["text"].lower()) == row["g2p"], row["text"]


def test_words_are_found_as_nemo_finds_them(front_end: Fixture) -> None:
    for row in front_end.meta["results"]["preprocessing"]:
        assert plain_english(row["text"]) == row["preprocessed"]
        assert plain_english(row["text"], lower=False) == row["preprocessed_no_lower"]
        assert [[[item.text], False] for item in english_items(row["preprocessed"])] == row["words"]


@pytest.mark.parametrize(
    ("options", "size", "helpers"),
    [
        ({}, 114, ["<pad>", "<oov>"]),
        ({"add_blank_at": True}, 115, ["<pad>", "<blank>", "<oov>"]),
        ({"add_blank_at": "last"}, 115, ["<pad>", "<oov>", "<blank>"]),
    ],
)
def test_the_table_behind_published_voices(options: dict[str, object], size: int, helpers: list[str]) -> None:
    tokenizer = EnglishPhonemesTokenizer(
        EnglishG2p(DICTIONARY), stresses=True, chars=True, pad_with_space=True, **options
    )
    assert (len(tokenizer.tokens), tokenizer.tokens[112:]) == (size, helpers)
    assert tokenizer.encode("Hello, world!") == [0, 7, 31, 10, 59, 97, 0, 21, 47, 10, 3, 99, 0]


def test_words_keep_their_spelling_and_get_their_phones() -> None:
    tokenizer = EnglishPhonemesTokenizer(EnglishG2p(DICTIONARY), stresses=True, pad_with_space=True)
    numbers, words = tokenizer.encode_words("  “Hello”, — World!")
    assert [(word.text, tokenizer.decode(numbers[word.start : word.end])) for word in words] == [
        ("“Hello”,", "HH|AH0|L|OW1"),
        ("World!", "W|ER1|L|D"),
    ]


@given(st.text(alphabet=st.sampled_from("abz 'Éé“,.—\n字1-|"), max_size=30))
def test_words_never_change_the_numbers(text: str) -> None:
    for tokenizer in (EnglishCharsTokenizer(), EnglishPhonemesTokenizer(EnglishG2p(DICTIONARY), chars=True)):
        numbers, words = tokenizer.encode_words(" ".join(text.split()))
        assert numbers == tokenizer.encode(" ".join(text.split()))
        assert all(0 <= word.start < word.end <= len(numbers) for word in words)
        assert all(first.end <= second.start for first, second in itertools.pairwise(words))


def test_a_symbol_that_is_left_out_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = EnglishCharsTokenizer()
    assert tokenizer.encode("a 字 字") == tokenizer.encode("a")
    assert [record.getMessage() for record in caplog.records] == ["the model has no symbol for '字', it is left out"]
