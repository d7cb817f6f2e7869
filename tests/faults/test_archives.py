"""No file that calls itself an archive does anything but give a model or one clear error."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import pickle
import random
import resource
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from pathlib import Path

import pytest
import torch

from seaspeak.core import Model
from seaspeak.core.archive import Archive
from seaspeak.core.errors import ArchiveError, FileMissingError, SeaspeakError, StorageError, UnknownNameError
from tests.tiny import TinyModel, tiny_config

ROOT = Path(__file__).resolve().parents[2]
CONFIG = b"""
target: tests.tiny.TinyModel
layer: {_target_: tests.tiny.Layer, inputs: 3, outputs: 2}
"""


def saved(state=None) -> bytes:
    out = io.BytesIO()
    torch.save(TinyModel(tiny_config()).state_dict() if state is None else state, out)
    return out.getvalue()


def member(name: str, data: bytes = b"", **fields) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def archive(path: Path, *members, mode: str = "w", config: bytes = CONFIG, weights: bytes | None = None) -> Path:
    """Write an archive; the ordinary members first, unless ``config`` or ``weights`` are empty."""
    weights = saved() if weights is None else weights
    ordinary = [("model_config.yaml", config), ("model_weights.ckpt", weights)]
    with tarfile.open(path, mode) as tar:
        for info, data in [*(member(name, data) for name, data in ordinary if data), *members]:
            tar.addfile(info, io.BytesIO(data))
    return path


def refused(path: Path, match: str | None, error: type[SeaspeakError] = ArchiveError) -> SeaspeakError:
    with pytest.raises(error, match=match) as caught:
        Model.restore_from(path)
    assert str(path) in str(caught.value)
    return caught.value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.nemo"


def test_the_builders_here_make_archives_that_restore(path):
    assert isinstance(Model.restore_from(archive(path)), TinyModel)
    assert isinstance(Model.restore_from(archive(path, mode="w:gz")), TinyModel)


def test_missing_file(tmp_path):
    refused(tmp_path / "none.nemo", "there is no archive", FileMissingError)


def test_folder_in_place_of_a_file(tmp_path):
    refused(tmp_path, "cannot be read")


@pytest.mark.parametrize("content", [b"", b"\0" * 2048, b"hello" * 1000, b"\x1f\x8b" + b"x" * 100, b"PK\3\4" * 50])
def test_something_else_under_the_name_of_an_archive(path, content):
    path.write_bytes(content)
    refused(path, None)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_truncated_anywhere(path, mode):
    whole = archive(path, mode=mode).read_bytes()
    end = len(gzip.decompress(whole)) if mode == "w:gz" else len(whole)
    for part in [*range(1, len(whole) - 1, max(1, len(whole) // 60))]:
        if mode == "w" and part > end - 10240:
            continue  # only the padding is missing
        path.write_bytes(whole[:part])
        refused(path, None)


@pytest.mark.parametrize(
    "name",
    ["../evil.txt", "/etc/evil", "a/../../evil", "..\\evil", "C:\\evil", "C:evil", "./../evil", "\\\\host\\evil"],
)
def test_names_that_lead_out(path, name):
    refused(archive(path, member(name, b"x")), "points outside")


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (tarfile.SYMTYPE, "symbolic link"),
        (tarfile.LNKTYPE, "hard link"),
        (tarfile.CHRTYPE, "device"),
        (tarfile.BLKTYPE, "device"),
        (tarfile.FIFOTYPE, "pipe"),
        (b"S", "something of kind"),
    ],
)
def test_what_is_no_regular_file(path, kind, what):
    refused(archive(path, member("link", type=kind, linkname="/etc/passwd")), what)


def test_a_link_in_place_of_the_configuration(path):
    link = member("model_config.yaml", type=tarfile.SYMTYPE, linkname="/etc/passwd")
    refused(archive(path, link, config=b""), "symbolic link")


def test_a_member_that_claims_more_than_the_file_holds(path):
    info, _ = member("model_weights.ckpt")
    info.size = 1 << 60
    with path.open("wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        file.write(bytes(4096))
    refused(path, "ends early")


def test_an_extension_header_that_claims_more_than_the_file_holds(path):
    info, _ = member("x", type=tarfile.XHDTYPE)
    info.size = 1 << 40
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    refused(path, "impossible size")


def test_an_extension_header_that_makes_no_sense(path):
    data = b"2 size=999\n"
    info, _ = member("x", data, type=tarfile.XHDTYPE)
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + data.ljust(512, b"\0") + bytes(4096))
    refused(path, "makes no sense")


def test_a_member_that_occurs_twice(path):
    refused(archive(path, member("model_config.yaml", CONFIG)), "occurs twice")


def test_gzip_bomb(path):
    with gzip.open(path, "wb", 9) as out:
        for _ in range(300):
            out.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(path, "far more than it is large")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_a_limit_that_the_caller_raises(path):
    archive(path, member("zeros", bytes(8 << 20)), mode="w:gz")
    refused(path, "far more")
    with Archive.open(path, max_bytes=1 << 30) as opened:
        assert len(opened.read("zeros")) == 8 << 20


@pytest.mark.parametrize("missing", ["config", "weights"])
def test_a_member_that_is_missing(path, missing):
    refused(archive(path, **{missing: b""}), "no member")


class Runs:
    """Unpickling this runs a command."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def test_pickle_bomb_runs_nothing(path, tmp_path):
    mark = tmp_path / "ran"
    error = refused(archive(path, weights=saved({"weight": Runs(mark)})), "could run a program")
    assert "system" in error.got
    refused(archive(path, weights=pickle.dumps(Runs(mark))), None)
    refused(archive(path, weights=pickle.dumps(Runs(mark), protocol=2)), None)
    assert not mark.exists()


@pytest.mark.parametrize(
    "state",
    [
        {"weight": 3},
        {3: torch.zeros(2)},
        [torch.zeros(2)],
        torch.zeros(2),
        {"weight": torch.zeros(2, device="meta")},
        {"weight": torch.eye(3).to_sparse()},
        {"layer": {"weight": torch.zeros(2)}},
    ],
)
def test_weights_that_are_no_state_dictionary(path, state):
    refused(archive(path, weights=saved(state)), None)


def test_a_tensor_that_claims_elements_that_it_does_not_hold(path):
    huge = torch.zeros(1).expand(1 << 20, 1 << 20)
    refused(archive(path, weights=saved({"layer.linear.weight": huge})), "far larger")


def test_compressed_weights(path):
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved())) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    refused(archive(path, weights=out.getvalue()), "compressed in a way")


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_whose_keys_take_for_ever_to_hash(path, legacy):
    levels = 60
    doubling = b"".join(b"h%ch%c\x86q%c" % (level, level, level + 1) for level in range(levels))
    bomb = b"\x80\x02}q\xc8)q\x00" + doubling + b"h\xc8h%cK\x01s." % levels
    out = io.BytesIO()
    torch.save({}, out, _use_new_zipfile_serialization=not legacy)
    if legacy:
        data = out.getvalue().replace(pickle.dumps({}, protocol=2), bomb)
    else:
        new = io.BytesIO()
        with zipfile.ZipFile(out) as source, zipfile.ZipFile(new, "w") as target:
            for name in source.namelist():
                target.writestr(name, bomb if name.endswith("data.pkl") else source.read(name))
        data = new.getvalue()
    assert bomb in data
    refused(archive(path, weights=data), "nested more deeply")


def test_damaged_safetensors(path):
    for data in (b"", b"\xff" * 40, (1 << 40).to_bytes(8, "little") + b"{}"):
        refused(archive(path, member("model_weights.safetensors", data), weights=b""), None)


@pytest.mark.parametrize(
    ("config", "match"),
    [
        (b"a: [", "not valid YAML"),
        (b"- 1\n- 2\n", "a list"),
        (b"\xff\xfe\x00", "not text"),
        (b"a: !!python/object/apply:os.system [touch /tmp/never]", "not valid YAML"),
        (b"a: &a [*a]", "unfolds|not valid"),
        (b"a: 1\na: 2", "not valid YAML"),
        (b"? [a]\n: b", "not valid YAML|YAML cannot"),
        (b"[" * 5000, "not valid YAML"),
        (b"a: " * 5000, "not valid YAML"),
        (b"\n".join(b" " * depth + b"a:" for depth in range(900)), "YAML|nested"),
        (b"a: ${oc.env:HOME}", "computes its value"),
        (b"a: x\nb: ${a}${a}", "computes its value"),
        (b"a: ${nowhere}", "refers to something that is not there"),
        (b"a: 1\nb: ${a}\nc: ${b}", "refers to a value that refers to another"),
        (b"a: ${a}", "refers to"),
        (b"x: 1", "does not say of which class"),
        (b"target: 3", "not a class"),
        (b"target: torch.nn.Linear", "is no model"),
        (b"target: tests.tiny.TinyModel", "layer"),
    ],
)
def test_configurations_that_are_of_no_use(path, config, match):
    refused(archive(path, config=config), match, SeaspeakError)


def test_yaml_that_unfolds_without_end(path):
    lines = [
        b"a0: &a0 [x, x]",
        *(b"a%d: &a%d [%s]" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 30)),
    ]
    refused(archive(path, config=b"\n".join(lines)), "unfolds to more than")


def test_references_that_multiply(path):
    config = b"big: [" + b"x, " * 3000 + b"x]\n" + b"".join(b"r%d: ${big}\n" % n for n in range(3000))
    refused(archive(path, config=config), "too often")


def test_a_configuration_of_impossible_size(path):
    refused(archive(path, config=b"#" * (17 << 20) + CONFIG), "impossibly large")


@pytest.mark.parametrize(
    "target", ["os.system", "subprocess.Popen", "builtins.eval", "torch.load", "torch.nn.Module.apply"]
)
def test_a_class_outside_the_registry_is_named_and_not_imported(path, target):
    config = CONFIG.replace(b"tests.tiny.Layer", target.encode())
    error = refused(archive(path, config=config), f"'{target}' is not a class that Seaspeak knows", UnknownNameError)
    assert "layer._target_" in error.problem


def test_an_unknown_class_comes_with_the_nearest_name(path):
    error = refused(archive(path, config=CONFIG.replace(b"tiny.Layer", b"tiny.Lager")), "Lager", UnknownNameError)
    assert "'tests.tiny.Layer'" in error.fix


def test_a_configuration_allocates_nothing_that_the_archive_does_not_hold(path):
    config = CONFIG.replace(b"inputs: 3", b"inputs: 2000000").replace(b"outputs: 2", b"outputs: 2000000")
    error = refused(archive(path, config=config), "another shape")
    assert error.expected == "(2000000, 2000000)"


def test_arguments_that_do_not_fit_are_named(path):
    refused(archive(path, config=CONFIG.replace(b"inputs", b"inputz")), "inputz", SeaspeakError)


def test_weights_of_another_model(path):
    state = {"layer.linear.weight": torch.zeros(2, 3), "other.bias": torch.zeros(2)}
    error = refused(archive(path, weights=saved(state)), "not those of TinyModel")
    assert "other.bias" in error.got
    assert "layer.linear.bias" in error.expected
    model = Model.restore_from(path, strict=False)
    assert model.layer.linear.weight.abs().sum() == 0
    assert not model.layer.linear.bias.is_meta


def test_scales_that_do_not_fit(path):
    from safetensors.torch import save

    data = save(
        {"layer.linear.weight": torch.zeros(2, 3, dtype=torch.int8), "layer.linear.weight::scale": torch.ones(5)}
    )
    refused(archive(path, member("model_weights.safetensors", data), weights=b""), "scales")


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_thousand_random_changes_give_a_model_or_an_error_of_ours(path, mode):
    whole = archive(path, mode=mode, weights=saved()).read_bytes()
    draw = random.Random(20261124)
    for _ in range(500):
        data = bytearray(whole)
        for _ in range(draw.choice([1, 1, 1, 8, 64])):
            start = draw.randrange(len(data))
            kind = draw.randrange(4)
            if kind == 0:
                data[start] = draw.randrange(256)
            elif kind == 1:
                data[start : start + draw.randrange(600)] = b""
            elif kind == 2:
                data[start:start] = bytes(draw.randrange(256) for _ in range(draw.randrange(40)))
            else:
                data[start] ^= 1 << draw.randrange(8)
            if not data:
                break
        path.write_bytes(data)
        with contextlib.suppress(SeaspeakError):
            Model.restore_from(path, map_location="cpu")


# --- writing --------------------------------------------------------------------------------------------------------


def test_a_full_disk_leaves_the_old_file(tmp_path):
    """A limit on the size of files makes the kernel answer as a full disk does, in the middle of writing."""
    path = tmp_path / "model.nemo"
    TinyModel(tiny_config()).save_to(path)
    before = path.read_bytes()
    program = textwrap.dedent(f"""
        import resource, signal, sys, torch
        from seaspeak.core.errors import StorageError
        from tests.tiny import TinyModel, tiny_config
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        model = TinyModel(tiny_config())
        model.big = torch.nn.Linear(1000, 1000)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            model.save_to({str(path)!r})
        except StorageError as error:
            sys.exit(0 if "cannot be written: File too large" in str(error) else 3)
        sys.exit(4)
    """)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.nemo"]


@pytest.mark.parametrize("place", ["/proc/no/model.nemo", "/dev/null/model.nemo"])
def test_a_folder_that_nobody_can_write(place):
    with pytest.raises(StorageError, match="cannot be written"):
        TinyModel(tiny_config()).save_to(place)


def test_an_interrupted_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model.nemo"
    model = TinyModel(tiny_config())
    model.save_to(path)
    before = path.read_bytes()

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.save_to(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.nemo"]
