"""What is kept of a run while it goes on: checkpoints, and the ``.nemo`` file.

Lightning's own ``ModelCheckpoint`` is not used: it renews the last checkpoint only when the run has got better, so that
a run that is killed may lose hours, and its moments of saving depend on private parts of the trainer. Both classes here
are made for one Lightning package (``lightning.pytorch`` or ``pytorch_lightning``), when first asked for.
"""

from __future__ import annotations

import logging
import math
import os
import re
import shutil
import time
from collections import defaultdict
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from seaspeak.core.archive import atomic
from seaspeak.core.errors import ConfigError, StorageError, nearest
from seaspeak.data.loader import ResumableLoader
from seaspeak.training.random_state import random_state, set_random_state
from seaspeak.training.settings import CheckpointSettings

logger = logging.getLogger(__name__)


@cache
def run_checkpoint(package: str) -> type[Any]:
    """Return the callback's class for one Lightning package: ``run_checkpoint(package)(folder, name, settings)``."""
    base = import_module(f"{package}.callbacks").Checkpoint
    return type("RunCheckpoint", (_RunCheckpoint, base), {"__module__": __name__, "__doc__": _RunCheckpoint.__doc__})


@cache
def atomic_checkpoints(package: str) -> type[Any]:
    """Return a checkpoint plug-in for one Lightning package that replaces a file at once or not at all."""
    base = import_module(f"{package}.plugins.io").TorchCheckpointIO

    class AtomicCheckpoints(base):  # type: ignore[misc, valid-type]  # the base comes from the Lightning at hand
        """Lightning's, except that a file appears when it is complete."""

        def save_checkpoint(self, checkpoint: dict[str, Any], path: str | os.PathLike[str], *_: Any, **__: Any) -> None:
            with atomic(Path(path)) as file:
                torch.save(checkpoint, file)

    return AtomicCheckpoints


class _RunCheckpoint:
    """Keeps the newest state of a run, the best ones, and the model as a ``.nemo`` file when training ends.

    A checkpoint also holds the state of the random number generators of every process, so that a resumed run continues
    with the numbers that an uninterrupted one would have drawn.

    Args:
        folder: where checkpoints go.
        name: the run's name, with which file names begin.
        settings: what to keep and when.

    Attributes:
        best_model_path, best_model_score, last_model_path: what ``ckpt_path="best"`` and ``"last"`` mean.
        best_k_models: path -> score of what is kept of the best.
    """

    state_key = "seaspeak.RunCheckpoint"  # the same whatever the settings are: a run may be resumed with others

    def __init__(self, folder: Path, name: str, settings: CheckpointSettings) -> None:
        super().__init__()
        if settings.mode not in ("min", "max"):
            raise ConfigError(
                "checkpoint_callback_params.mode says which values are better", got=settings.mode, expected="min or max"
            )
        self.dirpath = str(folder)
        self.name = settings.prefix or name
        self.settings = settings
        self.monitor, self.mode = settings.monitor, settings.mode
        self.best_k_models: dict[str, float] = {}
        self.last_model_path = ""
        self._loaded: list[dict[str, Any]] = []
        self._before_validation: dict[str, Any] = {}
        self._saved_step = -1
        self._saved_at = 0.0
        self._loader_state: dict[str, Any] = {}
        self._validated = self._within_epoch = self._due = False

    @property
    def best_model_path(self) -> str:
        """The best checkpoint so far; empty before there is one."""
        return self._ranked()[0] if self.best_k_models else ""

    @property
    def best_model_score(self) -> float | None:
        """Its value of ``monitor``."""
        return self.best_k_models.get(self.best_model_path)

    @property
    def nemo_path(self) -> Path:
        """The ``.nemo`` file that is written when training ends."""
        return Path(self.dirpath) / f"{self.name}{self.settings.postfix}"

    # --- Lightning's hooks --------------------------------------------------------------------------------------

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Agree with the other processes on the folder, and make it."""
        self.dirpath = trainer.strategy.broadcast(self.dirpath)
        if trainer.is_global_zero and stage == "fit":
            make_folder(Path(self.dirpath))

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Start counting; let the loader go on where it was.

        Lightning does that itself, but too late where a schedule has asked the trainer for the number of steps.
        """
        self._saved_step, self._saved_at = trainer.global_step, time.monotonic()
        self._within_epoch = not trainer.is_last_batch
        if self._loader_state and isinstance(trainer.train_dataloader, ResumableLoader):
            trainer.train_dataloader.load_state_dict(self._loader_state)
        self._loader_state = {}

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Restore the numbers again where the interrupted run had its loader already: starting one draws a number."""
        if self._loaded and (self._within_epoch or getattr(trainer.train_dataloader, "persistent_workers", False)):
            self._restore_random(trainer)
        self._loaded = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Save where steps or minutes say when; after the last batch of an epoch its validation comes first."""
        steps, minutes = self.settings.every_n_train_steps, self.settings.train_time_interval
        due = bool(steps) and trainer.global_step % steps == 0
        if minutes is not None:
            due |= trainer.strategy.broadcast(time.monotonic() - self._saved_at >= 60 * minutes)
        if due and trainer.is_last_batch:
            self._due = True
        elif due:
            self._save(trainer, pl_module)

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Remember the random numbers: a validation shall not move them, or only some of them would start workers."""
        self._before_validation = random_state()

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Save after a validation within an epoch; after the one at its end the epoch's own hook does."""
        set_random_state(self._before_validation)
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        self._validated = True
        if not trainer.is_last_batch and self.settings.every_n_epochs is None:
            self._save(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Save where epochs say when; if nothing says so, after every validation, or every epoch."""
        epochs = self.settings.every_n_epochs
        asked = (epochs, self.settings.every_n_train_steps, self.settings.train_time_interval)
        usual = self._validated or asked == (None, None, None)
        if self._due or ((trainer.current_epoch + 1) % epochs == 0 if epochs else usual):
            self._save(trainer, pl_module)
        self._due = False

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Save what has not been saved, and the ``.nemo`` file."""
        self._save(trainer, pl_module)
        if self.settings.save_nemo_on_train_end and not trainer.fast_dev_run:
            self._save_nemo(trainer, pl_module)

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Put the random number generators' state of every process, and the loader's, into a checkpoint."""
        states = [random_state()]
        if trainer.world_size > 1:
            states = [{} for _ in range(trainer.world_size)]
            torch.distributed.all_gather_object(states, random_state())
        checkpoint["random_states"] = states
        if isinstance(trainer.train_dataloader, ResumableLoader):
            checkpoint["train_loader"] = trainer.train_dataloader.state_dict()

    def on_load_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Go on with the random numbers of the run that is resumed, before anything draws one."""
        if trainer.state.fn == "fit":
            self._loaded = checkpoint.get("random_states", [])
            self._loader_state = checkpoint.get("train_loader", {})
            self._restore_random(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Return what belongs into a checkpoint: names in the folder, which may be moved between runs."""
        return {
            "best_k_models": {os.path.relpath(path, self.dirpath): score for path, score in self.best_k_models.items()},
            "last_model_path": os.path.basename(self.last_model_path),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the state of the run that is resumed, as far as its files are still there."""
        found = {str(Path(self.dirpath, name)): score for name, score in state_dict["best_k_models"].items()}
        self.best_k_models = {path: score for path, score in found.items() if os.path.exists(path)}
        last = str(Path(self.dirpath, state_dict["last_model_path"]))
        self.last_model_path = last if os.path.exists(last) else ""

    # --- saving -------------------------------------------------------------------------------------------------

    def _restore_random(self, trainer: Any) -> None:
        if len(self._loaded) == trainer.world_size:
            set_random_state(self._loaded[trainer.global_rank])

    def _save(self, trainer: Any, pl_module: Any) -> None:
        """Save the present state, unless that has been done; then remove what it supersedes."""
        if trainer.fast_dev_run or self._saved_step == trainer.global_step:
            return
        settings, before = self.settings, {*self.best_k_models, self.last_model_path} - {""}
        score = self._score(trainer)
        kept = str(trainer.strategy.broadcast(self._path(trainer, score)))
        if score is not None and settings.save_top_k:
            self.best_k_models[kept] = score
            for path in self._ranked()[settings.save_top_k :] if settings.save_top_k > 0 else []:
                del self.best_k_models[path]
        last = kept.removesuffix(".ckpt") + "-last.ckpt"
        if settings.save_last:
            self.last_model_path = last
        written = [path for path in (kept, last) if path in {*self.best_k_models, self.last_model_path}]
        if written:
            trainer.save_checkpoint(written[0], settings.save_weights_only)
            for path in written[1:]:
                self._duplicate(trainer, written[0], path)
            if settings.verbose:
                logger.info("step %d: saved %s", trainer.global_step, ", ".join(written))
        for path in before - {*self.best_k_models, self.last_model_path}:
            trainer.strategy.remove_checkpoint(path)
        self._saved_step, self._saved_at, self._validated = trainer.global_step, time.monotonic(), False
        if settings.always_save_nemo and (not settings.save_best_model or self.best_model_path == kept):
            self._save_nemo(trainer, pl_module)

    def _score(self, trainer: Any) -> float | None:
        """The monitored value, if there is a new one; not a number counts as worse than everything."""
        metrics = trainer.callback_metrics
        of_validation = self.monitor.startswith("val")
        if of_validation and not self._validated:
            return None
        if self.monitor not in metrics:
            if not of_validation and not trainer.is_last_batch:
                return None  # it may be logged once an epoch
            raise ConfigError(
                f"exp_manager.checkpoint_callback_params.monitor: nothing called {self.monitor!r} is logged",
                expected=", ".join(sorted(metrics)),
                fix=nearest(self.monitor, metrics),
            )
        value = float(metrics[self.monitor])
        return (math.inf if self.mode == "min" else -math.inf) if math.isnan(value) else value

    def _ranked(self) -> list[str]:
        """What is kept of the best, the best first, of equals the older."""
        return sorted(self.best_k_models, key=lambda path: self.best_k_models[path] * (1 if self.mode == "min" else -1))

    def _path(self, trainer: Any, score: float | None) -> str:
        values: dict[str, Any] = defaultdict(lambda: math.nan)
        values.update({name: float(value) for name, value in trainer.callback_metrics.items()})
        values.update(epoch=trainer.current_epoch, step=trainer.global_step)
        if self.settings.filename is None:
            start, named = f"{self.name}--", True
            pattern = ("" if score is None else f"{{{self.monitor}:.4f}}-") + "{epoch}-{step}"
        else:
            start, pattern, named = "", self.settings.filename, self.settings.auto_insert_metric_name
        if named:
            pattern = re.sub(r"\{([^}:!]+)", r"\1_{\1", pattern)
        text = f"{start}{pattern.format_map(values)}".replace("/", "_").replace("=", "_")
        return str(Path(self.dirpath, f"{text}.ckpt"))

    def _duplicate(self, trainer: Any, path: str, other: str) -> None:
        """Give a checkpoint a second name, without writing it twice where the file system can do that."""
        if os.path.isdir(path):  # a strategy that writes folders
            trainer.save_checkpoint(other, self.settings.save_weights_only)
            return
        if trainer.is_global_zero:
            temporary = f"{other}.part"
            try:
                Path(temporary).unlink(missing_ok=True)
                os.link(path, temporary)
                os.replace(temporary, other)
            except OSError:  # no hard links here
                with open(path, "rb") as source, atomic(Path(other)) as file:
                    shutil.copyfileobj(source, file)
        trainer.strategy.barrier()

    def _save_nemo(self, trainer: Any, pl_module: Any) -> None:
        """Write the ``.nemo`` file, with the best weights in it if the settings say so."""
        if not hasattr(pl_module, "save_to"):
            return
        best = self.best_model_path if self.settings.save_best_model else ""
        if not best:
            pl_module.save_to(self.nemo_path)
            return
        present = {name: value.detach().clone() for name, value in pl_module.state_dict().items()}
        pl_module.load_state_dict(torch.load(best, map_location=pl_module.device, weights_only=True)["state_dict"])
        pl_module.save_to(self.nemo_path)
        pl_module.load_state_dict(present)


def make_folder(folder: Path) -> None:
    """Make a folder that can be written to.

    Raises:
        StorageError: it cannot be made, or nothing can be written into it.
    """
    probe = folder / f".writable-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StorageError(
            f"the run cannot be kept in {folder}: {error.strerror or error}",
            fix="set exp_manager.exp_dir to a folder that you can write to",
        ) from error
