"""Graphs of models: speech to text to speech."""

from __future__ import annotations

from seaspeak._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    modules=("models", "pictures"),
    names={},
)
