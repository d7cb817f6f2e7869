from __future__ import annotations

import random
import string
import subprocess
import sys
import unicodedata
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaspeak.core.errors import DataError, FileMissingError
from seaspeak.text.wordpiece import INSIDE, SPECIAL, WordPiece, prune, read_vocabulary, split_text, train

# Characters that Python's Unicode tables know and those of the tokenizers package (or the other way round) do not.
OTHER_AGE = 700
TEXTS = [
    "The quick brown fox, the lazy dog; the fox again?",
    "A well-known word - unbelievably - and 3,141.59 numbers...",
    "Café İstanbul ΣΑΣ ΟΔΥΣΣΕΥΣ straße Ǆ ﬁ",
    "中文字 and 日本語のテキスト 한국어 𠀀 豈",
    "tab\there\r\nnew\x0bline\x1c\x85\u200b\ufeff\ufffd\u2028 end\u3000of",
    "[MASK] x[SEP]y [mask] [CLS][PAD] [UNK]",
    "a" * 100 + " " + "a" * 101,
    "🎉 emoji 👩‍👩‍👧 flags 🇩🇪 ✓ € £ ° ± “quotes” ‘single’ — dash…",
    "",
    " \t ",
]


def vocabulary(*extra: str) -> list[str]:
    """Return a vocabulary of all printable ASCII characters, a few accents and pieces."""
    letters = [chr(code) for code in range(33, 127)] + list("äößſσς中é€")
    pieces = ["the", "##ing", "un", "##able", "qu", "##ick", "fox", "##12", "ca", "##fe"]
    return [*SPECIAL, *letters, *(INSIDE + letter for letter in letters), *pieces, *extra]


@cache
def peer(lowercase: bool = True, strip_accents: bool | None = None) -> Any:
    transformers = pytest.importorskip("transformers")
    return transformers.BertTokenizer(
        vocab=numbered(vocabulary()), do_lower_case=lowercase, strip_accents=strip_accents
    )


def numbered(pieces: list[str]) -> dict[str, int]:
    return {piece: place for place, piece in enumerate(pieces)}


@cache
def ours(lowercase: bool = True, strip_accents: bool | None = None) -> WordPiece:
    return WordPiece(vocabulary(), lowercase=lowercase, strip_accents=strip_accents)


def ids_of(tokenizer: Any, text: str) -> list[int]:
    found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return found


@cache
def told_apart() -> frozenset[str]:
    """Return the characters that the two treat differently when they stand alone between letters."""
    chars = (chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000)
    known = [char for char in chars if unicodedata.category(char) not in ("Cn", "Co")]
    normalizer, marks = peer()._tokenizer.normalizer, peer()._tokenizer.pre_tokenizer

    def words(text: str) -> list[str]:
        return [word for word, _ in marks.pre_tokenize_str(normalizer.normalize_str(text))]

    return frozenset(char for char in known if words(f"x{char}y") != split_text(f"x{char}y"))


def test_only_characters_younger_than_the_peer_are_told_apart() -> None:
    different = told_apart()
    assert len(different) < OTHER_AGE
    common = [(0, 0x3FF), (0x400, 0x52F), (0x1E00, 0x20CF), (0x2100, 0x2BFF), (0x3000, 0xA4CF), (0x1F000, 0x1FAFF)]
    assert [c for c in different if any(first <= ord(c) <= last for first, last in common)] == []


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(("lowercase", "strip_accents"), [(True, None), (False, None), (True, False), (False, True)])
def test_equals_the_tokenizer_of_transformers(text: str, lowercase: bool, strip_accents: bool | None) -> None:
    expected = ids_of(peer(lowercase, strip_accents), text)
    assert ours(lowercase, strip_accents).ids(text) == expected


@given(
    text=st.text(alphabet=st.characters(exclude_categories=("Cs", "Cn")) | st.sampled_from("aeiou ,.'-éσΣ中\t\u0301")),
    lowercase=st.booleans(),
    strip_accents=st.sampled_from([None, True, False]),
)
def test_equals_the_tokenizer_of_transformers_for_any_text(
    text: str, lowercase: bool, strip_accents: bool | None
) -> None:
    text = "".join(char for char in text if char not in told_apart())
    assert ours(lowercase, strip_accents).ids(text) == ids_of(peer(lowercase, strip_accents), text)


@pytest.mark.parametrize("genre", ["fiction", "web", "docs"])
def test_equals_the_tokenizer_of_transformers_on_prose(genre: str, shared: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = WordPiece(shared / "data/text/vocab/wordpiece-uncased-30522.txt")
    theirs = transformers.BertTokenizer(vocab=tokenizer.vocab)
    for line in (shared / f"data/text/punct/dev/{genre}.txt").read_text().splitlines()[:150]:
        assert tokenizer.ids(line) == ids_of(theirs, line)


def test_pieces_of_words_are_the_pieces_of_their_text() -> None:
    words = [*TEXTS[0].split(), "", "\u200b", "Σ́", "[SEP]"]
    by_word = ours().word_ids(words)
    assert [i for ids in by_word for i in ids] == ours().ids(" ".join(words))
    assert by_word[-4:-2] == [[], []]


def test_a_remembered_word_is_not_changed_by_its_reader() -> None:
    tokenizer = WordPiece(vocabulary())
    first = tokenizer.word_ids(["unable"])[0]
    first.append(99)
    assert tokenizer.word_ids(["unable"])[0] == first[:-1]


def test_text_comes_back_from_ids() -> None:
    assert ours().text(ours().ids("The quick unable fox")) == "the quick unable fox"


def test_a_lone_surrogate_is_left_out() -> None:
    assert ours().tokens("a\ud800b") == ours().tokens("ab")


def test_a_vocabulary_without_special_tokens_says_which_is_missing() -> None:
    with pytest.raises(DataError, match=r"the vocabulary has no piece '\[UNK\]'"):
        WordPiece(["a", "b"])
    with pytest.raises(DataError, match=r"the vocabulary has no piece '\[MASK\]'"):
        _ = WordPiece(["[UNK]", "a"]).mask_id


def test_a_vocabulary_file_is_one_piece_a_line(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_bytes("[PAD]\r\n[UNK]\r\né\u2028x\r\n".encode())
    assert read_vocabulary(path) == ["[PAD]", "[UNK]", "é\u2028x"]
    assert WordPiece(path).unk_id == 1


def test_a_vocabulary_file_that_is_missing_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileMissingError, match=r"the vocabulary file .*gone\.txt does not exist"):
        read_vocabulary(tmp_path / "gone.txt")
    (tmp_path / "model.bin").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"the vocabulary file .*model\.bin is not UTF-8 text"):
        WordPiece(tmp_path / "model.bin")


words = st.lists(st.text(alphabet="abcé,", min_size=1, max_size=8), min_size=1, max_size=30)


@given(words, st.integers(20, 60))
def test_a_trained_vocabulary_spells_every_word_of_its_characters(found: list[str], size: int) -> None:
    pieces = train(found, size, minimum=1)
    assert len(pieces) == len(set(pieces)) <= size
    tokenizer = WordPiece(pieces)
    letters = sorted({letter for word in found for part in split_text(word) for letter in part})
    for word in [*found, "".join(letters)]:
        assert tokenizer.unk_id not in tokenizer.ids(word)


@given(words, st.randoms(use_true_random=False))
def test_a_trained_vocabulary_does_not_depend_on_the_order_of_texts(found: list[str], luck: random.Random) -> None:
    mixed = found.copy()
    luck.shuffle(mixed)
    assert train(mixed, 40, minimum=1) == train(found, 40, minimum=1)


def test_training_joins_the_most_frequent_neighbours_first() -> None:
    pieces = train(["aaab"] * 3 + ["ab"] * 4 + ["ba"], 100)
    letters = [*SPECIAL, "a", "b", "##a", "##b"]
    # a##b: 4; ##a##b: 3, ##a##a: 3 and a##a: 3, of which the first in the alphabet; then what they leave
    assert pieces == [*letters, "ab", "##aa", "##aab", "aaab"]


def test_training_covers_prose_as_well_as_the_peer_does(shared: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    text = (shared / "data/text/punct/dev/fiction.txt").read_text().splitlines()
    size = 1500
    model = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    model.normalizer = tokenizers.normalizers.BertNormalizer()
    model.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    trainer = tokenizers.trainers.WordPieceTrainer(
        vocab_size=size, special_tokens=list(SPECIAL), min_frequency=2, show_progress=False
    )
    model.train_from_iterator(text, trainer)
    theirs = sorted(model.get_vocab(), key=model.get_vocab().__getitem__)
    mine = train(text, size)
    assert len(mine) == size
    assert len(set(mine) & set(theirs)) > 0.95 * size
    lengths = [sum(len(WordPiece(pieces).ids(line)) for line in text) for pieces in (mine, theirs)]
    assert lengths[0] < 1.01 * lengths[1]


def test_a_vocabulary_too_small_for_its_characters_is_refused() -> None:
    with pytest.raises(DataError, match="a vocabulary of 20 pieces has no room for 26 characters"):
        train([string.ascii_lowercase], 20)


@given(st.lists(st.text(alphabet="unableqickthfox ,", max_size=20)))
def test_pruning_leaves_the_pieces_of_its_texts_alone(texts: list[str]) -> None:
    pieces, kept = prune(vocabulary("never", "##seen"), texts)
    assert [vocabulary("never", "##seen")[i] for i in kept] == pieces
    assert not {"never", "##seen"} & set(pieces)
    small = WordPiece(pieces)
    assert [small.tokens(text) for text in texts] == [ours().tokens(text) for text in texts]


def test_pruning_keeps_special_tokens_and_single_characters() -> None:
    pieces, _ = prune(vocabulary(), Counter({"fox": 5, "unable": 1}), minimum=2)
    assert set(pieces) == set(vocabulary()) - {"the", "##ing", "un", "##able", "qu", "##ick", "##12", "ca", "##fe"}
    assert WordPiece(pieces).tokens("fox unab") == ["fox", "u", "##n", "##a", "##b"]


def test_nothing_heavy_is_loaded() -> None:
    code = "import sys, seaspeak.text.wordpiece; print({'torch', 'transformers', 'tokenizers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
