"""Tokenizers with NeMo's verbs: ``text_to_ids``, ``ids_to_text``, ``vocab_size``, ``pad_id`` and their like.

    Tokenizer
    ├── WordPieceTokenizer       a vocabulary file of BERT's form, or a list of pieces
    ├── CharTokenizer            a file with one character a line
    │   └── WordTokenizer        a file with one word a line
    └── SentencePieceTokenizer   a SentencePiece model
        HuggingFaceTokenizer     any other (``seaspeak.text.huggingface``)

`get_tokenizer` finds the one that a configuration asks for (spec nlp §1.7-1.8).
"""

from __future__ import annotations

import ast
import json
import logging
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seaspeak.core.errors import ConfigError, DataError, FileMissingError
from seaspeak.text.wordpiece import CLS, MASK, PAD, SEP, SPECIAL, UNK, WordPiece, read_vocabulary

logger = logging.getLogger(__name__)

ROLES = ("pad", "unk", "bos", "eos", "sep", "mask", "cls")
"""What a special token may be for, in the order in which a vocabulary of characters begins with them."""
_BORROWED = (("sep", "eos"), ("bos", "cls"), ("eos", "sep"), ("cls", "bos"))  # in this order, as NeMo does


class Tokenizer(ABC):
    """Texts to tokens to ids, and back.

    Attributes:
        special: role (``"pad"``, ``"cls"``, ...) -> token.
    """

    special: dict[str, str]

    @abstractmethod
    def text_to_tokens(self, text: str) -> list[str]:
        """Return the tokens of ``text``, without any that mark beginning or end."""

    @abstractmethod
    def tokens_to_text(self, tokens: Sequence[str]) -> str:
        """Return what ``tokens`` spell."""

    @abstractmethod
    def token_to_id(self, token: str) -> int:
        """Return the id of one token; of an unknown one, that of the unknown token."""

    @abstractmethod
    def ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        """Return the token of each id."""

    @abstractmethod
    def add_special_tokens(self, special_tokens: Sequence[str] | Mapping[str, str]) -> int:
        """Add tokens after the last id, those of a mapping with their role (``"pad_token"``); return how many."""

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """How many ids there are."""

    @property
    def name(self) -> str:
        """What kind of tokenizer it is."""
        return type(self).__name__

    def tokens_to_ids(self, tokens: str | Sequence[str]) -> Any:
        """Return the id of each token, or of the only one."""
        return self.token_to_id(tokens) if isinstance(tokens, str) else [self.token_to_id(token) for token in tokens]

    def text_to_ids(self, text: str) -> list[int]:
        """Return the ids of the tokens of ``text``."""
        return [self.token_to_id(token) for token in self.text_to_tokens(text)]

    def ids_to_text(self, ids: Iterable[int], remove_special_tokens: bool = True) -> str:
        """Return what ``ids`` spell; special tokens spell nothing unless they are asked for."""
        hidden = set(self.special.values()) if remove_special_tokens else set()
        return self.tokens_to_text([token for token in self.ids_to_tokens(ids) if token not in hidden])

    def __getattr__(self, name: str) -> Any:
        """Find ``pad_token`` and ``pad_id``, and their like for every role."""
        role, _, kind = name.partition("_")
        special = self.__dict__.get("special")
        if role not in ROLES or kind not in ("token", "id") or special is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if kind == "token":
            return special.get(role)
        return self.token_to_id(special[role]) if role in special else self._id_without_token(role)

    def _id_without_token(self, role: str) -> int | None:
        """Return the id for a role that no token has."""
        return None


def _with_roles(special_tokens: Sequence[str] | Mapping[str, Any]) -> list[tuple[str | None, str]]:
    """Return (role or None, token) for what a configuration says about special tokens.

    Raises:
        ConfigError: a key is not a role.
    """
    if not isinstance(special_tokens, Mapping):
        return [(None, str(token)) for token in special_tokens]
    pairs: list[tuple[str | None, str]] = []
    for key, value in special_tokens.items():
        role = str(key).removesuffix("_token")
        if key == "additional_special_tokens":
            pairs += [(None, str(token)) for token in value]
        elif role in ROLES and isinstance(value, str):
            pairs.append((role, value))
        elif role not in ROLES:
            names = ", ".join(f"{role}_token" for role in ROLES)
            raise ConfigError(f"there is no special token called {key!r}", expected=names)
    return pairs


class _Vocabulary(Tokenizer):
    """A tokenizer whose tokens are a list."""

    def __init__(self, tokens: Sequence[str], special: Mapping[str, str]) -> None:
        self.vocabulary = list(tokens)
        self.vocab = {token: place for place, token in enumerate(self.vocabulary)}
        self.special = dict(special)

    @property
    def vocab_size(self) -> int:
        """How many tokens there are, added ones included."""
        return len(self.vocabulary)

    def token_to_id(self, token: str) -> int:
        """Return the id of one token.

        Raises:
            DataError: it is not known, and there is no token for the unknown.
        """
        if token not in self.vocab and "unk" not in self.special:
            raise DataError(f"the vocabulary has no token {token!r}, and none for unknown ones")
        return self.vocab.get(token, self.vocab.get(self.special.get("unk", ""), -1))

    def ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        """Return the token of each id."""
        return [self.vocabulary[int(place)] for place in ids]

    def add_special_tokens(self, special_tokens: Sequence[str] | Mapping[str, str]) -> int:
        """Add tokens that are not known yet after the last id, and give them their roles."""
        before = len(self.vocabulary)
        for role, token in _with_roles(special_tokens):
            if token not in self.vocab:
                self.vocab[token] = len(self.vocabulary)
                self.vocabulary.append(token)
            if role is not None:
                self.special[role] = token
        return len(self.vocabulary) - before


class WordPieceTokenizer(_Vocabulary):
    """WordPiece with NeMo's verbs; what NeMo's ``AutoTokenizer`` is for the encoders of BERT's family.

    Args:
        vocab_file: the vocabulary, one piece a line, or a list of pieces.
        lowercase: whether text is put into lower case; by default, where the vocabulary has no capital letter.
        special_tokens: tokens by role that differ from BERT's; those that are not in the vocabulary are added after
            its last piece, and a warning says that the encoder must be resized.

    >>> tokenizer = WordPieceTokenizer([*SPECIAL, "un", "##afford", "##able"])
    >>> tokenizer.text_to_ids("unaffordable"), tokenizer.ids_to_text([2, 5, 6, 7, 3]), tokenizer.eos_token
    ([5, 6, 7], 'unaffordable', '[SEP]')
    """

    def __init__(
        self,
        vocab_file: str | Path | Sequence[str],
        *,
        lowercase: bool | None = None,
        special_tokens: Mapping[str, str] | None = None,
    ) -> None:
        pieces = read_vocabulary(vocab_file) if isinstance(vocab_file, str | Path) else list(vocab_file)
        usual = {"unk": UNK, "sep": SEP, "pad": PAD, "cls": CLS, "mask": MASK}
        super().__init__(pieces, {role: token for role, token in usual.items() if token in pieces})
        self.lowercase = _has_no_capitals(pieces) if lowercase is None else lowercase
        added = self.add_special_tokens(special_tokens or {})
        if added:
            logger.warning("%d special tokens are not in the vocabulary: resize the encoder's embeddings", added)
        for role, other in _BORROWED:
            if role not in self.special and other in self.special:
                self.special[role] = self.special[other]

    def add_special_tokens(self, special_tokens: Sequence[str] | Mapping[str, str]) -> int:
        """Add tokens that are not known yet after the last id, and give them their roles."""
        added = super().add_special_tokens(special_tokens)
        marks = {*SPECIAL, *self.special.values(), *(token for _, token in _with_roles(special_tokens))}
        self.wordpiece = WordPiece(
            self.vocabulary, lowercase=self.lowercase, unknown=self.special.get("unk", UNK), special=sorted(marks)
        )
        return added

    def text_to_tokens(self, text: str) -> list[str]:
        """Return the pieces of ``text``."""
        return self.wordpiece.tokens(text)

    def text_to_ids(self, text: str) -> list[int]:
        """Return the ids of the pieces of ``text``."""
        return self.wordpiece.ids(text)

    def tokens_to_text(self, tokens: Sequence[str]) -> str:
        """Return the words that ``tokens`` spell, a blank between them."""
        return self.wordpiece.text(self.token_to_id(token) for token in tokens)


def _has_no_capitals(pieces: Iterable[str]) -> bool:
    return not any(len(piece) == 1 and piece.isupper() for piece in pieces)


class CharTokenizer(_Vocabulary):
    """Every character is a token.

    Args:
        vocab_file: one character a line, as NeMo 1.0 wrote it (``a``; no blank) or as a Python literal, as it is
            since (``'a'``; a first line may be JSON that says the special tokens).
        special_tokens: tokens by role. In NeMo 1.0's form of file they follow the characters in the given order,
            in the later form they stand before them.

    Raises:
        FileMissingError: there is no such file.
        DataError: a line is not one character.
    """

    def __init__(self, vocab_file: str | Path, special_tokens: Mapping[str, str] | None = None) -> None:
        lines = read_vocabulary(vocab_file)
        header: dict[str, str] = json.loads(lines.pop(0)) if lines[0].startswith("{") else {}
        pairs = {role: token for role, token in _with_roles({**header, **(special_tokens or {})}) if role}
        if lines and self._is_literal(lines[0]):
            first = [pairs[role] for role in ROLES if role in pairs]
            tokens = [*first, *(_literal(line, number, vocab_file) for number, line in enumerate(lines, 1))]
        else:
            tokens = [*(line.strip() for line in lines if line.strip()), *pairs.values()]
        super().__init__(list(dict.fromkeys(tokens)), pairs)

    @staticmethod
    def _is_literal(line: str) -> bool:
        return re.fullmatch(r"""\s*(['"]).+\1\s*""", line) is not None

    def text_to_tokens(self, text: str) -> list[str]:
        """Return the characters; unknown ones become the unknown token, or go where there is none."""
        unknown = [self.special["unk"]] if "unk" in self.special else []
        return [token for part in self._parts(text) for token in ([part] if part in self.vocab else unknown)]

    def _parts(self, text: str) -> Iterable[str]:
        return text

    def tokens_to_text(self, tokens: Sequence[str]) -> str:
        """Return the characters as one text."""
        return "".join(tokens)


class WordTokenizer(CharTokenizer):
    """Every word is a token; the vocabulary file has one a line.

    Args:
        vocab_file: the words.
        special_tokens: tokens by role; those that are not among the words are added after them.
    """

    @staticmethod
    def _is_literal(line: str) -> bool:
        return False

    def _parts(self, text: str) -> Iterable[str]:
        return text.split()

    def tokens_to_text(self, tokens: Sequence[str]) -> str:
        """Return the words with blanks between them."""
        return " ".join(tokens)


def _literal(line: str, number: int, path: str | Path) -> str:
    try:
        char = ast.literal_eval(line.strip())
    except (ValueError, SyntaxError):
        char = None
    if not isinstance(char, str) or len(char) != 1:
        raise DataError(f"{path}: line {number} is not one character in quotes", got=repr(line))
    return char


class SentencePieceTokenizer(Tokenizer):
    """A SentencePiece model with NeMo's verbs.

    Args:
        model_path: the model.
        special_tokens: tokens that follow the model's own, in the order given; a mapping gives them their roles.
        legacy: whether special tokens may be added, and are found in texts.
        trim_after_special: whether a blank between two special tokens and a word goes, as since NeMo 2.

    Raises:
        FileMissingError: there is no such file.
        ConfigError: special tokens are given, and ``legacy`` is false.
    """

    def __init__(
        self,
        model_path: str | Path,
        special_tokens: Sequence[str] | Mapping[str, str] | None = None,
        legacy: bool = False,
        trim_after_special: bool = True,
    ) -> None:
        import sentencepiece

        if not Path(model_path).is_file():
            raise FileMissingError(f"the SentencePiece model {model_path} does not exist")
        try:
            self.model = sentencepiece.SentencePieceProcessor(model_file=str(model_path))
        except RuntimeError as error:
            raise DataError(f"{model_path} is no SentencePiece model", got=str(error).splitlines()[0]) from error
        self.original_vocab_size = int(self.model.get_piece_size())
        self.legacy, self.trim_after_special = legacy, trim_after_special
        self.special = {}
        self.added: dict[str, int] = {}
        if special_tokens and not legacy:
            raise ConfigError("this SentencePiece tokenizer takes no special tokens", fix="pass legacy=True")
        self.add_special_tokens(special_tokens or [])

    @property
    def vocab_size(self) -> int:
        """How many pieces there are, added tokens included."""
        return self.original_vocab_size + len(self.added)

    def add_special_tokens(self, special_tokens: Sequence[str] | Mapping[str, str]) -> int:
        """Add tokens after the last piece, those of a mapping with their role."""
        before = len(self.added)
        for role, token in _with_roles(special_tokens):
            if self.model.piece_to_id(token) == self.model.unk_id():
                self.added.setdefault(token, self.vocab_size)
            if role is not None:
                self.special[role] = token
        return len(self.added) - before

    def token_to_id(self, token: str) -> int:
        """Return the id of one piece."""
        return self.added[token] if token in self.added else int(self.model.piece_to_id(token))

    def ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        """Return the piece of each id."""
        names = {place: token for token, place in self.added.items()}
        return [names[int(place)] if int(place) in names else self.model.id_to_piece(int(place)) for place in ids]

    def text_to_tokens(self, text: str) -> list[str]:
        """Return the pieces; tokens that were added are cut out of the text first.

        As in NeMo, a blank after such a token has no piece of its own if another such token follows.
        """
        *parts, last = self._split(text)
        tokens: list[str] = []
        for part in parts:
            pieces = self._pieces(part)
            after_special = bool(tokens) and tokens[-1] in self.added
            tokens += pieces[1:] if self.trim_after_special and after_special and pieces[:1] == ["▁"] else pieces
        return tokens + self._pieces(last)

    def _split(self, text: str) -> list[str]:
        if not self.added:
            return [text]
        longest_first = sorted(self.added, key=len, reverse=True)
        return re.split(f"({'|'.join(map(re.escape, longest_first))})", text)

    def _pieces(self, part: str) -> list[str]:
        return [part] if part in self.added else list(self.model.encode_as_pieces(part))

    def tokens_to_text(self, tokens: Sequence[str]) -> str:
        """Return what the pieces spell; tokens that were added stand between blanks."""
        return self.ids_to_text([self.token_to_id(token) for token in tokens], remove_special_tokens=False)

    def ids_to_text(self, ids: Iterable[int], remove_special_tokens: bool = False) -> str:
        """Return what ``ids`` spell; tokens that were added stand between blanks, unless they are to go."""
        if not self.added:
            return str(self.model.decode_ids([int(place) for place in ids]))
        texts: list[str] = []
        run: list[int] = []
        for place in map(int, ids):
            if place < self.original_vocab_size:
                run.append(place)
                continue
            texts += [self.model.decode_ids(run)] + ([] if remove_special_tokens else self.ids_to_tokens([place]))
            run = []
        return " ".join(filter(None, [*texts, self.model.decode_ids(run)])).strip()

    def _id_without_token(self, role: str) -> int | None:
        own = {"pad": "pad_id", "bos": "bos_id", "eos": "eos_id", "unk": "unk_id"}
        return int(getattr(self.model, own[role])()) if role in own else None


def get_tokenizer_list() -> list[str]:
    """Return the kinds of tokenizers that have a name of their own; any other name is an encoder's."""
    return ["sentencepiece", "char", "word"]


def get_tokenizer(
    tokenizer_name: str,
    tokenizer_model: str | Path | None = None,
    vocab_file: str | Path | None = None,
    merges_file: str | Path | None = None,
    special_tokens: Mapping[str, str] | None = None,
    use_fast: bool | None = False,
    bpe_dropout: float | None = 0.0,
) -> Tokenizer:
    """Return the tokenizer that a configuration's section ``tokenizer`` asks for (spec nlp §1.7).

    A vocabulary file of BERT's form needs no other package; so does the folder of an encoder that has one.

    Args:
        tokenizer_name: ``sentencepiece``, ``char``, ``word``, or the name or folder of an encoder.
        tokenizer_model: the SentencePiece model.
        vocab_file: the vocabulary.
        merges_file: the merges of a byte-pair vocabulary (RoBERTa and its like).
        special_tokens: tokens by role.
        use_fast: for tokenizers of transformers.
        bpe_dropout: only 0 is possible.

    Raises:
        ConfigError: a file that this kind needs is not named, or the kind is one that is not supported any more.
        FileMissingError: a file, or what an encoder's name stands for, is not on this machine.
    """
    if bpe_dropout:
        raise ConfigError("bpe_dropout belongs to YouTokenToMe, which is not supported", got=str(bpe_dropout))
    kind = str(tokenizer_name)
    if kind == "yttm":
        raise ConfigError("YouTokenToMe tokenizers are not supported", fix="train a SentencePiece or WordPiece model")
    if kind == "sentencepiece":
        return SentencePieceTokenizer(_needed("tokenizer_model", tokenizer_model, kind), special_tokens, legacy=True)
    if kind in ("char", "word"):
        made = CharTokenizer if kind == "char" else WordTokenizer
        return made(_needed("vocab_file", vocab_file, kind), special_tokens)
    in_folder = Path(os.path.expanduser(kind), "vocab.txt")
    if vocab_file is None and in_folder.is_file():
        vocab_file = in_folder
    if vocab_file is not None and merges_file is None and Path(vocab_file).suffix != ".json":
        return WordPieceTokenizer(vocab_file, special_tokens=special_tokens)
    from seaspeak.text.huggingface import HuggingFaceTokenizer

    return HuggingFaceTokenizer(kind, vocab_file, merges_file, special_tokens, use_fast=bool(use_fast))


def _needed(key: str, path: str | Path | None, kind: str) -> str | Path:
    if path is None:
        raise ConfigError(f"a tokenizer of kind {kind!r} needs {key}", fix=f"set tokenizer.{key}")
    return path
