"""Reads one of NeMo's numeric fixtures: arrays, metadata, tolerance, archive."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np


class Fixture:
    """One folder of ``fixtures/`` (``io.npz``, ``meta.json``, maybe ``model.nemo``)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meta: dict[str, Any] = json.loads((folder / "meta.json").read_text())
        self.config: dict[str, Any] = self.meta.get("config", {})

    @cached_property
    def io(self) -> dict[str, np.ndarray]:
        with np.load(self.folder / "io.npz") as arrays:
            return {name: arrays[name] for name in arrays.files}

    @property
    def archive(self) -> Path:
        return self.folder / "model.nemo"

    def group(self, prefix: str) -> dict[str, np.ndarray]:
        """The arrays called ``<prefix>/<key>``, by key."""
        return {name[len(prefix) + 1 :]: array for name, array in self.io.items() if name.startswith(f"{prefix}/")}

    def assert_close(self, name: str, actual: Any) -> None:
        """Compare with array ``name``: integers equal, floats within the tolerance that the fixture states."""
        expected = self.io[name]
        actual = actual.detach().cpu().numpy() if hasattr(actual, "detach") else np.asarray(actual)
        assert actual.shape == expected.shape, f"{name}: shape {actual.shape}, NeMo's {expected.shape}"
        if expected.dtype.kind in "iub":
            np.testing.assert_array_equal(actual, expected, err_msg=name)
            return
        tolerance = self.meta["tolerance"]
        atol = tolerance["atol_per_array"].get(name, tolerance["atol"])
        np.testing.assert_allclose(actual, expected, rtol=tolerance["rtol"], atol=atol, err_msg=name)
