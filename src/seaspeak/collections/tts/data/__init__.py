"""Data sets of speech synthesis."""

from __future__ import annotations

from seaspeak._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    modules=(),
    names={
        "seaspeak.collections.tts.data.dataset": ("TTSDataset",),
        "seaspeak.collections.tts.data.vocoder": ("AudioDataset", "MelAudioDataset", "VocoderDataset"),
    },
)
