"""Sound: files, resampling, features and augmentation. Reading and resampling load no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seaspeak._lazy import attach

if TYPE_CHECKING:
    from seaspeak.audio.io import AudioInfo as AudioInfo
    from seaspeak.audio.io import Recording as Recording
    from seaspeak.audio.io import blocks as blocks
    from seaspeak.audio.io import info as info
    from seaspeak.audio.io import read as read
    from seaspeak.audio.mel import AudioToMelSpectrogramPreprocessor as AudioToMelSpectrogramPreprocessor
    from seaspeak.audio.mfcc import AudioToMFCCPreprocessor as AudioToMFCCPreprocessor
    from seaspeak.audio.spec_augment import CropOrPadSpectrogramAugmentation as CropOrPadSpectrogramAugmentation
    from seaspeak.audio.spec_augment import SpectrogramAugmentation as SpectrogramAugmentation

__getattr__, __dir__, __all__ = attach(
    __name__,
    modules=["features", "filterbank", "io", "mel", "mfcc", "resample", "spec_augment", "trim", "windows"],
    names={
        "seaspeak.audio.io": ["AudioInfo", "Recording", "blocks", "info", "read"],
        "seaspeak.audio.mel": ["AudioToMelSpectrogramPreprocessor"],
        "seaspeak.audio.mfcc": ["AudioToMFCCPreprocessor"],
        "seaspeak.audio.spec_augment": ["CropOrPadSpectrogramAugmentation", "SpectrogramAugmentation"],
    },
)
