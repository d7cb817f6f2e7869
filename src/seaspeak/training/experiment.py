"""``exp_manager``: gives a training run a folder, logs, checkpoints, and a point to go on from."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from seaspeak.core.errors import ConfigError, FileMissingError, StorageError, require
from seaspeak.training.callbacks import atomic_checkpoints, make_folder, run_checkpoint
from seaspeak.training.csv_log import csv_log
from seaspeak.training.lightning import PACKAGES, package_of
from seaspeak.training.quiet import lower_voice
from seaspeak.training.settings import ExperimentSettings, read_settings

logger = logging.getLogger(__name__)

EXPERIMENTS = "seaspeak_experiments"
"""Folder of all runs where ``exp_dir`` is not given."""

_VERSION = "SEASPEAK_RUN_VERSION"  # tells the other processes of a run what its folder is called


class NotFoundError(FileMissingError):
    """There is no checkpoint to resume from."""


class LoggerMisconfigurationError(ConfigError):
    """The trainer has a logger where the experiment is to make one."""


class CheckpointMisconfigurationError(ConfigError):
    """The trainer saves checkpoints where the experiment is to do so."""


def exp_manager(trainer: Any, cfg: Any = None) -> Path | None:
    """Give a run a folder and what belongs into it, and let it go on where an earlier one stopped.

    The folder is ``exp_dir/name/version``. It gets ``metrics.csv`` (and TensorBoard's files), ``checkpoints`` with the
    last and the best states and, when training ends, ``NAME.nemo``; ``cmd-args.log`` and ``git-info.log`` say what was
    run. With ``resume_if_exists`` the newest complete checkpoint of the folder is where ``trainer.fit`` starts.

    Args:
        trainer: of ``lightning.pytorch`` or ``pytorch_lightning``, made with ``logger=False`` and
            ``enable_checkpointing=False`` (unless ``cfg`` leaves these to it).
        cfg: see :class:`~seaspeak.training.settings.ExperimentSettings`.

    Returns:
        the folder; None without ``cfg``, and for a trainer that is only tried out (``fast_dev_run``).

    Raises:
        UnknownNameError: ``cfg`` has a key that nothing is known of.
        ConfigError: a value is open or cannot be, or the trainer does what is asked for here already.
        NotFoundError: there is no checkpoint to resume from; the message says where it was looked for.
        StorageError: the folder cannot be written to.
    """
    if cfg is None:
        logger.warning("there is no section exp_manager: nothing of this run is kept")
        return None
    settings = read_settings(cfg)
    package = package_of(trainer)
    if package is None:
        raise ConfigError(
            "exp_manager needs a Lightning trainer", got=type(trainer).__name__, expected=" or ".join(PACKAGES)
        )
    lower_voice(package)
    if trainer.fast_dev_run:
        logger.info("fast_dev_run: nothing of this run is kept")
        return None
    _refuse_doubles(trainer, settings)
    folder = _choose_folder(trainer, settings)
    checkpoints = Path(settings.checkpoint_callback_params.dirpath or folder / "checkpoints")
    if settings.resume_if_exists:
        found = find_checkpoint(checkpoints, settings)
        if found is not None:
            logger.info("going on from %s", found)
            trainer.ckpt_path = str(found)
    if trainer.is_global_zero:
        make_folder(folder)
        _record(folder, settings)
    trainer.loggers = [*trainer.loggers, *_loggers(package, trainer, folder, settings)]
    _add_callbacks(package, trainer, checkpoints, settings)
    return folder


def find_checkpoint(folder: Path, settings: ExperimentSettings) -> Path | None:
    """Return the newest complete checkpoint in ``folder``, from which a run goes on; None if it shall start anew.

    Raises:
        NotFoundError: there is none, and the settings do not say what then.
        ConfigError: the run is marked as complete.
    """
    found = sorted(folder.rglob("*.ckpt"), key=_age) if folder.is_dir() else []
    ended = [path for path in found if path.name.endswith("end.ckpt")]
    if ended and not settings.resume_past_end:
        raise ConfigError(
            f"the run in {folder} is complete", got=ended[-1].name, fix="exp_manager.resume_past_end=true goes on"
        )
    complete = [path for path in found if _is_complete(path)]
    if damaged := [path.name for path in found if path not in complete]:
        logger.warning("incomplete checkpoints are passed over: %s", ", ".join(damaged))
    if complete:
        return complete[-1]
    if settings.resume_from_checkpoint:
        given = Path(settings.resume_from_checkpoint).expanduser()
        if not given.exists():
            raise NotFoundError(f"exp_manager.resume_from_checkpoint: there is no checkpoint {given}")
        return given
    if settings.resume_ignore_no_checkpoint:
        logger.info("no checkpoint in %s: starting anew", folder)
        return None
    raise NotFoundError(
        f"there is no checkpoint to resume from in {folder}",
        got="nothing complete" if found else ("an empty folder" if folder.is_dir() else "no such folder"),
        fix="exp_manager.resume_ignore_no_checkpoint=true starts anew; exp_dir, name and version say which folder",
    )


def _age(path: Path) -> tuple[float, bool]:
    return path.stat().st_mtime, path.name.endswith(("last.ckpt", "end.ckpt"))


def _is_complete(path: Path) -> bool:
    """Whether a checkpoint was written to its end; a marker beside it says that another program was still at it."""
    if (path.parent / f"{path.stem}-unfinished").exists():
        return False
    return path.is_dir() or zipfile.is_zipfile(path)


def _refuse_doubles(trainer: Any, settings: ExperimentSettings) -> None:
    makes_logger = settings.create_tensorboard_logger or settings.create_wandb_logger or settings.create_mlflow_logger
    if trainer.loggers and makes_logger:
        raise LoggerMisconfigurationError(
            "the trainer has a logger already, and exp_manager is to make one",
            got=", ".join(type(one).__name__ for one in trainer.loggers),
            fix="trainer.logger=false, or exp_manager.create_tensorboard_logger=false",
        )
    saving = [one for one in trainer.checkpoint_callbacks if hasattr(one, "best_model_path")]
    if saving and settings.create_checkpoint_callback:
        raise CheckpointMisconfigurationError(
            "the trainer saves checkpoints already, and exp_manager is to do so",
            got=", ".join(type(one).__name__ for one in saving),
            fix="trainer.enable_checkpointing=false, or exp_manager.create_checkpoint_callback=false",
        )


def _choose_folder(trainer: Any, settings: ExperimentSettings) -> Path:
    """Return the run's folder as an absolute path; also fills in ``settings.name``."""
    if settings.explicit_log_dir:
        if settings.exp_dir or settings.name or settings.version:
            logger.warning("exp_manager.explicit_log_dir is the run's folder: exp_dir, name and version are ignored")
        settings.name = settings.name or "default"
        return Path(settings.explicit_log_dir).expanduser().absolute()
    if trainer.loggers:
        return _folder_of_logger(trainer.loggers[0], settings)
    settings.name = settings.name or "default"
    home = Path(settings.exp_dir or EXPERIMENTS).expanduser().absolute() / settings.name
    version = settings.version or os.environ.get(_VERSION if trainer.global_rank else "", "")
    if not version and not settings.resume_if_exists:
        version = f"{datetime.now():%Y-%m-%d_%H-%M-%S}" if settings.use_datetime_version else _next_version(home)
    if trainer.is_global_zero:
        os.environ[_VERSION] = version  # for processes that Lightning starts; this one never reads it
    return home / version


def _folder_of_logger(found: Any, settings: ExperimentSettings) -> Path:
    if settings.exp_dir or settings.name:
        raise LoggerMisconfigurationError(
            "exp_manager.exp_dir and exp_manager.name say where to log, and so does the trainer's logger",
            fix="trainer.logger=false, or leave both out",
        )
    settings.name = found.name or "default"
    version = found.version if isinstance(found.version, str) else f"version_{found.version}"
    return Path(found.save_dir or ".").absolute() / (found.name or "") / version


def _next_version(home: Path) -> str:
    taken = [path.name.removeprefix("version_") for path in home.glob("version_*")]
    return f"version_{max((int(number) for number in taken if number.isdecimal()), default=-1) + 1}"


def _record(folder: Path, settings: ExperimentSettings) -> None:
    """Note what is run, from which state of the source; every start of a resumed run adds to the files."""
    now = f"{datetime.now():%Y-%m-%d %H:%M:%S}"
    try:
        with (folder / "cmd-args.log").open("a", encoding="utf-8") as file:
            file.write(f"{now}  {' '.join(sys.argv)}\n")
        if (state := _git_state()) is not None:
            with (folder / "git-info.log").open("a", encoding="utf-8") as file:
                file.write(f"{now}\n{state}\n")
        for source in settings.files_to_copy or []:
            shutil.copy2(source, folder)
    except FileNotFoundError as error:
        raise FileMissingError(f"exp_manager.files_to_copy: there is no file {error.filename}") from error
    except OSError as error:
        raise StorageError(f"the run cannot be kept in {folder}: {error.strerror or error}") from error


def _git_state() -> str | None:
    """Commit and changes of the working tree that the program is run in; None outside one."""
    texts = []
    for command in (["rev-parse", "HEAD"], ["diff", "HEAD"]):
        try:
            done = subprocess.run(["git", *command], capture_output=True, timeout=20, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        texts.append(done.stdout.decode(errors="replace").strip())
    return f"commit {texts[0]}\n{texts[1]}"


def _loggers(package: str, trainer: Any, folder: Path, settings: ExperimentSettings) -> list[Any]:
    made: list[Any] = []
    if settings.create_csv_logger and not trainer.loggers:
        made.append(csv_log(package)(folder, trainer))
    if settings.create_tensorboard_logger:
        extra = dict(settings.summary_writer_kwargs or {})
        if "log_dir" in extra:
            raise ConfigError(
                "exp_manager.summary_writer_kwargs.log_dir cannot be given: TensorBoard's files go to the run's folder",
                fix="set exp_dir, name and version",
            )
        if find_spec("tensorboard") or find_spec("tensorboardX"):
            made.append(
                import_module(f"{package}.loggers").TensorBoardLogger(folder.parent, folder.name, version="", **extra)
            )
        else:
            logger.info('TensorBoard is not installed (pip install "seaspeak[train]"): metrics.csv has the curves')
    others: list[tuple[bool, str, str, dict[str, Any] | None, Callable[[dict[str, Any]], bool]]] = [
        (
            settings.create_wandb_logger,
            "wandb",
            "WandbLogger",
            settings.wandb_logger_kwargs,
            lambda given: bool(given.get("name") or given.get("project")),
        ),
        (settings.create_mlflow_logger, "mlflow", "MLFlowLogger", settings.mlflow_logger_kwargs, lambda given: True),
    ]
    for wanted, module, name, given, suffices in others:
        if wanted:
            if not suffices(given or {}):
                raise ConfigError(f"exp_manager.{module}_logger_kwargs needs a name or a project")
            require(module, extra="train", why=f"exp_manager.create_{module}_logger")
            made.append(
                getattr(import_module(f"{package}.loggers"), name)(**{"save_dir": str(folder), **(given or {})})
            )
    return made


def _add_callbacks(package: str, trainer: Any, checkpoints: Path, settings: ExperimentSettings) -> None:
    """Add callbacks; that of checkpoints comes last, after those that log."""
    callbacks = import_module(f"{package}.callbacks")
    if settings.create_early_stopping_callback:
        trainer.callbacks.append(callbacks.EarlyStopping(**asdict(settings.early_stopping_callback_params)))
    if settings.max_time_per_run:
        trainer.callbacks.append(callbacks.Timer(duration=settings.max_time_per_run))
    if settings.create_checkpoint_callback:
        saver = run_checkpoint(package)(checkpoints, settings.name or "default", settings.checkpoint_callback_params)
        trainer.callbacks.append(saver)
    usual = import_module(f"{package}.plugins.io").TorchCheckpointIO
    with contextlib.suppress(AttributeError):  # a strategy that has no such part
        if type(trainer.strategy.checkpoint_io) is usual:
            trainer.strategy.checkpoint_io = atomic_checkpoints(package)()
