"""Models of speech synthesis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seaspeak._lazy import attach

if TYPE_CHECKING:
    from seaspeak.collections.tts.models.aligner import AlignerModel
    from seaspeak.collections.tts.models.base import SpectrogramGenerator, Vocoder
    from seaspeak.collections.tts.models.fastpitch import FastPitchModel
    from seaspeak.collections.tts.models.griffin_lim import GriffinLimModel
    from seaspeak.collections.tts.models.hifigan import HifiGanModel
    from seaspeak.collections.tts.models.tacotron2 import Tacotron2Model
    from seaspeak.collections.tts.models.waveglow import WaveGlowModel

__getattr__, __dir__, __all__ = attach(
    __name__,
    modules=(
        "base",
        "tacotron2",
        "waveglow",
    ),
    names={
        "seaspeak.collections.tts.models.aligner": ("AlignerModel",),
        "seaspeak.collections.tts.models.fastpitch": ("FastPitchModel",),
        "seaspeak.collections.tts.models.base": ("SpectrogramGenerator", "Vocoder"),
        "seaspeak.collections.tts.models.griffin_lim": ("GriffinLimModel",),
        "seaspeak.collections.tts.models.hifigan": ("HifiGanModel",),
        "seaspeak.collections.tts.models.tacotron2": ("Tacotron2Model",),
        "seaspeak.collections.tts.models.waveglow": ("WaveGlowModel",),
    },
)
