"""Metrics of the language collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seaspeak._lazy import attach

if TYPE_CHECKING:
    from seaspeak.collections.nlp.metrics.classification_report import ClassificationReport

__getattr__, __dir__, __all__ = attach(
    __name__,
    modules=("classification_report",),
    names={
        "seaspeak.collections.nlp.metrics.classification_report": ("ClassificationReport",),
    },
)
