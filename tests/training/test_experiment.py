"""What exp_manager makes of a run: its folder, its logs, its checkpoints, and where the next run goes on."""

from __future__ import annotations

import csv
import logging
import os
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest
import torch

from seaspeak.core.errors import ConfigError, StorageError, UnknownNameError
from seaspeak.training import exp_manager
from seaspeak.training.experiment import (
    CheckpointMisconfigurationError,
    LoggerMisconfigurationError,
    NotFoundError,
    lower_voice,
)
from tests.training.toy import PACKAGES, ToyModel, make_trainer, toy_config

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def fit(folder: Path, package: str = "lightning.pytorch", *, model=None, trainer=None, **settings):
    trainer = make_trainer(package, **(trainer or {}))
    path = exp_manager(trainer, {"exp_dir": str(folder), "name": "toy", "create_tensorboard_logger": False, **settings})
    model = ToyModel(model or toy_config(), trainer=trainer)
    trainer.fit(model)
    return path, trainer, model


def rows(path: Path) -> list[dict[str, str]]:
    with (path / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("package", PACKAGES)
def test_a_run_leaves_logs_checkpoints_and_a_model_that_can_be_restored(tmp_path: Path, package: str) -> None:
    path, trainer, model = fit(tmp_path, package, trainer={"max_epochs": 5})
    assert path.parent == tmp_path / "toy"
    time.strptime(path.name, "%Y-%m-%d_%H-%M-%S")
    logged = rows(path)
    assert [row["step"] for row in logged if row["train_loss"]] == [str(step) for step in range(30)]
    assert len([row for row in logged if row["val_loss"]]) == 5
    checkpoints = sorted(file.name for file in (path / "checkpoints").iterdir())
    assert len([name for name in checkpoints if name.endswith("-last.ckpt")]) == 1
    assert len([name for name in checkpoints if name.endswith(".ckpt")]) == 4
    assert all("=" not in name for name in checkpoints)
    assert "toy.nemo" in checkpoints
    restored = ToyModel.restore_from(path / "checkpoints" / "toy.nemo", map_location="cpu")
    for name, value in restored.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name
    assert trainer.checkpoint_callback.best_model_score == min(
        float(row["val_loss"]) for row in logged if row["val_loss"]
    )
    assert sys.argv[0] in (path / "cmd-args.log").read_text()
    assert (path / "hparams.yaml").read_text().startswith("cfg:\n  train_ds:")


def test_names_say_what_a_checkpoint_is(tmp_path: Path) -> None:
    path, _, _ = fit(tmp_path, trainer={"max_epochs": 1})
    loss = float(next(row for row in rows(path) if row["val_loss"])["val_loss"])
    names = sorted(file.name for file in (path / "checkpoints").iterdir())
    assert names == [f"toy--val_loss_{loss:.4f}-epoch_0-step_6{end}" for end in ("-last.ckpt", ".ckpt")] + ["toy.nemo"]
    path, _, _ = fit(tmp_path, version="own", checkpoint_callback_params={"filename": "{epoch:02d}={val_loss:.1f}"})
    assert {file.name[:9] for file in (path / "checkpoints").glob("*.ckpt")} == {"epoch_00_", "epoch_01_"}
    unnamed = {"filename": "{step}~{val_loss:.1f}", "auto_insert_metric_name": False}
    path, _, _ = fit(tmp_path, version="bare", checkpoint_callback_params=unnamed)
    assert {file.name.split("~")[0] for file in (path / "checkpoints").glob("*.ckpt")} == {"6", "12"}
    path, _, _ = fit(tmp_path, name="a{b}", trainer={"max_epochs": 1})
    assert all(file.name.startswith("a{b}") for file in (path / "checkpoints").iterdir())


def test_versions_count_up_when_time_is_not_wanted(tmp_path: Path) -> None:
    settings = {"exp_dir": str(tmp_path), "use_datetime_version": False}
    names = [exp_manager(make_trainer(), settings) for _ in range(2)]
    assert names == [tmp_path / "default" / "version_0", tmp_path / "default" / "version_1"]


def test_explicit_folder_and_files_to_copy(tmp_path: Path) -> None:
    extra = tmp_path / "notes.txt"
    extra.write_text("why")
    path = exp_manager(make_trainer(), {"explicit_log_dir": str(tmp_path / "here"), "files_to_copy": [str(extra)]})
    assert path == tmp_path / "here"
    assert (path / "notes.txt").read_text() == "why"
    with pytest.raises(FileNotFoundError, match="files_to_copy: there is no file"):
        exp_manager(make_trainer(), {"explicit_log_dir": str(path), "files_to_copy": ["nowhere.txt"]})


def test_nothing_is_kept_without_settings_or_when_only_tried_out(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert exp_manager(make_trainer(), None) is None
    assert exp_manager(make_trainer(fast_dev_run=True), {"exp_dir": str(tmp_path)}) is None
    assert list(tmp_path.iterdir()) == []


# --- resuming ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("package", PACKAGES)
def test_a_resumed_run_has_the_weights_of_one_that_was_not_interrupted(tmp_path: Path, package: str) -> None:
    optim = toy_config()["optim"]
    optim["sched"]["max_steps"] = 24
    model = toy_config(optim=optim)
    settings = {"resume_if_exists": True, "resume_ignore_no_checkpoint": True}
    torch.manual_seed(1)
    _, _, whole = fit(tmp_path / "whole", package, model=model, trainer={"max_epochs": 4}, **settings)
    torch.manual_seed(1)
    fit(tmp_path / "parts", package, model=model, trainer={"max_epochs": 2}, **settings)
    torch.manual_seed(99)  # another process, with other numbers
    path, trainer, resumed = fit(tmp_path / "parts", package, model=model, trainer={"max_epochs": 4}, **settings)
    assert trainer.global_step == 24
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert path == tmp_path / "parts" / "toy"
    assert [(r["step"], r["train_loss"], r["val_loss"]) for r in rows(path)] == [
        (r["step"], r["train_loss"], r["val_loss"]) for r in rows(tmp_path / "whole" / "toy")
    ]
    assert len((path / "cmd-args.log").read_text().splitlines()) == 2
    assert len(list((path / "checkpoints").glob("*-last.ckpt"))) == 1


def test_the_newest_complete_of_several_last_checkpoints_is_taken(tmp_path: Path, caplog) -> None:
    path, trainer, _ = fit(tmp_path, version="one")
    folder = path / "checkpoints"
    good = next(folder.glob("*-last.ckpt"))
    older, damaged, unfinished = folder / "old-last.ckpt", folder / "cut-last.ckpt", folder / "busy-last.ckpt"
    older.write_bytes(good.read_bytes())
    damaged.write_bytes(good.read_bytes()[:-200])
    unfinished.write_bytes(good.read_bytes())
    (folder / "busy-last-unfinished").touch()
    now = time.time()
    for file, age in ((older, 50), (damaged, -10), (unfinished, -20), (good, 0)):
        os.utime(file, (now - age, now - age))
    trainer = make_trainer()
    settings = {"exp_dir": str(tmp_path), "name": "toy", "version": "one", "resume_if_exists": True}
    with caplog.at_level(logging.INFO):
        exp_manager(trainer, settings)
    assert Path(trainer.ckpt_path) == good
    assert "incomplete checkpoints are passed over: cut-last.ckpt, busy-last.ckpt" in caplog.text


def test_nothing_to_resume_from_names_the_folder(tmp_path: Path) -> None:
    settings = {"exp_dir": str(tmp_path), "name": "toy", "resume_if_exists": True}
    with pytest.raises(NotFoundError, match=rf"resume from in {tmp_path}/toy/checkpoints\n  got      no such folder"):
        exp_manager(make_trainer(), settings)
    trainer = make_trainer()
    exp_manager(trainer, {**settings, "resume_ignore_no_checkpoint": True})
    assert trainer.ckpt_path is None
    with pytest.raises(NotFoundError, match="there is no checkpoint /nowhere"):
        exp_manager(make_trainer(), {**settings, "resume_from_checkpoint": "/nowhere"})


def test_a_run_marked_as_complete_is_not_resumed_by_accident(tmp_path: Path) -> None:
    path, _, _ = fit(tmp_path, version="one")
    end = path / "checkpoints" / "toy-end.ckpt"
    next(path.glob("checkpoints/*-last.ckpt")).rename(end)
    os.utime(end, (time.time() + 9, time.time() + 9))
    settings = {"exp_dir": str(tmp_path), "name": "toy", "version": "one", "resume_if_exists": True}
    with pytest.raises(ConfigError, match="is complete"):
        exp_manager(make_trainer(), settings)
    trainer = make_trainer()
    exp_manager(trainer, {**settings, "resume_past_end": True})
    assert Path(trainer.ckpt_path) == end


def test_a_moved_folder_keeps_its_best_checkpoints(tmp_path: Path) -> None:
    settings = {"resume_if_exists": True, "resume_ignore_no_checkpoint": True}
    fit(tmp_path / "a", **settings)
    (tmp_path / "a").rename(tmp_path / "b")
    path, trainer, _ = fit(tmp_path / "b", trainer={"max_epochs": 5}, **settings)
    assert len(list((path / "checkpoints").glob("*.ckpt"))) == 4
    assert {Path(file).parent for file in trainer.checkpoint_callback.best_k_models} == {path / "checkpoints"}


# --- checkpoints ------------------------------------------------------------------------------------------------------


def test_the_last_checkpoint_is_renewed_when_the_run_gets_worse(tmp_path: Path) -> None:
    optim = {"name": "sgd", "lr": 0.0}  # nothing is learned: no epoch is better than the first
    path, trainer, _ = fit(
        tmp_path,
        model=toy_config(optim=optim),
        trainer={"max_epochs": 4},
        checkpoint_callback_params={"save_top_k": 1},
    )
    assert Path(trainer.checkpoint_callback.best_model_path).name.endswith("epoch_0-step_6.ckpt")
    assert Path(trainer.checkpoint_callback.last_model_path).name.endswith("epoch_3-step_24-last.ckpt")
    assert len(list((path / "checkpoints").glob("*.ckpt"))) == 2


def test_steps_and_validations_within_an_epoch_make_checkpoints(tmp_path: Path) -> None:
    path, _, _ = fit(
        tmp_path,
        trainer={"max_epochs": 1},
        checkpoint_callback_params={"every_n_train_steps": 2, "save_top_k": -1, "monitor": "train_loss"},
    )
    steps = {file.stem.split("step_")[1] for file in (path / "checkpoints").glob("*.ckpt")}
    assert steps == {"2", "4", "6", "6-last"}
    path, _, _ = fit(tmp_path, version="v", trainer={"max_epochs": 1, "val_check_interval": 3})
    assert {file.stem.split("step_")[1] for file in (path / "checkpoints").glob("*.ckpt")} == {"3", "6", "6-last"}


@pytest.mark.filterwarnings("ignore:Total length of `list` across ranks is zero")  # Lightning, of a model without data
def test_without_validation_the_last_checkpoint_is_still_kept(tmp_path: Path) -> None:
    path, _, _ = fit(tmp_path, model=toy_config(validation_ds=None))
    names = [file.name for file in (path / "checkpoints").iterdir()]
    assert sorted(names) == ["toy--epoch_1-step_12-last.ckpt", "toy.nemo"]


def test_the_best_weights_go_into_the_archive_if_asked(tmp_path: Path) -> None:
    optim = {"name": "sgd", "lr": 3.0}  # far too high: the first epoch is the best
    path, trainer, model = fit(
        tmp_path,
        model=toy_config(optim=optim),
        trainer={"max_epochs": 3, "gradient_clip_val": 1.0},
        checkpoint_callback_params={"save_best_model": True, "always_save_nemo": True, "save_top_k": 1},
    )
    best = torch.load(trainer.checkpoint_callback.best_model_path, weights_only=True)["state_dict"]
    restored = ToyModel.restore_from(path / "checkpoints" / "toy.nemo", map_location="cpu").state_dict()
    assert all(torch.equal(restored[name], best[name]) for name in best)
    last = torch.load(trainer.checkpoint_callback.last_model_path, weights_only=True)["state_dict"]
    assert all(torch.equal(model.state_dict()[name], last[name]) for name in last)
    assert any(not torch.equal(best[name], last[name]) for name in best)


def test_checkpoints_hold_plain_values_that_need_no_lightning(tmp_path: Path) -> None:
    _, trainer, model = fit(tmp_path)
    plain = ToyModel.load_from_checkpoint(trainer.checkpoint_callback.last_model_path, map_location="cpu")
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in plain.state_dict().items())


def test_a_value_that_is_not_logged_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing called 'val_los' is logged(.|\n)*did you mean 'val_loss'"):
        fit(tmp_path, checkpoint_callback_params={"monitor": "val_los"})


def test_early_stopping_and_a_time_limit_end_a_run(tmp_path: Path) -> None:
    _, trainer, _ = fit(
        tmp_path,
        model=toy_config(optim={"name": "sgd", "lr": 0.0}),
        trainer={"max_epochs": 50},
        create_early_stopping_callback=True,
        early_stopping_callback_params={"patience": 2, "verbose": False},
    )
    assert trainer.current_epoch == 3
    path, trainer, _ = fit(tmp_path, version="t", trainer={"max_epochs": 10**6}, max_time_per_run="00:00:00:01")
    assert 0 < trainer.current_epoch < 10**6
    assert f"step_{trainer.global_step}-last.ckpt" in " ".join(map(str, (path / "checkpoints").iterdir()))


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"resum_if_exists": True}, UnknownNameError, r"exp_manager\.resum_if_exists(.|\n)*'resume_if_exists'"),
        (
            {"checkpoint_callback_params": {"save_topk": 1}},
            UnknownNameError,
            r"exp_manager\.checkpoint_callback_params\.save_topk(.|\n)*'save_top_k'",
        ),
        ({"resume_if_exists": "perhaps"}, ConfigError, r"exp_manager\.resume_if_exists: Value 'perhaps'"),
        ({"checkpoint_callback_params": {"mode": "best"}}, ConfigError, "min or max"),
        (
            {"name": "???", "version": "???"},
            ConfigError,
            r"2 values open(.|\n)*exp_manager\.name, exp_manager\.version",
        ),
        (
            {"summary_writer_kwargs": {"log_dir": "x"}, "create_tensorboard_logger": True},
            ConfigError,
            "summary_writer_kwargs",
        ),
        ({"create_wandb_logger": True}, ConfigError, "wandb_logger_kwargs needs a name or a project"),
        ({"create_mlflow_logger": True}, ImportError, r"pip install"),
    ],
)
def test_mistakes_are_named_with_their_full_path(tmp_path: Path, settings, error, message) -> None:
    with pytest.raises(error, match=message):
        exp_manager(make_trainer(), {"exp_dir": str(tmp_path), "create_tensorboard_logger": False, **settings})


def test_what_is_no_configuration_or_no_trainer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a section of a configuration"):
        exp_manager(make_trainer(), 3)
    with pytest.raises(ConfigError, match=r"needs a Lightning trainer\n  got      object"):
        exp_manager(object(), {})


def test_settings_without_an_effect_are_named(tmp_path: Path, caplog) -> None:
    exp_manager(make_trainer(), {"exp_dir": str(tmp_path), "create_neptune_logger": True, "ema": {"enable": True}})
    assert "have no effect here: create_neptune_logger" in caplog.text
    assert "exp_manager.ema has no effect yet" in caplog.text


@pytest.mark.parametrize("package", PACKAGES)
def test_a_trainer_that_logs_or_saves_already_is_refused(tmp_path: Path, package: str, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = {"exp_dir": str(tmp_path)}
    csv_logger = import_module(f"{package}.loggers").CSVLogger(tmp_path, name="mine", version=3)
    with pytest.raises(LoggerMisconfigurationError, match=r"got      CSVLogger(.|\n)*trainer\.logger=false"):
        exp_manager(make_trainer(package, logger=csv_logger), settings)
    with pytest.raises(CheckpointMisconfigurationError, match=r"trainer\.enable_checkpointing=false"):
        exp_manager(make_trainer(package, enable_checkpointing=True), settings)
    with pytest.raises(LoggerMisconfigurationError, match="say where to log"):
        exp_manager(make_trainer(package, logger=csv_logger), {**settings, "create_tensorboard_logger": False})
    folder = exp_manager(make_trainer(package, logger=csv_logger), {"create_tensorboard_logger": False})
    assert folder == tmp_path / "mine" / "version_3"


def test_a_folder_that_nobody_can_write_is_one_clear_error() -> None:
    with pytest.raises(StorageError, match=r"cannot be kept in /proc/1/runs/(.|\n)*set exp_manager\.exp_dir"):
        exp_manager(make_trainer(), {"exp_dir": "/proc/1/runs"})


@pytest.mark.parametrize("package", PACKAGES)
def test_lightnings_tips_are_lowered_unless_the_program_has_set_a_level(package: str) -> None:
    import_module(package)
    found = logging.getLogger(package)
    found.setLevel(logging.INFO)
    lower_voice(package)
    assert found.level == logging.WARNING
    found.setLevel(logging.DEBUG)
    lower_voice(package)
    assert found.level == logging.DEBUG
    found.setLevel(logging.WARNING)
