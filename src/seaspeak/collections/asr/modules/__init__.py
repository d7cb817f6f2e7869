"""Networks of speech recognition, and the front ends before them."""

from __future__ import annotations

from seaspeak._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    modules=("conv_asr", "jasper", "jasper_layers", "whisper"),
    names={
        "seaspeak.audio.mel": ("AudioToMelSpectrogramPreprocessor",),
        "seaspeak.audio.mfcc": ("AudioToMFCCPreprocessor",),
        "seaspeak.audio.spec_augment": ("SpecAugment", "SpecCutout", "SpectrogramAugmentation"),
        "seaspeak.collections.asr.modules.conv_asr": (
            "ConvASRDecoder",
            "ConvASREncoder",
            "JasperDecoderForCTC",
            "JasperEncoder",
        ),
        "seaspeak.audio.whisper_mel": ("WhisperMelPreprocessor",),
        "seaspeak.collections.asr.modules.whisper": ("WhisperDecoder", "WhisperEncoder"),
    },
)
