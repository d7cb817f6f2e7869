"""The configurations that ship; light enough for a command line's help."""

from __future__ import annotations

from importlib.resources import files

CONFIGS = tuple(f"seaspeak.collections.{name}.configs" for name in ("asr", "nlp", "tts"))
"""Packages whose YAML files are found by name."""


def packaged_configs() -> list[str]:
    """Return the names of the configurations that ship."""
    found = (path.name for package in CONFIGS for path in files(package).iterdir())
    return sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml"))
