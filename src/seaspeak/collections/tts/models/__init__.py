"""Models of speech synthesis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seaspeak._lazy import attach

if TYPE_CHECKING:
    from seaspeak.collections.tts.models.base import SpectrogramGenerator, Vocoder

__getattr__, __dir__, __all__ = attach(
    __name__,
    modules=("base",),
    names={
        "seaspeak.collections.tts.models.base": ("SpectrogramGenerator", "Vocoder"),
    },
)
