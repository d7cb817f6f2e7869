"""Networks of speech synthesis."""

from __future__ import annotations

from seaspeak._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    modules=(),
    names={
        "seaspeak.collections.tts.modules.aligner": ("AlignmentEncoder",),
        "seaspeak.collections.tts.modules.fastpitch": ("FastPitchModule", "TemporalPredictor"),
        "seaspeak.collections.tts.modules.transformer": ("FFTransformerDecoder", "FFTransformerEncoder"),
        "seaspeak.collections.tts.modules.hifigan": ("Generator",),
        "seaspeak.collections.tts.modules.hifigan_discriminators": (
            "MultiPeriodDiscriminator",
            "MultiScaleDiscriminator",
        ),
    },
)
