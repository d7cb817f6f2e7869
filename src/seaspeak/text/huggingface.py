"""Tokenizers of Hugging Face's transformers with NeMo's verbs, for encoders whose vocabulary is not WordPiece."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seaspeak.core.errors import FileMissingError, require
from seaspeak.text.tokenizers import ROLES, Tokenizer, _with_roles


class HuggingFaceTokenizer(Tokenizer):
    """What NeMo calls ``AutoTokenizer``.

    Args:
        pretrained_model_name: a name of Hugging Face's hub whose files are in its cache, or a folder.
        vocab_file: a vocabulary to use instead of the one that the name stands for.
        merges_file: its merges.
        special_tokens: tokens by role.
        use_fast: whether the package's fast implementation is preferred.

    Raises:
        MissingExtra: transformers is not installed.
        FileMissingError: the files are not on this machine, and the network is off or does not have them.
    """

    def __init__(
        self,
        pretrained_model_name: str,
        vocab_file: str | Path | None = None,
        merges_file: str | Path | None = None,
        special_tokens: Mapping[str, str] | None = None,
        *,
        use_fast: bool = False,
    ) -> None:
        transformers = require("transformers", extra="nlp", why=f"the tokenizer of {pretrained_model_name}")
        given = {"vocab_file": vocab_file, "merges_file": merges_file}
        files = {key: str(path) for key, path in given.items() if path is not None}
        try:
            self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
                pretrained_model_name, use_fast=use_fast, **files
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FileMissingError(
                f"the tokenizer of {pretrained_model_name!r} cannot be loaded",
                got=str(error).strip().splitlines()[0],
                expected="a folder with tokenizer.json, or tokenizer_config.json and the vocabulary",
                fix="pass the path of such a folder, or set tokenizer.vocab_file",
            ) from error
        found = {role: getattr(self.tokenizer, f"{role}_token", None) for role in ROLES}
        self.special = {role: str(token) for role, token in found.items() if token is not None}
        self.add_special_tokens(special_tokens or {})

    @property
    def vocab_size(self) -> int:
        """How many tokens there are, added ones included."""
        return len(self.tokenizer)

    @property
    def name(self) -> str:
        """The class of the tokenizer inside."""
        return type(self.tokenizer).__name__

    def text_to_tokens(self, text: str) -> list[str]:
        """Return the tokens of ``text``."""
        return list(self.tokenizer.tokenize(text))

    def tokens_to_text(self, tokens: Sequence[str]) -> str:
        """Return what ``tokens`` spell."""
        return str(self.tokenizer.convert_tokens_to_string(list(tokens)))

    def token_to_id(self, token: str) -> int:
        """Return the id of one token."""
        return int(self.tokenizer.convert_tokens_to_ids(token))

    def ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        """Return the token of each id."""
        return list(self.tokenizer.convert_ids_to_tokens([int(place) for place in ids]))

    def add_special_tokens(self, special_tokens: Sequence[str] | Mapping[str, str]) -> int:
        """Add tokens that are not known yet after the last id, and give them their roles."""
        pairs = _with_roles(special_tokens)
        self.special |= {role: token for role, token in pairs if role is not None}
        return int(self.tokenizer.add_tokens([token for _, token in pairs], special_tokens=True)) if pairs else 0
