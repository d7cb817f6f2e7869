"""How a model comes to its tokenizer: from its configuration, with the files of its archive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from seaspeak.collections.tts.models.base import SpokenWord
from seaspeak.core.errors import ConfigError
from seaspeak.core.model import Model
from seaspeak.text.normalize import Spoken
from seaspeak.text.parsers import make_parser
from seaspeak.text.speech_tokenizers import EnglishCharsTokenizer, EnglishPhonemesTokenizer
from seaspeak.text.unspeakable import spoken, spoken_words


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

    def read(self, text: str, *, normalize: bool = True) -> list[Spoken]:
        """Return a text word by word: as written, and, in English, as spoken if ``normalize``."""
        if normalize and _is_english(self.vocab):
            return spoken_words(text)
        return [Spoken(word, word) for word in text.split()]

    @property
    def text_normalizer(self) -> Callable[[str], str] | None:
        """What puts the texts of training data into spoken words; None where they are not English."""
        return spoken if _is_english(self.vocab) else None

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

    def encode_words(self, words: Iterable[tuple[str, str]]) -> tuple[list[int], list[SpokenWord]]:
        """Return the numbers of words (as written, as spoken), and which of the numbers each takes."""
        spans, place = [], 0
        pairs = list(words)
        for written, said in pairs:
            if count := len(self._parser.tokenize(self._parser.normalize(said) or "")):
                spans.append(SpokenWord(written, place, place + count))
                place += count + 1
        return self.encode(" ".join(said for _, said in pairs)), spans


def _is_english(tokenizer: Any) -> bool:
    if isinstance(tokenizer, LabelsTokenizer | EnglishCharsTokenizer | EnglishPhonemesTokenizer):
        return True
    return getattr(getattr(tokenizer, "g2p", None), "locale", None) == "en-US"
