"""Models of speech recognition: restore, transcribe, train."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seaspeak._lazy import attach

if TYPE_CHECKING:
    from seaspeak.collections.asr.models.asr_model import ASRModel
    from seaspeak.collections.asr.models.ctc_models import EncDecCTCModel
    from seaspeak.collections.asr.models.whisper import WhisperModel

__getattr__, __dir__, __all__ = attach(
    __name__,
    modules=("asr_model", "ctc_models", "whisper"),
    names={
        "seaspeak.collections.asr.models.asr_model": ("ASRModel",),
        "seaspeak.collections.asr.models.ctc_models": ("EncDecCTCModel",),
        "seaspeak.collections.asr.models.whisper": ("WhisperModel",),
    },
)
