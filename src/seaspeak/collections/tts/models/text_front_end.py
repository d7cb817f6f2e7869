"""How a model comes to its tokenizer: from its configuration, with the files of its archive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seaspeak.collections.tts.models.base import SpokenWord
from seaspeak.core.errors import ConfigError
from seaspeak.core.model import Model
from seaspeak.text.cleaners import expand_abbreviations, latin, speak_numbers
from seaspeak.text.parsers import make_parser


class ReadsText(Model):
    """A model with a section ``text_tokenizer``, or, as in NeMo 1.0, a list of ``labels``.

    ``pronounce_all`` (ours) lets words that its dictionary lacks be pronounced by rule, where NeMo leaves letters.
    """

    @property
    def vocab(self) -> Any:
        """The tokenizer, with the dictionary and the heteronyms of the archive.

        Raises:
            ConfigError: the configuration has none.
        """
        if "_vocab" not in self.__dict__:
            self.__dict__["_vocab"] = self._build_tokenizer()
        return self.__dict__["_vocab"]

    def _build_tokenizer(self) -> Any:
        section = self.cfg.get("text_tokenizer")
        if section is None:
            return LabelsTokenizer(self._labels())
        if section.get("g2p") is None:
            return self.build(section)
        files = {
            key: self.register_artifact(f"text_tokenizer.g2p.{key}", section.g2p[key])
            for key in ("phoneme_dict", "heteronyms")
            if section.g2p.get(key)
        }
        all_words = {"pronounce_all": True} if self.cfg.get("pronounce_all") else {}
        return self.build(section, g2p=self.build(section.g2p, **files, **all_words))

    def _labels(self) -> list[str]:
        if self.cfg.get("labels") is None:
            raise ConfigError(
                "the model cannot read text: its configuration has no text_tokenizer and no labels",
                fix="use its generate_spectrogram with tokens, or another archive",
            )
        return [str(label) for label in self.cfg.labels]


class LabelsTokenizer:
    """NeMo 1.0's front end: the characters of ``labels``, of which number 0 pads."""

    pad = 0

    def __init__(self, labels: Sequence[str]) -> None:
        self.tokens = list(labels)
        self._parser = make_parser(
            labels, "en", unk_id=-1, blank_id=-1, abbreviation_version="fastpitch", make_table=False
        )

    def __call__(self, text: str) -> list[int]:
        """Return the numbers of a text."""
        return self.encode(text)

    def encode(self, text: str) -> list[int]:
        """Return the numbers of a text, which ends with a mark."""
        ended = text if text.rstrip().endswith((".", "!", "?")) else f"{text.rstrip()}."
        return list(self._parser(ended) or [])

    def encode_words(self, text: str) -> tuple[list[int], list[SpokenWord]]:
        """Return the numbers of a text, and which of them each of its words takes."""
        spans, place = [], 0
        for word in (self._parser.normalize(text) or "").split():
            count = len(self._parser.tokenize(word))
            if count:
                spans.append(SpokenWord(word, place, place + count))
            place += count + 1
        return self.encode(text), spans


def spoken_out(text: str) -> str:
    """Return a text with numbers and abbreviations as words."""
    return speak_numbers(expand_abbreviations(latin(text)))
