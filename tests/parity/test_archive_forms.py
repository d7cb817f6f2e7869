"""One model in every form that NeMo's releases gave their archives: restored, it computes what NeMo computed."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from seaspeak.collections.asr.models import EncDecCTCModel
from seaspeak.core import Model
from seaspeak.core.archive import Archive
from tests.fixture import Fixture


@pytest.fixture
def fixture(shared):
    return Fixture(shared / "fixtures" / "asr" / "v1_quartznet5x5")


def rewritten(source: Path, path: Path, *, mode: str, prefix: str, old: bool, half: bool) -> Path:
    """The archive ``source`` in another form."""
    with Archive.open(source) as archive:
        config, state = OmegaConf.to_container(archive.config), archive.state_dict()
    if old:
        for name, section in config.items():
            if isinstance(section, dict) and "_target_" in section:
                config[name] = {"cls": section.pop("_target_"), "params": section}
    if half:
        state = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    weights = io.BytesIO()
    torch.save(state, weights)
    members = {"model_config.yaml": OmegaConf.to_yaml(config).encode(), "model_weights.ckpt": weights.getvalue()}
    with tarfile.open(path, mode) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(f"{prefix}{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(("mode", "prefix"), [("w:gz", "./"), ("w", "./"), ("w", ""), ("w:gz", "")])
def test_every_form_of_archive_computes_the_same(fixture, tmp_path, mode, prefix, old):
    path = rewritten(fixture.archive, tmp_path / "m.nemo", mode=mode, prefix=prefix, old=old, half=False)
    model = Model.restore_from(path, map_location="cpu").eval()
    assert isinstance(model, EncDecCTCModel)
    whole = EncDecCTCModel.restore_from(fixture.archive, map_location="cpu").eval()
    assert model.recipe == whole.recipe == "1.0"
    torch.testing.assert_close(model.state_dict(), whole.state_dict(), rtol=0, atol=0)
    signal, length = torch.tensor(fixture.io["input_signal"]), torch.tensor(fixture.io["input_signal_length"])
    with torch.no_grad():
        found, expected = (one(input_signal=signal, input_signal_length=length)[0] for one in (model, whole))
    assert torch.equal(found, expected)


def test_half_precision_is_restored_to_full(fixture, tmp_path):
    path = rewritten(fixture.archive, tmp_path / "m.nemo", mode="w", prefix="./", old=False, half=True)
    model = EncDecCTCModel.restore_from(path, map_location="cpu").eval()
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    whole = EncDecCTCModel.restore_from(fixture.archive, map_location="cpu")
    torch.testing.assert_close(model.state_dict(), whole.state_dict(), rtol=1e-3, atol=1e-3)


def test_saving_again_loses_nothing(fixture, tmp_path):
    model = EncDecCTCModel.restore_from(fixture.archive, map_location="cpu")
    model.save_to(tmp_path / "again.nemo")
    with Archive.open(fixture.archive) as old, Archive.open(tmp_path / "again.nemo") as new:
        torch.testing.assert_close(new.state_dict(), old.state_dict(), rtol=0, atol=0)
        config = new.config
        assert config.pop("seaspeak") == {"recipe": "1.0", "nemo_version": None}
        assert config == old.config
