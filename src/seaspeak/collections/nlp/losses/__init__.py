"""Losses of the language collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seaspeak._lazy import attach

if TYPE_CHECKING:
    from seaspeak.collections.nlp.losses.cross_entropy import AggregatorLoss, CrossEntropyLoss
    from seaspeak.collections.nlp.losses.smoothed_cross_entropy import SmoothedCrossEntropyLoss

__getattr__, __dir__, __all__ = attach(
    __name__,
    modules=("cross_entropy", "smoothed_cross_entropy"),
    names={
        "seaspeak.collections.nlp.losses.cross_entropy": (
            "AggregatorLoss",
            "CrossEntropyLoss",
        ),
        "seaspeak.collections.nlp.losses.smoothed_cross_entropy": ("SmoothedCrossEntropyLoss",),
    },
)
