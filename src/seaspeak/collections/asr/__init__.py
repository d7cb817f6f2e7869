"""Speech recognition: networks, losses, metrics, models, and what turns recordings into transcripts."""

from __future__ import annotations

from seaspeak._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    modules=("data", "losses", "metrics", "models", "modules"),
    names={
        "seaspeak.audio.mel": ("AudioToMelSpectrogramPreprocessor",),
        "seaspeak.audio.mfcc": ("AudioToMFCCPreprocessor",),
        "seaspeak.audio.spec_augment": ("SpectrogramAugmentation",),
        "seaspeak.collections.asr.losses.ctc": ("CTCLossNM",),
        "seaspeak.collections.asr.modules.conv_asr": ("JasperDecoderForCTC", "JasperEncoder"),
        "seaspeak.collections.asr.transcription": ("transcribe",),
    },
)
