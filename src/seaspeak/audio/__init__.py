"""Sound: files, resampling, features and augmentation. Reading and resampling load no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seaspeak._lazy import attach

if TYPE_CHECKING:
    from seaspeak.audio import features, filterbank, io, mel, mfcc, resample, spec_augment
    from seaspeak.audio.io import AudioInfo, Recording, blocks, info, read
    from seaspeak.audio.mel import AudioToMelSpectrogramPreprocessor
    from seaspeak.audio.mfcc import AudioToMFCCPreprocessor
    from seaspeak.audio.spec_augment import CropOrPadSpectrogramAugmentation, SpectrogramAugmentation

__getattr__, __dir__, __all__ = attach(
    __name__,
    modules=["features", "filterbank", "io", "mel", "mfcc", "resample", "spec_augment", "windows"],
    names={
        "seaspeak.audio.io": ["AudioInfo", "Recording", "blocks", "info", "read"],
        "seaspeak.audio.mel": ["AudioToMelSpectrogramPreprocessor"],
        "seaspeak.audio.mfcc": ["AudioToMFCCPreprocessor"],
        "seaspeak.audio.spec_augment": ["CropOrPadSpectrogramAugmentation", "SpectrogramAugmentation"],
    },
)
