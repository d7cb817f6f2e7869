"""A script under ``@hydra_runner``: run as a program, as a user would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from seaspeak.core.errors import ConfigError, FileMissingError, UnknownNameError
from seaspeak.training.hydra import compose, hydra_runner
from seaspeak.training.packaged import packaged_configs
from seaspeak.training.settings import check_complete

SCRIPT = """
import dataclasses, os, sys
from omegaconf import OmegaConf
from seaspeak.core.errors import ConfigError, FileMissingError, UnknownNameError
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
    (tmp_path / "conf" / "broken.yaml").write_text("name: [unclosed\n")
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


def test_open_values_are_listed_together_but_evaluation_may_stay_open(folder: Path) -> None:
    sets = [f"+model.{name}_ds.manifest_filepath=???" for name in ("train", "validation", "test")]
    done = run(folder, "name=???", *sets)
    assert done.returncode == 1
    assert "leaves 2 values open" in done.stderr
    assert done.stderr.endswith("  fix      model.train_ds.manifest_filepath=... name=...\n")
    done = run(folder, *sets[1:])
    assert done.returncode == 0, done.stderr
    assert "model:\n  validation_ds: null\n  test_ds: null\n" in done.stdout


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


# --- compose ----------------------------------------------------------------------------------------------------------


def test_a_file_and_overrides_make_a_configuration(folder: Path) -> None:
    cfg = compose(str(folder / "conf" / "job.yaml"), ["steps=4", "+model.lr=0.1", "~fail", "++name=second"])
    assert cfg == {"name": "second", "steps": 4, "double": 4, "model": {"lr": 0.1}}


def test_every_packaged_configuration_can_be_read_and_built_upon(tmp_path: Path) -> None:
    assert {"quartznet_5x5", "quartznet_10x5", "quartznet_15x5", "jasper_10x5dr"} <= set(packaged_configs())
    for name in packaged_configs():
        assert "model" in compose(name)
    own = tmp_path / "own.yaml"
    own.write_text("defaults: [quartznet_5x5, _self_]\nmodel: {optim: {lr: 0.5}}\n")
    cfg = compose(str(own))
    assert cfg.model.optim.lr == 0.5
    assert cfg.model.encoder == compose("quartznet_5x5").model.encoder


@pytest.mark.parametrize(
    ("config", "overrides", "error", "message"),
    [
        ("quartznet_5x6", [], UnknownNameError, "is called 'quartznet_5x6'(.|\n)*did you mean 'quartznet_5x5'"),
        ("nowhere.yaml", [], FileMissingError, "no configuration file nowhere.yaml"),
        ("job", ["step=4"], UnknownNameError, "job has no key 'step'\n  fix      did you mean 'steps'"),
        ("job", ["name.first=4"], ConfigError, "job cannot be used: |has no key"),
        ("job", ["far.away=4"], UnknownNameError, r"has no key 'far\.away'\n  fix      \+far\.away=\.\.\. adds"),
        ("job", ["steps=[1,"], ConfigError, "job cannot be used: "),
        ("broken", [], ConfigError, "broken cannot be used: "),
        ("job", ["~nothing"], UnknownNameError, "has no key 'nothing'"),
    ],
)
def test_mistakes_name_the_key_and_the_nearest(folder: Path, config, overrides, error, message) -> None:
    file = folder / "conf" / f"{config}.yaml"
    with pytest.raises(error, match=message):
        compose(str(file) if file.exists() else config, overrides)


# --- what stays open --------------------------------------------------------------------------------------------------


def test_a_complete_configuration_is_not_refused() -> None:
    check_complete(OmegaConf.create({"a": 1, "model": {"test_ds": None}}))
    with pytest.raises(ConfigError, match=r"leaves 1 value open \(\?\?\?\)\n  got      a\.b\n  fix      a\.b="):
        check_complete(OmegaConf.create({"a": {"b": "???"}}))
