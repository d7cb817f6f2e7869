"""Metrics of speech synthesis."""

from __future__ import annotations

from seaspeak._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    modules=("intelligibility",),
    names={"seaspeak.collections.tts.metrics.intelligibility": ("Heard", "Listener")},
)
