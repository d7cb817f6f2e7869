"""Losses of speech synthesis."""

from __future__ import annotations

from seaspeak._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    modules=(),
    names={
        "seaspeak.collections.tts.losses.fastpitch": (
            "DurationLoss",
            "EnergyLoss",
            "FastPitchLoss",
            "MelLoss",
            "PitchLoss",
        ),
        "seaspeak.collections.tts.losses.aligner": ("BinLoss", "ForwardSumLoss"),
        "seaspeak.collections.tts.losses.hifigan": ("DiscriminatorLoss", "FeatureMatchingLoss", "GeneratorLoss"),
    },
)
