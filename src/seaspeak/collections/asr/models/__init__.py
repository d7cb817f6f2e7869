"""Models of speech recognition: restore, transcribe, train."""

from __future__ import annotations

from seaspeak._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    modules=("asr_model", "ctc_models", "whisper"),
    names={
        "seaspeak.collections.asr.models.asr_model": ("ASRModel",),
        "seaspeak.collections.asr.models.ctc_models": ("EncDecCTCModel",),
        "seaspeak.collections.asr.models.whisper": ("WhisperModel",),
    },
)
