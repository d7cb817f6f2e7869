"""Text: normalisation, labels and tokenizers, CTC decoding, transcripts. Nothing here loads torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seaspeak._lazy import attach

if TYPE_CHECKING:
    from seaspeak.text.parsers import CharParser as CharParser
    from seaspeak.text.parsers import ENCharParser as ENCharParser
    from seaspeak.text.parsers import make_parser as make_parser
    from seaspeak.text.tokenizers import get_tokenizer as get_tokenizer
    from seaspeak.text.tokenizers import get_tokenizer_list as get_tokenizer_list

__getattr__, __dir__, __all__ = attach(
    __name__,
    modules=[
        "bytepair",
        "cleaners",
        "confidence",
        "ctc",
        "g2p",
        "graphones",
        "heteronyms",
        "huggingface",
        "ipa",
        "letter_to_sound",
        "normalize",
        "numbers",
        "parsers",
        "pronunciations",
        "sentences",
        "speech_tokenizers",
        "spoken_forms",
        "spoken_rules",
        "symbols",
        "timestamps",
        "tokenizers",
        "transcript",
        "wordpiece",
        "unspeakable",
        "words",
        "writers",
    ],
    names={
        "seaspeak.text.parsers": ["CharParser", "ENCharParser", "make_parser"],
        "seaspeak.text.tokenizers": ["get_tokenizer", "get_tokenizer_list"],
    },
)
