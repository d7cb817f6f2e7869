"""Files of examples: manifests, data sets, sampling, collation, and a check of all that before training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seaspeak._lazy import attach

if TYPE_CHECKING:
    from seaspeak.data.check import check_manifest as check_manifest
    from seaspeak.data.manifest import Entry as Entry
    from seaspeak.data.manifest import Manifest as Manifest
    from seaspeak.data.sampler import DurationBatchSampler as DurationBatchSampler
    from seaspeak.data.speech import AudioToCharDataset as AudioToCharDataset
    from seaspeak.data.speech import build_loader as build_loader
    from seaspeak.data.tarred import TarredAudioToCharDataset as TarredAudioToCharDataset

__getattr__, __dir__, __all__ = attach(
    __name__,
    modules=["check", "manifest", "sampler", "speech", "tarred"],
    names={
        "seaspeak.data.check": ["check_manifest"],
        "seaspeak.data.manifest": ["Entry", "Manifest"],
        "seaspeak.data.sampler": ["DurationBatchSampler"],
        "seaspeak.data.speech": ["AudioToCharDataset", "build_loader"],
        "seaspeak.data.tarred": ["TarredAudioToCharDataset"],
    },
)
