"""Seaspeak: typed neural modules and models that hear, read and speak.

Importing the package loads neither torch nor a collection: ``core``, ``collections``, ``tutorials``,
``logging`` and ``SeaspeakError`` are found when first asked for (PEP 562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seaspeak._lazy import attach
from seaspeak._version import __version__

if TYPE_CHECKING:
    from seaspeak import audio, collections, core, data, logging, pipelines, text, training, tutorials
    from seaspeak.core.errors import SeaspeakError

__getattr__, __dir__, __all__ = attach(
    __name__,
    modules=["audio", "collections", "core", "data", "logging", "pipelines", "text", "training", "tutorials"],
    names={"seaspeak.core.errors": ["SeaspeakError"]},
    ready=["__version__"],
)
