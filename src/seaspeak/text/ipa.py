"""Words to the International Phonetic Alphabet, by a dictionary, and the tokenizer of models that embed it.

Source: behaviour of NeMo's ``IpaG2p`` and ``IPATokenizer`` (1.8 to 3.0).
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from seaspeak.core.errors import ConfigError, DataError, FileMissingError
from seaspeak.text.g2p import Spelt, read_words
from seaspeak.text.speech_tokenizers import PhonemesTokenizer, SpeechTokenizer
from seaspeak.text.symbols import PUNCTUATION
from seaspeak.text.words import composed, english_items, latin_items, plain_english

_LETTER = re.compile(r"[A-Za-zÀ-ÖØ-öø-ÿ\d]")
_STRESSES = frozenset("ˈˌ")
_CASES: dict[str, Callable[[str], str]] = {
    "upper": lambda word: word.upper().replace("SS", "ẞ") if "ß" in word else word.upper(),
    "lower": str.lower,
    "mixed": str,
}
_GUILLEMETS = "«»‹›"
_MARKS = {
    "en-US": "",
    "es-ES": f"{_GUILLEMETS}¿¡",
    "de-DE": f"{_GUILLEMETS}„“‚‘‒–—",
    "fr-FR": f"{_GUILLEMETS}–“”…\u0300\u0301\u0302\u0308\u0327",
}

IpaDictionary = dict[str, list[list[str]]]


class IpaG2p:
    """Turns a text into IPA symbols, and into letters where the dictionary leaves it open.

    Args:
        phoneme_dict: a dictionary file (``HELLO  həˈɫoʊ`` a line), its words and symbols, or a list of such.
        locale: the language; en-US has rules for the s of plurals and possessives.
        apply_to_oov_word: gives the symbols of a word that is not in the dictionary; None leaves its letters.
        ignore_ambiguous_words: whether a word with several pronunciations stays letters; else the first is taken.
        heteronyms: words that stay letters, or a file with one a line.
        use_chars: whether letters are symbols, too.
        phoneme_probability: how probably a word becomes phones at all; None always.
        use_stresses: whether the two stress marks are kept.
        grapheme_case: ``upper``, ``lower`` or ``mixed``: how letters are written.
        grapheme_prefix: what is put before a letter, to tell it from a phone.

    Raises:
        ConfigError, FileMissingError, DataError: an argument is not known, a file is missing or without entries.
    """

    def __init__(
        self,
        phoneme_dict: str | Path | Mapping[str, Sequence[Sequence[str]]] | Sequence[str | Path],
        locale: str | None = "en-US",
        apply_to_oov_word: Callable[[str], Sequence[str]] | None = None,
        ignore_ambiguous_words: bool = True,
        heteronyms: str | Path | Iterable[str] | None = None,
        use_chars: bool = False,
        phoneme_probability: float | None = None,
        use_stresses: bool = True,
        grapheme_case: str = "upper",
        grapheme_prefix: str = "",
    ) -> None:
        if grapheme_case not in _CASES:
            raise ConfigError("grapheme_case is not known", got=repr(grapheme_case), expected=", ".join(_CASES))
        self.locale, self.grapheme_case, self.grapheme_prefix = locale, grapheme_case, grapheme_prefix
        self.apply_to_oov_word, self.ignore_ambiguous_words = apply_to_oov_word, ignore_ambiguous_words
        self.use_chars = use_chars or phoneme_probability is not None
        self.phoneme_probability, self.use_stresses = phoneme_probability, use_stresses
        self.heteronyms = frozenset(map(self._cased, read_words(heteronyms)))
        self.random = random.Random(0)
        self.phoneme_dict: IpaDictionary = {}
        self.symbols: set[str] = set()
        for word, pronunciations in _read(phoneme_dict).items():
            self._take(word, pronunciations)

    def _take(self, word: str, pronunciations: Iterable[Sequence[str]]) -> None:
        word = self._cased(word)
        if self.use_chars:
            self.symbols.update(self._letters("".join(_LETTER.findall(word))))
        dropped: frozenset[str] = frozenset() if self.use_stresses else _STRESSES
        kept = [[symbol for symbol in phones if symbol not in dropped] for phones in pronunciations]
        self.symbols.update(symbol for phones in kept for symbol in phones)
        self.phoneme_dict[word] = kept
        if self.grapheme_case == "mixed" and not word.isupper():
            self.phoneme_dict[word.upper()] = kept

    def __call__(self, text: str) -> list[str]:
        """Return the symbols of ``text``."""
        return [symbol for spelt in self.pieces(text) for symbol in spelt.symbols]

    def pieces(self, text: str) -> Iterator[Spelt]:
        """Yield the symbols of each word and of what is between words, with where it begins in ``text``."""
        split = english_items if self.locale == "en-US" else latin_items
        for item in split(unicodedata.normalize("NFC", text)):
            if item.symbols is not None:
                yield Spelt([f"{self.grapheme_prefix}{symbol}" for symbol in item.symbols], item.start)
            else:
                yield Spelt(self._symbols(item.text), item.start)

    def replace_symbols(self, symbols: Iterable[str]) -> None:
        """Allow only ``symbols``; words and pronunciations that need others are dropped from the dictionary."""
        self.symbols = set(symbols)
        kept = {
            word: [phones for phones in pronunciations if self.symbols.issuperset(phones)]
            for word, pronunciations in self.phoneme_dict.items()
            if self.symbols.issuperset(self._letters(word))
        }
        self.phoneme_dict = {word: pronunciations for word, pronunciations in kept.items() if pronunciations}

    def _symbols(self, word: str) -> Sequence[str]:
        symbols = self._handled(word)
        if symbols is None and "-" in word:
            parts = [self._handled(part) or self._letters(self._entry(part)) for part in word.split("-")]
            return [symbol for part in parts for symbol in (*part, "-")][:-1]
        return self._letters(self._entry(word)) if symbols is None else symbols

    def _handled(self, word: str) -> Sequence[str] | None:
        """The symbols of a word, None if it is to be tried in parts."""
        word = self._entry(word)
        if not _LETTER.search(word):
            return list(word)
        spared = self.phoneme_probability is not None and self.random.random() > self.phoneme_probability
        if spared or word in self.heteronyms:
            return self._letters(word)
        if (known := self._with_s(word) or self._only(word)) is not None:
            return known
        return None if self.apply_to_oov_word is None else self.apply_to_oov_word(word)

    def _with_s(self, word: str) -> Sequence[str] | None:
        """The symbols of an English word that the dictionary knows without its s."""
        if self.locale != "en-US" or word in self.phoneme_dict or word.upper() in self.phoneme_dict:
            return None
        for ending in ("'s", "s"):
            if len(word) > len(ending) and word.lower().endswith(ending):
                stem = word[: -len(ending)]
                if (phones := self._only(stem)) is not None:
                    last = stem[-1].lower()
                    return [*phones, *("s" if last == "t" else "ɪz" if (last, ending) == ("s", "'s") else "z")]
        return None

    def _only(self, word: str) -> Sequence[str] | None:
        pronunciations = self.phoneme_dict.get(word) or self.phoneme_dict.get(word.upper(), [])
        fits = len(pronunciations) == 1 or (pronunciations and not self.ignore_ambiguous_words)
        return pronunciations[0] if fits else None

    def _entry(self, word: str) -> str:
        """The word as the dictionary has it; with mixed case maybe in capitals."""
        word = self._cased(word)
        mixed = self.grapheme_case == "mixed" and word not in self.phoneme_dict
        return word.upper() if mixed and word.upper() in self.phoneme_dict else word

    def _cased(self, word: str) -> str:
        return _CASES[self.grapheme_case](word)

    def _letters(self, word: str) -> list[str]:
        return [f"{self.grapheme_prefix}{letter}" for letter in word]


def _read(
    source: str | Path | Mapping[str, Sequence[Sequence[str]]] | Sequence[str | Path],
) -> Mapping[str, Sequence[Sequence[str]]]:
    if isinstance(source, Mapping):
        return source
    merged: IpaDictionary = {}
    for path in [source] if isinstance(source, str | Path) else source:
        if not Path(path).is_file():
            raise FileMissingError(f"there is no IPA dictionary at {path}")
        for line in composed(Path(path).read_text(encoding="utf-8")).splitlines():
            if _LETTER.match(line) or line.startswith("'"):
                word, _, symbols = line.partition(" ")
                merged.setdefault(re.sub(r"\(\d+\)", "", word), []).append(list("".join(symbols.split())))
    if not merged:
        raise DataError(f"{source} holds no pronunciation", expected="lines like 'HELLO  həˈɫoʊ'")
    return merged


class IPATokenizer(PhonemesTokenizer):
    """The symbols of a G2P and the marks of a language, sorted, then a blank.

    The order depends on the dictionary, which an archive therefore has to carry. Blanks are kept as they come, also
    those around what is left out, as in NeMo.

    Args:
        g2p: turns a text into symbols; its ``symbols`` are the vocabulary.
        locale: the language, en-US, es-ES, de-DE or fr-FR: which marks there are, how a text is prepared.
        punct: whether there are marks: ``non_default_punct_list``, or the language's.
        locale_specific_punct: whether to have more marks than the fifteen common ones.
        fixed_vocab: the symbols to use instead of the dictionary's.
        space, silence, oov, sep: how these are written.
        apostrophe: whether there is an apostrophe.
        add_blank_at: see `SpeechTokenizer`.
        pad_with_space: whether a blank goes before and after every text.

    Raises:
        ConfigError: the language is another one.
    """

    def __init__(
        self,
        g2p: IpaG2p,
        locale: str | None = "en-US",
        punct: bool = True,
        non_default_punct_list: Sequence[str] | None = None,
        locale_specific_punct: bool = True,
        fixed_vocab: Iterable[str] | None = None,
        *,
        space: str = " ",
        silence: str | None = None,
        apostrophe: bool = False,
        oov: str = SpeechTokenizer.OOV,
        sep: str = "|",
        add_blank_at: bool | str | None = None,
        pad_with_space: bool = False,
    ) -> None:
        prepare = _prepare_english if locale == "en-US" else composed
        if fixed_vocab:
            g2p.replace_symbols({prepare(symbol) for symbol in fixed_vocab})
        marks = list(non_default_punct_list or _marks(locale, more=locale_specific_punct)) if punct else []
        tokens = sorted({*g2p.symbols, *(["'"] if apostrophe else []), *marks})
        tokens += [space] * (space not in g2p.symbols)
        super().__init__(
            g2p,
            [*tokens, *([silence] if silence is not None else [])],
            silence=silence,
            text_preprocessing_func=prepare,
            oov=oov,
            sep=sep,
            add_blank_at=add_blank_at,
            space=space,
            punctuation=[*PUNCTUATION, *marks],
            pad_with_space=pad_with_space,
            single_spaces=False,
        )
        self.punct = punct


def _prepare_english(text: str) -> str:
    return plain_english(text, lower=False)


def _marks(locale: str | None, *, more: bool) -> list[str]:
    if locale is None or not more:
        return sorted(PUNCTUATION)
    if locale not in _MARKS:
        raise ConfigError("the language of the IPA tokenizer is not known", got=locale, expected=", ".join(_MARKS))
    return sorted({*PUNCTUATION, *_MARKS[locale]})
