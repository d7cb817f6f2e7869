"""From English text to the numbers of a synthesis model's embedding rows, and back.

Source: behaviour of NeMo's ``tts_tokenizers`` (1.5 to 3.0), whose names and symbol orders these are.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from string import ascii_lowercase
from typing import Any, NamedTuple, Protocol

from seaspeak.text.g2p import EnglishG2p, Spelt
from seaspeak.text.symbols import CONSONANTS, PUNCTUATION, STRESSED_VOWELS, VOWELS
from seaspeak.text.words import plain_english

logger = logging.getLogger(__name__)


class WordSpan(NamedTuple):
    """A word as it was written, and its tokens: from ``start`` up to ``end``, which is not included."""

    text: str
    start: int
    end: int


class SpeechTokenizer:
    """A list of symbols, and how a text is written in them.

    After the given symbols come ``pad``, with ``add_blank_at`` also ``blank``, and ``oov``: in this order, or with
    the blank last if it is ``"last"``.

    Attributes:
        tokens: the symbols; a symbol's number is its place.
        pad, oov, blank, space: numbers; ``blank`` is None without one.
    """

    PAD, BLANK, OOV = "<pad>", "<blank>", "<oov>"

    def __init__(
        self,
        tokens: Iterable[str],
        *,
        pad: str = PAD,
        blank: str = BLANK,
        oov: str = OOV,
        sep: str = "",
        add_blank_at: bool | str | None = None,
        space: str = " ",
        punctuation: Iterable[str] = PUNCTUATION,
        pad_with_space: bool = False,
        single_spaces: bool = True,
    ) -> None:
        helpers = (
            [pad, oov] if add_blank_at is None else [pad, oov, blank] if add_blank_at == "last" else [pad, blank, oov]
        )
        self.tokens = [*tokens, *helpers]
        self.sep, self.pad_with_space = sep, pad_with_space
        self._single_spaces = single_spaces
        self._number = {token: number for number, token in enumerate(self.tokens)}
        self._space, self._marks = space, frozenset(punctuation)
        self.space = self._number[space]
        self.pad, self.oov = self._number[pad], self._number[oov]
        self.blank = None if add_blank_at is None else self._number[blank]
        self._helpers = {self._number[helper] for helper in helpers}
        self._reported: set[str] = set()

    def __call__(self, text: str) -> list[int]:
        """See `encode`."""
        return self.encode(text)

    def encode(self, text: str) -> list[int]:
        """Return the numbers of ``text``; what has no symbol is left out, and logged once."""
        return self._numbers(self._pieces(self._prepared(text)))[0]

    def encode_words(self, text: str | Iterable[tuple[str, str]]) -> tuple[list[int], list[WordSpan]]:
        """Return the numbers of a text, and which of them each word takes.

        ``text`` may also be the pairs (as written, as spoken) that ``EnglishNormalizer.words`` gives.

        A word is what stands between blanks, with its punctuation, as it was written; its span goes from its first
        to its last phone or letter. What has neither gets no span.

        >>> EnglishCharsTokenizer().encode_words("Hi, you!")
        ([8, 9, 28, 0, 25, 15, 21, 30], [WordSpan(text='Hi,', start=0, end=2), WordSpan(text='you!', start=4, end=7)])
        """
        pairs = [(word, word) for word in text.split()] if isinstance(text, str) else list(text)
        prepared = [self._prepared(spoken) for _, spoken in pairs]
        begins = [0, *accumulate(len(word) + 1 for word in prepared)]
        numbers, origins = self._numbers(self._pieces(" ".join(prepared)))
        ends: dict[int, tuple[int, int]] = {}
        for place, origin in enumerate(origins):
            if origin is not None:
                word = bisect_right(begins, origin) - 1
                ends[word] = (ends[word][0] if word in ends else place, place + 1)
        return numbers, [WordSpan(pairs[word][0], *ends[word]) for word in sorted(ends)]

    def decode(self, tokens: Iterable[int]) -> str:
        """Return the symbols of ``tokens`` in a row, without padding and the like."""
        return self.sep.join(self.tokens[token] for token in tokens if token not in self._helpers)

    def encode_from_g2p(self, g2p_text: Sequence[str], raw_text: str | None = None) -> list[int]:
        """Return the numbers of symbols that a G2P gave; ``raw_text`` is not used, it is for NeMo's callers."""
        return self._numbers([Spelt(g2p_text, 0)])[0]

    def _prepared(self, text: str) -> str:
        raise NotImplementedError

    def _pieces(self, text: str) -> Iterable[Spelt]:
        raise NotImplementedError

    def _symbol(self, symbol: str) -> str:
        """The token that stands for a symbol, which need not exist."""
        return symbol

    def _numbers(self, pieces: Iterable[Spelt]) -> tuple[list[int], list[int | None]]:
        """The numbers of the symbols, and where in the text each begins that is no blank and no mark."""
        numbers: list[int] = []
        origins: list[int | None] = []
        for symbols, start in pieces:
            for symbol in symbols:
                if symbol == self._space:
                    if self._single_spaces and (not numbers or numbers[-1] == self.space):
                        continue
                    number: int | None = self.space
                else:
                    number = self._number.get(self._symbol(symbol))
                if number is None or number in self._helpers:
                    self._report(symbol)
                    continue
                numbers.append(number)
                origins.append(None if symbol == self._space or symbol in self._marks else start)
        while numbers and numbers[-1] == self.space:
            del numbers[-1], origins[-1]
        if self.pad_with_space:
            numbers, origins = [self.space, *numbers, self.space], [None, *origins, None]
        return numbers, origins

    def _report(self, symbol: str) -> None:
        if symbol not in self._reported:
            self._reported.add(symbol)
            logger.warning("the model has no symbol for %r, it is left out", symbol)


class BaseCharsTokenizer(SpeechTokenizer):
    """A blank, the letters ``chars``, the apostrophe, and marks.

    Args:
        chars: the letters, in order.
        punct: whether there are marks: ``non_default_punct_list``, or fifteen common ones.
        apostrophe: whether there is an apostrophe.
        add_blank_at: see `SpeechTokenizer`.
        pad_with_space: whether a blank goes before and after every text.
        text_preprocessing_func: what is done to a text first.
    """

    def __init__(
        self,
        chars: Iterable[str],
        punct: bool = True,
        apostrophe: bool = True,
        add_blank_at: bool | str | None = None,
        pad_with_space: bool = False,
        non_default_punct_list: Sequence[str] | None = None,
        text_preprocessing_func: Callable[[str], str] = str,
    ) -> None:
        marks = list(non_default_punct_list or PUNCTUATION) if punct else []
        super().__init__(
            [" ", *chars, *(["'"] if apostrophe else []), *marks],
            add_blank_at=add_blank_at,
            punctuation=marks,
            pad_with_space=pad_with_space,
        )
        self.punct = punct
        self.text_preprocessing_func = text_preprocessing_func

    def _prepared(self, text: str) -> str:
        return self.text_preprocessing_func(text)

    def _pieces(self, text: str) -> Iterable[Spelt]:
        return (Spelt(character, start) for start, character in enumerate(text))


class EnglishCharsTokenizer(BaseCharsTokenizer):
    """A blank, a to z, the apostrophe, fifteen marks; see `BaseCharsTokenizer` for the arguments.

    >>> EnglishCharsTokenizer().encode("Café!")
    [3, 1, 6, 5, 30]
    """

    def __init__(
        self,
        punct: bool = True,
        apostrophe: bool = True,
        add_blank_at: bool | str | None = None,
        pad_with_space: bool = False,
        non_default_punct_list: Sequence[str] | None = None,
        text_preprocessing_func: Callable[[str], str] = plain_english,
    ) -> None:
        super().__init__(
            ascii_lowercase,
            punct,
            apostrophe,
            add_blank_at,
            pad_with_space,
            non_default_punct_list,
            text_preprocessing_func,
        )


class G2p(Protocol):
    """What turns a text into symbols, piece by piece."""

    phoneme_probability: float | None

    def pieces(self, text: str) -> Iterable[Spelt]:
        """Yield the symbols of each piece of ``text``, and where it begins."""


class PhonemesTokenizer(SpeechTokenizer):
    """A tokenizer whose symbols a G2P gives; ``options`` are those of `SpeechTokenizer`."""

    def __init__(
        self,
        g2p: G2p,
        tokens: Iterable[str],
        *,
        silence: str | None,
        text_preprocessing_func: Callable[[str], str],
        **options: Any,
    ) -> None:
        super().__init__(tokens, **options)
        self.g2p = g2p
        self.phoneme_probability = g2p.phoneme_probability
        self.silence = None if silence is None else self._number[silence]
        self.text_preprocessing_func = text_preprocessing_func

    def _prepared(self, text: str) -> str:
        return self.text_preprocessing_func(text)

    def _pieces(self, text: str) -> Iterable[Spelt]:
        return self.g2p.pieces(text)

    @contextmanager
    def set_phone_prob(self, prob: float | None) -> Iterator[None]:
        """Let words become phones with probability ``prob`` within the block."""
        before = self.g2p.phoneme_probability
        self.g2p.phoneme_probability = prob
        try:
            yield
        finally:
            self.g2p.phoneme_probability = before


class EnglishPhonemesTokenizer(PhonemesTokenizer):
    """A blank, ARPAbet phones, maybe a to z, the apostrophe, and marks.

    Args:
        g2p: turns a text into symbols, as `EnglishG2p` does.
        punct: whether there are marks: ``non_default_punct_list``, or fifteen common ones.
        stresses: whether vowels carry their stress digit.
        chars: whether there are letters too, for words that the G2P leaves as they are.
        space, silence, oov, sep: how these are written.
        apostrophe: whether there is an apostrophe.
        add_blank_at: see `SpeechTokenizer`.
        pad_with_space: whether a blank goes before and after every text.
        text_preprocessing_func: what is done to a text first.

    >>> tokenizer = EnglishPhonemesTokenizer(EnglishG2p({"hi": [("HH", "AY1")]}), stresses=True, chars=True)
    >>> len(tokenizer.tokens), tokenizer.encode("Hi!")
    (114, [7, 41, 99])
    """

    def __init__(
        self,
        g2p: EnglishG2p,
        punct: bool = True,
        non_default_punct_list: Sequence[str] | None = None,
        stresses: bool = False,
        chars: bool = False,
        *,
        space: str = " ",
        silence: str | None = None,
        apostrophe: bool = True,
        oov: str = SpeechTokenizer.OOV,
        sep: str = "|",
        add_blank_at: bool | str | None = None,
        pad_with_space: bool = False,
        text_preprocessing_func: Callable[[str], str] = plain_english,
    ) -> None:
        self.chars = chars or g2p.phoneme_probability is not None
        marks = list(non_default_punct_list or PUNCTUATION) if punct else []
        symbols = [
            space,
            *([silence] if silence is not None else []),
            *CONSONANTS,
            *(STRESSED_VOWELS if stresses else VOWELS),
            *(ascii_lowercase if self.chars else []),
            *(["'"] if apostrophe else []),
            *marks,
        ]
        super().__init__(
            g2p,
            symbols,
            silence=silence,
            text_preprocessing_func=text_preprocessing_func,
            oov=oov,
            sep=sep,
            add_blank_at=add_blank_at,
            space=space,
            punctuation=marks,
            pad_with_space=pad_with_space,
        )
        self.punct, self.stresses = punct, stresses

    def _symbol(self, symbol: str) -> str:
        return symbol[:2] if not self.stresses and len(symbol) == 3 and symbol.isalnum() else symbol
