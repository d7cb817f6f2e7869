"""Models of the language collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seaspeak._lazy import attach

if TYPE_CHECKING:
    from seaspeak.collections.nlp.models.bert_lm import BERTLMModel
    from seaspeak.collections.nlp.models.nlp_model import NLPModel
    from seaspeak.collections.nlp.models.punctuation_capitalization import PunctuationCapitalizationModel

__getattr__, __dir__, __all__ = attach(
    __name__,
    modules=(
        "bert_lm",
        "nlp_model",
        "punctuation_capitalization",
    ),
    names={
        "seaspeak.collections.nlp.models.bert_lm": ("BERTLMModel",),
        "seaspeak.collections.nlp.models.nlp_model": ("NLPModel",),
        "seaspeak.collections.nlp.models.punctuation_capitalization": ("PunctuationCapitalizationModel",),
    },
)
