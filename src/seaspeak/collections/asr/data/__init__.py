"""Data sets of speech and its text."""

from __future__ import annotations

from seaspeak._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, names={"seaspeak.data.speech": ("AudioToCharDataset",)})
