"""From a transcript to the labels of a character model."""

from __future__ import annotations

import logging
import string
from collections.abc import Sequence

from seaspeak.core.errors import ConfigError, MissingExtra, nearest
from seaspeak.text.cleaners import clean_text

logger = logging.getLogger(__name__)


class CharParser:
    """Turns a text into label numbers, character by character.

    A whole word that is a label of several characters becomes that label. What is not a label becomes ``unk_id``, and
    ``blank_id`` is taken out: with the defaults, both -1, what cannot be spelt vanishes.

    Args:
        labels: the characters, and maybe words, that the model writes; the number of each is its place.
        unk_id: the number of what is not a label.
        blank_id: the number to take out.
        do_normalize: whether to strip the text and put it in lower case first.
        do_lowercase: whether that includes lower case.

    Source: behaviour of NeMo 1.0.0, ``CharParser``.

    >>> parser = CharParser([" ", "a", "b", "c"])
    >>> parser("Cab a!")
    [3, 1, 2, 0, 1]
    """

    def __init__(
        self,
        labels: Sequence[str],
        *,
        unk_id: int = -1,
        blank_id: int = -1,
        do_normalize: bool = True,
        do_lowercase: bool = True,
    ) -> None:
        self.labels = list(labels)
        self.unk_id, self.blank_id = unk_id, blank_id
        self.do_normalize, self.do_lowercase = do_normalize, do_lowercase
        self._number = {label: number for number, label in enumerate(self.labels)}
        self._words = {label for label in self.labels if len(label) > 1}

    def __call__(self, text: str) -> list[int] | None:
        """Return the label numbers of ``text``, None if it cannot be normalised."""
        normal = self.normalize(text) if self.do_normalize else text
        return None if normal is None else self.tokenize(normal)

    def normalize(self, text: str) -> str | None:
        """Return ``text`` as the labels spell it, None if that fails."""
        text = text.strip()
        return text.lower() if self.do_lowercase else text

    def tokenize(self, text: str) -> list[int]:
        """Return the label numbers of a normalised text."""
        numbers: list[int] = []
        for place, word in enumerate(text.split(" ")):
            if place:
                numbers.append(self._number.get(" ", self.unk_id))
            pieces = [word] if word in self._words else word
            numbers.extend(self._number.get(piece, self.unk_id) for piece in pieces)
        return [number for number in numbers if number != self.blank_id]

    def unspellable(self, text: str) -> list[str]:
        """Return the characters of a normalised text that are not labels, in order, repeated as they occur."""
        words = (word for word in text.split(" ") if word not in self._words)
        missing = [character for word in words for character in word if character not in self._number]
        return missing + [" "] * text.count(" ") if " " not in self._number else missing


class ENCharParser(CharParser):
    """A `CharParser` whose normalisation puts English into plain lower-case words (`text.cleaners`).

    Args:
        labels, unk_id, blank_id, do_normalize, do_lowercase: as for `CharParser`; lower case cannot be turned off.
        abbreviation_version: which abbreviations to expand: None, ``"fastpitch"`` or ``"expanded"``.
        make_table: whether punctuation that is not a label becomes blanks.
    """

    def __init__(
        self,
        labels: Sequence[str],
        *,
        unk_id: int = -1,
        blank_id: int = -1,
        do_normalize: bool = True,
        do_lowercase: bool = True,
        abbreviation_version: str | None = None,
        make_table: bool = True,
    ) -> None:
        super().__init__(labels, unk_id=unk_id, blank_id=blank_id, do_normalize=do_normalize, do_lowercase=do_lowercase)
        self.abbreviation_version, self.make_table = abbreviation_version, make_table

    def normalize(self, text: str) -> str | None:
        """Return ``text`` in plain words; None, with a warning, if its numbers cannot be spoken."""
        try:
            return clean_text(
                text,
                labels=self.labels,
                abbreviations=self.abbreviation_version,
                replace_punctuation=self.make_table,
            )
        except (MissingExtra, ConfigError):
            raise
        except Exception as error:  # inflect has no common base for its errors
            logger.warning("a transcript cannot be normalised (%s): %r", error, text)
            return None


PARSERS: dict[str, type[CharParser]] = {"base": CharParser, "en": ENCharParser}


def make_parser(labels: Sequence[str] | None = None, name: str = "base", **options: object) -> CharParser:
    """Return the parser called ``name``, ``"base"`` or ``"en"``, for ``labels`` (all printable ASCII by default).

    Raises:
        ConfigError: there is no such parser.

    >>> make_parser([" ", *"abcdefghijklmnopqrstuvwxyz'"], "en")("Mr. B")
    [13, 9, 19, 20, 5, 18, 0, 2]
    """
    if name not in PARSERS:
        raise ConfigError(
            "there is no parser of this name",
            got=repr(name),
            expected=", ".join(map(repr, PARSERS)),
            fix=nearest(name, PARSERS),
        )
    # each takes its own options
    return PARSERS[name](list(string.printable) if labels is None else labels, **options)  # type: ignore[arg-type]
