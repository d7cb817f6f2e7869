"""Networks of the language collection."""

from __future__ import annotations

from seaspeak._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    modules=("bert", "distilbert", "huggingface"),
    names={
        "seaspeak.collections.nlp.modules.bert": ("BertEncoder",),
        "seaspeak.collections.nlp.modules.distilbert": ("DistilBertEncoder",),
        "seaspeak.collections.nlp.modules.huggingface": (
            "HuggingFaceEncoder",
            "get_lm_model",
            "get_pretrained_lm_models_list",
        ),
    },
)
