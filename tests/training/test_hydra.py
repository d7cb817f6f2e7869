"""A script under ``@hydra_runner``: run as a program, as a user would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from seaspeak.core.errors import ConfigError
from seaspeak.training.hydra import hydra_runner
from seaspeak.training.settings import check_complete

SCRIPT = """
import dataclasses, os, sys
from omegaconf import OmegaConf
from seaspeak.core.errors import ConfigError
from seaspeak.training import hydra_runner

@dataclasses.dataclass
class Optim:
    lr: float = 0.1

@dataclasses.dataclass
class Schema:
    name: str = "plain"
    steps: int = 1
    optim: Optim = dataclasses.field(default_factory=Optim)

@hydra_runner(config_path="conf", config_name="job"{extra})
def main(cfg):
    if cfg.get("fail"):
        raise ConfigError("this cannot work", fix="do that")
    print(OmegaConf.to_yaml(cfg, resolve=True), sys.argv[1:], os.getcwd())

if __name__ == "__main__":
    main()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "job.yaml").write_text("name: first\nsteps: 3\ndouble: ${steps}\nfail: false\n")
    (tmp_path / "conf" / "other.yaml").write_text("name: second\n")
    return tmp_path


def run(folder: Path, *arguments: str, extra: str = "") -> subprocess.CompletedProcess[str]:
    script = folder / "script.py"
    script.write_text(SCRIPT.replace("{extra}", extra))
    (folder / "elsewhere").mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, str(script), *arguments],
        cwd=folder / "elsewhere",
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_overrides_have_hydras_grammar_and_no_folder_is_made(folder: Path) -> None:
    done = run(folder, "steps=7", "+model.optim.lr=0.5", "~fail", "--config-name=job")
    assert done.returncode == 0, done.stderr
    assert "steps: 7\ndouble: 7\nmodel:\n  optim:\n    lr: 0.5\n" in done.stdout
    assert "fail" not in done.stdout.split("[")[0]
    assert "['steps=7', '+model.optim.lr=0.5', '~fail', '--config-name=job']" in done.stdout
    assert str(folder / "elsewhere") in done.stdout
    assert list((folder / "elsewhere").iterdir()) == []


def test_a_packaged_configuration_is_found_by_name(folder: Path) -> None:
    done = run(folder, "--config-name", "quartznet_5x5", "--cfg", "job")
    assert done.returncode == 0, done.stderr
    assert "EncDecCTCModel" in done.stdout or "ConvASREncoder" in done.stdout


def test_a_script_without_a_folder_of_its_own_finds_packaged_configurations(folder: Path) -> None:
    for file in (folder / "conf").iterdir():
        file.unlink()
    (folder / "conf").rmdir()
    done = run(folder, "--config-name=quartznet_15x5", "--cfg=job")
    assert done.returncode == 0, done.stderr
    assert "ConvASREncoder" in done.stdout


def test_an_error_made_for_people_is_printed_without_a_traceback(folder: Path) -> None:
    done = run(folder, "fail=true")
    assert done.returncode == 1
    assert done.stderr == "script.py: this cannot work\n  fix      do that\n"


def test_open_values_are_listed_together(folder: Path) -> None:
    done = run(folder, "name=???", "+model.train_ds.manifest_filepath=???", "+model.test_ds.manifest_filepath=???")
    assert done.returncode == 1
    assert "leaves 2 values open" in done.stderr
    assert "name=... model.train_ds" in done.stderr.replace(
        "model.train_ds.manifest_filepath=... name", "name=... model.train_ds"
    )


def test_a_schema_adds_defaults_and_refuses_what_it_does_not_know(folder: Path) -> None:
    extra = ", schema=Schema"
    done = run(folder, "--config-name=other", "optim.lr=0.7", extra=extra)
    assert done.returncode == 0, done.stderr
    assert "name: second\nsteps: 1\noptim:\n  lr: 0.7\n" in done.stdout
    done = run(folder, extra=extra)  # job.yaml has keys that are not in the schema
    assert done.returncode == 1
    assert "double" in done.stderr
    done = run(folder, "--config-name=other", "steps=many", extra=extra)
    assert done.returncode == 1
    assert "steps" in done.stderr
    done = run(folder, "--config-name=conf/other", extra=extra)
    assert done.returncode == 1
    assert done.stderr.startswith("--config-name conf/other: with a schema")


def test_a_call_with_a_configuration_bypasses_hydra() -> None:
    @hydra_runner(config_path="nowhere", config_name="nothing")
    def main(cfg):
        return cfg.value + 1

    assert main(OmegaConf.create({"value": 1})) == 2


def test_a_complete_configuration_is_not_refused() -> None:
    check_complete(OmegaConf.create({"a": 1, "model": {"test_ds": {"manifest_filepath": "???"}}}))
    with pytest.raises(ConfigError, match=r"leaves 1 value open \(\?\?\?\)\n  got      a\.b\n  fix      a\.b="):
        check_complete(OmegaConf.create({"a": {"b": "???"}}))
