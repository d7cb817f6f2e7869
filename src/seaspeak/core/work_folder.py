"""The folder of an experiment: log, command line, state of the code, checkpoints, TensorBoard files."""

from __future__ import annotations

import logging
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from seaspeak.core.errors import ConfigError, FileMissingError, StorageError, require


class WorkFolder:
    """Makes the folder, and writes down how it came about.

    Args:
        log_dir: the folder; without one only ``checkpoint_dir`` is made.
        checkpoint_dir, tensorboard_dir: other places than ``checkpoints`` and ``tensorboard`` below it.
        files_to_copy: files that are kept beside the log, the time in their names.
        add_time: work in a new sub-folder called by the time, ``2026-11-24_14-30-00``.

    Attributes:
        path, checkpoints, tensorboard: the folders; ``None`` where there is none.

    Raises:
        FileMissingError: a file to copy is not there.
        StorageError: the folder cannot be written.
    """

    def __init__(
        self,
        log_dir: str | Path | None = None,
        *,
        checkpoint_dir: str | Path | None = None,
        tensorboard_dir: str | Path | None = None,
        files_to_copy: Iterable[str | Path] = (),
        add_time: bool = False,
    ) -> None:
        now = time.strftime("%Y-%m-%d_%H-%M-%S")
        self.path = None if log_dir is None else Path(log_dir).expanduser() / (now if add_time else "")
        self.checkpoints = self._below("checkpoints", checkpoint_dir)
        self.tensorboard = self._below("tensorboard", tensorboard_dir)
        try:
            if self.checkpoints is not None:
                self.checkpoints.mkdir(parents=True, exist_ok=True)
            if self.path is not None:
                self.path.mkdir(parents=True, exist_ok=True)
                self._describe(self.path, now)
                self._copy(self.path, files_to_copy, now)
        except OSError as error:
            if isinstance(error, FileMissingError):
                raise
            raise StorageError(f"cannot write {error.filename or self.path}: {error.strerror}") from error

    def _below(self, name: str, given: str | Path | None) -> Path | None:
        if given is not None:
            return Path(given).expanduser()
        return None if self.path is None else self.path / name

    @staticmethod
    def _describe(path: Path, now: str) -> None:
        (path / f"cmd-args_{now}.log").write_text(shlex.join(sys.argv) + "\n", encoding="utf-8")
        commit = _git("rev-parse", "HEAD")
        if commit:
            text = f"commit hash: {commit.strip()}\n{_git('diff')}"
            (path / f"git-info_{now}.log").write_text(text, encoding="utf-8")
        handler = logging.FileHandler(path / "log.txt", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger = logging.getLogger("seaspeak")
        logger.addHandler(handler)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)

    @staticmethod
    def _copy(path: Path, files: Iterable[str | Path], now: str) -> None:
        for file in map(Path, files):
            if not file.is_file():
                raise FileMissingError(f"files_to_copy names {file}, which is not there")
            shutil.copy(file, path / f"{file.stem}_{now}{file.suffix}")

    def tensorboard_writer(self) -> Any:
        """Return a new TensorBoard writer.

        Raises:
            ConfigError: there is no folder for it.
            MissingExtra: TensorBoard is not installed.
        """
        if self.tensorboard is None:
            raise ConfigError("a TensorBoard writer needs a folder", fix="log_dir=... or tensorboard_dir=...")
        require("tensorboard", extra="train", why="create_tb_writer")
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(self.tensorboard)


def _git(*arguments: str) -> str:
    """Return what git says, or nothing where there is no git or no repository."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""
