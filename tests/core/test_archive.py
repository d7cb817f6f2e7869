"""What is written into an archive comes out of it, and NeMo's archives can be read."""

from __future__ import annotations

import io
import os
import stat
import tarfile

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from seaspeak.core import tar, weights
from seaspeak.core.archive import Archive, write
from seaspeak.core.errors import ArchiveError
from tests.core.test_config import sections

CONFIG = OmegaConf.create({"target": "a.B", "nemo_version": "3.0.0"})
names = st.text("abcdefgh._", min_size=1, max_size=12).filter(lambda name: name.strip(".") != "")
floats = st.floats(-100, 100, width=32)
tensors = arrays.arrays(np.float32, arrays.array_shapes(max_dims=3, max_side=4), elements=floats).map(torch.from_numpy)
states = st.dictionaries(names, tensors, max_size=4)


@settings(max_examples=40)
@given(
    config=sections, state=states, files=st.dictionaries(names.map("f_".__add__), st.binary(max_size=600), max_size=3)
)
def test_everything_comes_back(tmp_path_factory, config, state, files):
    path = tmp_path_factory.mktemp("archive") / "model.nemo"
    write(path, OmegaConf.create(config), state, files)
    with Archive.open(path) as archive:
        assert archive.config == config
        assert {name: archive.read(name) for name in files} == files
        torch.testing.assert_close(archive.state_dict(), state, rtol=0, atol=0)


@settings(max_examples=40)
@given(state=states, storage=st.sampled_from(["float16", "int8"]))
def test_small_storage_comes_back_as_float32_within_its_precision(tmp_path_factory, state, storage):
    path = tmp_path_factory.mktemp("archive") / "model.nemo"
    write(path, CONFIG, state, storage=storage)
    with Archive.open(path) as archive:
        found = archive.state_dict()
    assert found.keys() == state.keys()
    for name, tensor in found.items():
        assert tensor.dtype == torch.float32
        half = state[name].abs() * 2**-11 + 1e-7
        step = state[name].abs().max() / 127 * 0.501
        assert torch.all((tensor - state[name]).abs() <= (step if storage == "int8" and tensor.ndim > 1 else half))


def test_int8_keeps_each_row_to_half_a_step():
    state = {
        "w": torch.randn(5, 7, 3) * torch.tensor([1e-3, 1.0, 10.0, 0.0, 100.0])[:, None, None],
        "b": torch.randn(5),
    }
    stored = weights.shrink(state, "int8")
    assert {name: tensor.dtype for name, tensor in stored.items()} == {
        "w": torch.int8,
        "w::scale": torch.float32,
        "b": torch.float16,
    }
    error = (weights.expand(stored)["w"] - state["w"]).abs().flatten(1).amax(1)
    assert torch.all(error <= state["w"].abs().flatten(1).amax(1) / 127 * 0.501)


def test_what_half_precision_cannot_hold_stays_as_it_is():
    stored = weights.shrink({"big": torch.tensor([1e6]), "count": torch.tensor([3])}, "float16")
    assert stored["big"].dtype == torch.float32
    assert stored["count"].dtype == torch.int64


def test_half_precision_in_an_archive_is_read_as_float32(tmp_path):
    state = {
        "a": torch.ones(2).half(),
        "b": torch.ones(2).bfloat16(),
        "c": torch.ones(2).double(),
        "n": torch.ones(2).long(),
    }
    write(tmp_path / "m.nemo", CONFIG, state)
    with Archive.open(tmp_path / "m.nemo") as archive:
        types = {name: tensor.dtype for name, tensor in archive.state_dict().items()}
    assert types == {"a": torch.float32, "b": torch.float32, "c": torch.float64, "n": torch.int64}


def test_weights_of_old_torch_releases_are_read():
    state = {"a": torch.randn(3), "b": torch.arange(4)}
    out = io.BytesIO()
    torch.save(state, out, _use_new_zipfile_serialization=False)
    data = out.getvalue()
    torch.testing.assert_close(weights.read_torch(io.BytesIO(data), size=len(data), limit=1 << 20), state)


def test_tied_weights_are_stored_once_and_views_without_what_lies_around_them(tmp_path):
    big = torch.randn(1000, 100)
    write(tmp_path / "one.nemo", CONFIG, {"a": big})
    write(tmp_path / "two.nemo", CONFIG, {"a": big, "b": big})
    write(tmp_path / "view.nemo", CONFIG, {"a": big[:1]})
    one, two, view = ((tmp_path / f"{name}.nemo").stat().st_size for name in ("one", "two", "view"))
    assert two - one < 2000
    assert view < 20_000


def test_the_same_model_gives_the_same_bytes(tmp_path):
    state = {"a": torch.ones(3)}
    for name in ("one", "two"):
        write(tmp_path / name, CONFIG, state, {"x": b"1"})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_standard_library_reads_what_we_write(tmp_path):
    long = "x" * 300
    write(tmp_path / "m.nemo", CONFIG, {"a": torch.ones(3)}, {long: b"content", "empty": b""})
    with tarfile.open(tmp_path / "m.nemo", "r:") as archive:
        found = {member.name: archive.extractfile(member).read() for member in archive.getmembers()}
    assert found[f"./{long}"] == b"content"
    assert found["./empty"] == b""
    assert torch.load(io.BytesIO(found["./model_weights.ckpt"]), weights_only=True)["a"].sum() == 3


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_every_form_of_tar_is_read(tmp_path, form, mode):
    content = {f"{'folder/' * 5}{'n' * 80}.txt": b"long", "ä.txt": b"umlaut", "a": b"", "b": bytes(512)}
    with tarfile.open(tmp_path / "m.nemo", mode, format=form) as archive:
        archive.addfile(_folder("."))
        for name, data in content.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    with Archive.open(tmp_path / "m.nemo") as archive:
        assert {name: archive.read(name) for name in archive.names} == content


def _folder(name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE
    return info


def test_every_archive_of_nemo_opens(shared):
    paths = sorted(shared.glob("fixtures/*/*/*.nemo")) + sorted(shared.glob("data/weights/*.nemo"))
    assert len(paths) > 50
    for path in paths:
        with Archive.open(path) as archive:
            assert archive.config.target.startswith("nemo.collections.")
            state = archive.state_dict()
            assert state and not any(tensor.dtype in (torch.float16, torch.bfloat16) for tensor in state.values())


def test_version_and_configuration_are_given_as_copies(shared):
    with Archive.open(shared / "fixtures/asr/quartznet5x5_tiny/model.nemo") as archive:
        assert archive.nemo_version == "3.0.0"
        archive.config.target = "changed"
        assert archive.config.target != "changed"
    with Archive.open(shared / "fixtures/asr/v1_quartznet5x5/model.nemo") as archive:
        assert archive.nemo_version is None


def test_a_missing_member_is_named_with_what_there_is(shared):
    with (
        pytest.raises(ArchiveError, match="no member 'x'"),
        Archive.open(shared / "fixtures/asr/quartznet5x5_tiny/model.nemo") as archive,
    ):
        archive.read("x")


def test_references_within_an_archive_are_followed(tmp_path):
    text = b"target: x\na: {b: [1, 2]}\nc: ${a.b}\nd: in ${target} out\n"
    with tarfile.open(tmp_path / "m.nemo", "w") as archive:
        info = tarfile.TarInfo("model_config.yaml")
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text))
    with Archive.open(tmp_path / "m.nemo") as archive:
        assert archive.config == {"target": "x", "a": {"b": [1, 2]}, "c": [1, 2], "d": "in x out"}


def test_a_new_file_has_the_usual_permissions_and_an_old_one_keeps_its_own(tmp_path):
    path = tmp_path / "deep" / "model.nemo"
    mask = os.umask(0o022)
    try:
        write(path, CONFIG, {})
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        path.chmod(0o600)
        write(path, CONFIG, {})
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(mask)


def test_a_window_reads_like_a_file():
    data = bytes(range(200))
    window = tar.Window(io.BytesIO(data), tar.Member(50, 100))
    assert window.readable() and window.seekable()
    assert window.read(3) == data[50:53]
    assert window.seek(-2, io.SEEK_END) == 98
    assert window.read() == data[148:150]
    assert window.read(1) == b""
    assert window.seek(1) == 1
    assert window.seek(2, io.SEEK_CUR) == window.tell() == 3


def test_no_room_to_unpack_is_said_so(shared, monkeypatch):
    from seaspeak.core.errors import StorageError

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tar, "_inflate", full)
    with (
        pytest.raises(StorageError, match="no room to unpack"),
        Archive.open(shared / "fixtures/asr/v1_quartznet5x5/model.nemo"),
    ):
        pass
