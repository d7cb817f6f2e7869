"""Graphs of models: speech to text to speech."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seaspeak._lazy import attach

if TYPE_CHECKING:
    from seaspeak.pipelines.voice_swap import Swap, VoiceSwap

__getattr__, __dir__, __all__ = attach(
    __name__,
    modules=("models", "pictures", "report", "stages", "voice_swap"),
    names={"seaspeak.pipelines.voice_swap": ("Swap", "VoiceSwap")},
)
