"""The folder of an experiment."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest

from seaspeak.core.errors import ConfigError, FileMissingError, StorageError
from seaspeak.core.factory import NeuralModuleFactory
from seaspeak.core.work_folder import WorkFolder
from tests.core.quiet import quiet_logging  # noqa: F401  (a fixture)


@pytest.fixture(autouse=True)
def _closed(quiet_logging: logging.Logger):  # noqa: F811
    yield
    for handler in quiet_logging.handlers:
        handler.close()


def names(folder: Path) -> list[str]:
    return sorted(re.sub(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", "TIME", path.name) for path in folder.iterdir())


def test_what_is_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = tmp_path / "code"
    repository.mkdir()
    monkeypatch.chdir(repository)
    (repository / "train.py").write_text("print(1)\n")
    for command in ("init -q", "add .", "-c user.name=a -c user.email=a@b commit -q -m first"):
        subprocess.run(["git", *command.split()], check=True)
    (repository / "train.py").write_text("print(2)\n")

    folder = WorkFolder(tmp_path / "run", files_to_copy=["train.py"])
    logging.getLogger("seaspeak.x").info("a line")
    assert folder.path == tmp_path / "run"
    assert names(folder.path) == ["checkpoints", "cmd-args_TIME.log", "git-info_TIME.log", "log.txt", "train_TIME.py"]
    assert "+print(2)" in next(folder.path.glob("git-info*")).read_text()
    assert next(folder.path.glob("git-info*")).read_text().startswith("commit hash: ")
    assert sys.argv[0] in next(folder.path.glob("cmd-args*")).read_text()
    assert (folder.path / "log.txt").read_text().endswith("INFO seaspeak.x: a line\n")


def test_without_a_repository_nothing_is_said_about_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert names(WorkFolder(tmp_path / "run").path or tmp_path) == ["checkpoints", "cmd-args_TIME.log", "log.txt"]
    monkeypatch.setenv("PATH", "")
    assert names(WorkFolder(tmp_path / "run2").path or tmp_path) == ["checkpoints", "cmd-args_TIME.log", "log.txt"]


def test_folders_can_lie_elsewhere(tmp_path: Path) -> None:
    nothing = WorkFolder()
    assert (nothing.path, nothing.checkpoints, nothing.tensorboard) == (None, None, None)
    only = WorkFolder(checkpoint_dir=tmp_path / "c")
    assert only.checkpoints == tmp_path / "c"
    assert (tmp_path / "c").is_dir()
    timed = WorkFolder(tmp_path / "runs", tensorboard_dir=tmp_path / "tb", add_time=True)
    assert timed.tensorboard == tmp_path / "tb"
    assert names(tmp_path / "runs") == ["TIME"]


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileMissingError, match=r"files_to_copy names .*nothing"):
        WorkFolder(tmp_path / "run", files_to_copy=[tmp_path / "nothing"])
    with pytest.raises(StorageError, match="cannot write /proc/"):
        WorkFolder("/proc/run")
    with pytest.raises(ConfigError, match="a TensorBoard writer needs a folder"):
        NeuralModuleFactory(create_tb_writer=True)


def test_the_factory_makes_its_folder(tmp_path: Path) -> None:
    factory = NeuralModuleFactory(log_dir=tmp_path / "run", create_tb_writer=True)
    assert factory.work_dir == tmp_path / "run"
    assert factory.checkpoint_dir == tmp_path / "run" / "checkpoints"
    factory.tb_writer.add_scalar("loss", 1.0, 0)
    factory.tb_writer.close()
    assert len(list((tmp_path / "run" / "tensorboard").iterdir())) == 1
