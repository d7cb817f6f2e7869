"""One network in every kind of archive that NeMo has written: the same text comes out."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from seaspeak.collections.asr.models import ASRModel
from seaspeak.core import Model
from seaspeak.core.archive import Archive
from tests.fixture import Fixture


def old_form(section: Any) -> Any:
    """Write ``_target_`` sections as ``cls`` and ``params``, as the first files of NeMo 1.0 did."""
    if isinstance(section, dict) and "_target_" in section:
        params = {key: old_form(value) for key, value in section.items() if key != "_target_"}
        return {"cls": section["_target_"], "params": params}
    if isinstance(section, dict):
        return {key: old_form(value) for key, value in section.items()}
    return section


def as_float16(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.half() if tensor.ndim == 3 else tensor


def write(path: Path, config: dict, state: dict, *, mode: str, prefix: str) -> None:
    weights = io.BytesIO()
    torch.save(state, weights)
    members = {"model_config.yaml": OmegaConf.to_yaml(config).encode(), "model_weights.ckpt": weights.getvalue()}
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(prefix + name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


@pytest.mark.parametrize(
    ("mode", "prefix", "old", "half", "version"),
    [
        ("w:gz", "./", False, False, "1.23.0"),
        ("w", "", False, False, "2.4.0"),
        ("w:gz", "./", True, False, "1.0.0b1"),
        ("w:gz", "./", False, True, None),
        ("w", "./", False, True, "3.0.0"),
    ],
)
def test_every_kind_of_archive_gives_the_same_text(
    shared: Path, tmp_path: Path, mode: str, prefix: str, old: bool, half: bool, version: str | None
) -> None:
    fixture = Fixture(shared / "fixtures" / "asr" / "quartznet5x5_tiny")
    samples = fixture.io["input_signal"][0]
    recipe = "current" if version == "3.0.0" else "1.0"
    expected = ASRModel.restore_from(fixture.archive, recipe=recipe).transcribe(samples)
    with Archive.open(fixture.archive) as archive:
        config, state = OmegaConf.to_container(archive.config), archive.state_dict()
    config.pop("nemo_version", None)
    config |= {} if version is None else {"nemo_version": version}
    if half:
        state = {key: as_float16(value) for key, value in state.items()}
    write(tmp_path / "a.nemo", old_form(config) if old else config, state, mode=mode, prefix=prefix)
    model = Model.restore_from(tmp_path / "a.nemo")
    assert model.recipe == recipe
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    found = model.transcribe(samples)
    if half:  # half precision may turn a letter; the scores stay close
        log_probs = model.transcribe(samples, logprobs=True)[0]
        reference = ASRModel.restore_from(fixture.archive, recipe=recipe).transcribe(samples, logprobs=True)[0]
        np.testing.assert_allclose(log_probs, reference, atol=0.05)
    else:
        assert found == expected
