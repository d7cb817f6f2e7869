"""The symbols that the published synthesis families embed; their order is the order of the embedding's rows."""

from __future__ import annotations

CONSONANTS = (
    "B",
    "CH",
    "D",
    "DH",
    "F",
    "G",
    "HH",
    "JH",
    "K",
    "L",
    "M",
    "N",
    "NG",
    "P",
    "R",
    "S",
    "SH",
    "T",
    "TH",
    "V",
    "W",
    "Y",
    "Z",
    "ZH",
)
VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
PUNCTUATION = tuple(',.!?-:;/"()[]{}')
"""The marks of the tokenizers since NeMo 1.5, and of TalkNet's vocabulary before."""

STRESSED_VOWELS = tuple(f"{vowel}{stress}" for vowel in VOWELS for stress in "012")
