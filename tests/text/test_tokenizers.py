from __future__ import annotations

from pathlib import Path

import pytest

from seaspeak.core.errors import ConfigError, DataError, FileMissingError
from seaspeak.text.tokenizers import (
    CharTokenizer,
    SentencePieceTokenizer,
    Tokenizer,
    WordPieceTokenizer,
    get_tokenizer,
    get_tokenizer_list,
)
from seaspeak.text.wordpiece import SPECIAL
from tests.fixture import Fixture

PIECES = [*SPECIAL, "un", "##able", "the", "fox", "!", "o", "##k"]
NAMES = {"unk_token": "<UNK>", "bos_token": "<BOS>", "eos_token": "<EOS>", "pad_token": "<PAD>"}


@pytest.fixture(params=["v1", "v3"])
def fixture(request: pytest.FixtureRequest, shared: Path) -> Fixture:
    return Fixture(shared / "fixtures/core/tokenizers" / request.param)


def agree(tokenizer: Tokenizer, expected: dict) -> None:
    assert tokenizer.vocab_size == expected["vocab_size"]
    for row in expected["rows"]:
        if "error" in row:
            continue  # NeMo 1.0 stops at a character that it does not know; here it is left out
        assert tokenizer.text_to_tokens(row["text"]) == row["tokens"]
        assert tokenizer.text_to_ids(row["text"]) == row["ids"]
        assert tokenizer.ids_to_text(row["ids"]) == row["back"]


def test_sentencepiece_gives_nemos_ids_and_texts(fixture: Fixture) -> None:
    expected = fixture.meta["results"]["sentencepiece"]
    tokenizer = SentencePieceTokenizer(fixture.folder / "tokenizer.model")
    agree(tokenizer, expected)
    for name, value in expected["special"].items():
        assert getattr(tokenizer, name) == value


def test_sentencepiece_with_special_tokens_gives_nemos_ids_and_texts(fixture: Fixture) -> None:
    expected = fixture.meta["results"]["sentencepiece_legacy_special"]
    tokens = dict(zip(("bos_token", "eos_token", "pad_token"), expected["special_tokens"], strict=True))
    later = fixture.meta["nemo_version"] > "2"
    model = fixture.folder / "tokenizer.model"
    tokenizer = SentencePieceTokenizer(model, tokens, legacy=True, trim_after_special=later)
    agree(tokenizer, expected)
    assert [tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id] == [64, 65, 66]
    assert tokenizer.tokens_to_text(["<BOS>", "▁the"]) == "<BOS> the"
    assert tokenizer.ids_to_text([64, 11], remove_special_tokens=True) == "the"


def test_characters_give_nemos_ids_and_texts(fixture: Fixture) -> None:
    results = fixture.meta["results"]
    vocabulary = fixture.folder / "char_vocab.txt"
    agree(CharTokenizer(vocabulary), results["char"])
    tokenizer = get_tokenizer("char", vocab_file=vocabulary, special_tokens=NAMES)
    agree(tokenizer, results["char_special"])
    for name in ("unk_id", "bos_id", "eos_id", "pad_id"):
        assert getattr(tokenizer, name) == results["char_special"][name]


def test_sentencepiece_without_legacy_takes_no_special_tokens(shared: Path) -> None:
    with pytest.raises(ConfigError, match="takes no special tokens"):
        SentencePieceTokenizer(shared / "fixtures/core/tokenizers/v3/tokenizer.model", ["<BOS>"])


def test_words_are_tokens(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("the\nfox\n'x'\n")
    tokenizer = get_tokenizer("word", vocab_file=tmp_path / "words.txt", special_tokens={"unk_token": "<UNK>"})
    assert tokenizer.text_to_ids("the  quick fox") == [0, 3, 1]
    assert tokenizer.ids_to_text([0, 1, 2]) == "the fox 'x'"


def test_wordpiece_borrows_the_roles_that_bert_has_no_token_for() -> None:
    tokenizer = WordPieceTokenizer(PIECES)
    assert tokenizer.text_to_ids("Unable the fox!") == [5, 6, 7, 8, 9]
    assert tokenizer.text_to_tokens("unable") == ["un", "##able"]
    assert (tokenizer.bos_id, tokenizer.eos_id) == (tokenizer.cls_id, tokenizer.sep_id) == (2, 3)
    assert (tokenizer.pad_id, tokenizer.unk_id, tokenizer.mask_id) == (0, 1, 4)
    assert tokenizer.ids_to_text([2, 5, 6, 1, 3, 0]) == "unable"
    assert tokenizer.ids_to_text([2, 5, 6], remove_special_tokens=False) == "[CLS] unable"
    assert tokenizer.tokens_to_ids(["the", "never"]) == [7, 1]
    assert tokenizer.tokens_to_ids("the") == 7
    assert tokenizer.name == "WordPieceTokenizer"


def test_a_special_token_that_is_not_known_is_added_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = WordPieceTokenizer(PIECES, special_tokens={"bos_token": "<s>"})
    assert (tokenizer.vocab_size, tokenizer.bos_id) == (13, 12)
    assert tokenizer.text_to_ids("<s>fox") == [12, 8]
    assert "resize the encoder's embeddings" in caplog.text
    assert tokenizer.add_special_tokens(["<a>", "fox"]) == 1
    assert tokenizer.text_to_ids("the <a>") == [7, 13]


def test_case_is_decided_by_the_vocabulary() -> None:
    assert WordPieceTokenizer(PIECES).lowercase
    assert WordPieceTokenizer([*PIECES, "A"]).text_to_tokens("A a the") == ["A", "[UNK]", "the"]


def test_a_folder_with_a_vocabulary_needs_no_other_package(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES) + "\n")
    assert isinstance(get_tokenizer(str(tmp_path)), WordPieceTokenizer)


def test_a_name_that_is_not_cached_says_which_files_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(FileMissingError, match=r"(?s)'no-such/encoder' cannot be loaded.*a folder with tokenizer.json"):
        get_tokenizer("no-such/encoder")


def test_every_other_mistake_is_named(tmp_path: Path) -> None:
    (tmp_path / "chars.txt").write_text("'a'\n'bc'\n")
    with pytest.raises(DataError, match="line 2 is not one character in quotes"):
        CharTokenizer(tmp_path / "chars.txt")
    with pytest.raises(ConfigError, match="needs tokenizer_model"):
        get_tokenizer("sentencepiece")
    with pytest.raises(ConfigError, match="YouTokenToMe tokenizers are not supported"):
        get_tokenizer("yttm")
    with pytest.raises(ConfigError, match="bpe_dropout"):
        get_tokenizer("word", bpe_dropout=0.1)
    with pytest.raises(ConfigError, match="no special token called 'start_token'"):
        WordPieceTokenizer(PIECES, special_tokens={"start_token": "<s>"})
    with pytest.raises(FileMissingError, match=r"SentencePiece model .*gone does not exist"):
        get_tokenizer("sentencepiece", tokenizer_model=tmp_path / "gone")
    with pytest.raises(DataError, match="is no SentencePiece model"):
        get_tokenizer("sentencepiece", tokenizer_model=tmp_path / "chars.txt")
    with pytest.raises(AttributeError, match="no attribute 'pad_name'"):
        _ = WordPieceTokenizer(PIECES).pad_name
    assert get_tokenizer_list() == ["sentencepiece", "char", "word"]
