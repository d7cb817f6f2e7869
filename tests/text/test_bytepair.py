"""The byte-pair tokenizer."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaspeak.core.errors import DataError
from seaspeak.text.bytepair import ALPHABET, SPECIAL, BytePairTokenizer, normalise, reduced

MERGES = [
    (" ", "t"), ("h", "e"), ("i", "n"), (" t", "he"), (" ", "a"), ("e", "r"), (" a", "n"), ("in", "g"), (" an", "d"),
    ("'", "t"), (" ", "s"), (" s", "in"), (" sin", "g"), (" sing", "er"), ("o", "n"), (" ", "d"), (" d", "on"),
]  # fmt: skip
PIECES = [*ALPHABET, *(left + right for left, right in MERGES)]
FULL = {piece: 100 + place for place, piece in enumerate(PIECES)} | {special: n for n, special in enumerate(SPECIAL)}
tokenizer = BytePairTokenizer([*SPECIAL, *PIECES], MERGES)


@given(st.text(alphabet=ALPHABET))
def test_every_text_of_plain_words_comes_back(text: str) -> None:
    assert tokenizer.text(tokenizer.ids(text)) == " ".join(text.split())


@given(st.lists(st.text(alphabet="adeghinorst'", min_size=1, max_size=8), max_size=6))
def test_merging_follows_the_order_of_the_merges(words: list[str]) -> None:
    def plain(word: str) -> list[str]:  # apply each merge in turn to the whole word: the definition
        parts = list(word)
        for left, right in MERGES:
            place = 0
            while place + 1 < len(parts):
                if parts[place] == left and parts[place + 1] == right:
                    parts[place : place + 2] = [left + right]
                place += 1
        return parts

    simple = [word for word in words if "'" not in word]  # one chunk a word
    assert tokenizer.pieces_of(" ".join(simple)) == [piece for word in simple for piece in plain(" " + word)]


def test_an_ending_behind_an_apostrophe_is_a_chunk_of_its_own() -> None:
    assert tokenizer.pieces_of("don't") == [" don", "'t"]


def test_a_foreign_character_is_named() -> None:
    with pytest.raises(DataError, match="cannot spell '7'"):
        tokenizer.ids("route 7")


def test_an_unknown_piece_is_named() -> None:
    with pytest.raises(DataError, match="no piece 'zz'"):
        tokenizer.id_of("zz")


def test_special_pieces_spell_nothing() -> None:
    assert tokenizer.text([1, 2, *tokenizer.ids("the singer"), 0]) == "the singer"


def test_it_reads_what_it_wrote() -> None:
    again = BytePairTokenizer.from_bytes(tokenizer.to_bytes())
    assert (again.pieces, again.merges, again.num_special) == (tokenizer.pieces, tokenizer.merges, 3)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"pieces": 3, "merges": [], "num_special": 1}'])
def test_a_file_of_something_else_is_an_error(content: bytes) -> None:
    with pytest.raises(DataError, match="tokenizer file"):
        BytePairTokenizer.from_bytes(content)


def test_a_reduced_tokenizer_segments_kept_words_as_the_larger_one() -> None:
    small, source = reduced(FULL, MERGES, ["the singer and the sin", "the the and"], size=len(SPECIAL) + 28 + 6)

    assert [FULL[piece] for piece in small.pieces] == source
    assert small.pieces_of("the and") == tokenizer.pieces_of("the and") == [" the", " and"]
    assert all(piece in FULL for piece in small.pieces_of("singer singing tern"))
    assert len(small) < len(tokenizer)


def test_a_reduced_tokenizer_can_make_every_piece_it_keeps() -> None:
    for seed in range(20):
        words = random.Random(seed).choices(["the", "singer", "sin", "on", "don", "and", "tern", "hinge"], k=5)
        small, _ = reduced(FULL, MERGES, [" ".join(words)], size=len(SPECIAL) + 28 + 5)
        for piece in small.pieces[len(SPECIAL) :]:
            assert small._merge(piece) == (piece,)


def test_normalising_leaves_plain_words() -> None:
    assert normalise("“Don’t—stop!” he\tsaid…  Twenty-one") == "don't stop he said twenty one"


def test_no_torch_is_needed() -> None:
    code = "import seaspeak.text.bytepair, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
