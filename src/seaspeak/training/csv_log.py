"""``metrics.csv``: every logged value of a run, in a form that spreadsheets and pandas read."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from seaspeak.core.archive import atomic
from seaspeak.core.errors import StorageError


class _CsvLog:
    """A Lightning logger that writes a row as soon as it is logged, and goes on with the file of a resumed run.

    Lightning's own loses up to a hundred rows when it is killed, and the whole file when a run is resumed.
    """

    def __init__(self, folder: Path, trainer: Any) -> None:
        super().__init__()
        self._folder, self._trainer = folder, trainer
        self._columns: list[str] = []
        self._opened = False

    @property
    def name(self) -> str:
        """The run's name, as its folder has it."""
        return self._folder.name

    @property
    def version(self) -> str:
        """Empty: the folder says it already."""
        return ""

    @property
    def save_dir(self) -> str:
        """The run's folder."""
        return str(self._folder)

    @property
    def path(self) -> Path:
        """The file."""
        return self._folder / "metrics.csv"

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Append a row.

        Raises:
            StorageError: the file cannot be written.
        """
        if not self._trainer.is_global_zero:
            return
        row = {"step": self._trainer.global_step if step is None else step}
        row.update({name: float(value) for name, value in metrics.items()})
        if "epoch" in row:
            row["epoch"] = int(row["epoch"])
        if not self._opened:
            self._open(int(row["step"]))
        if new := [name for name in row if name not in self._columns]:
            self._rewrite(self._rows(), [*self._columns, *new])
        try:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, self._columns).writerow(row)
        except OSError as error:
            raise StorageError(f"{self.path} cannot be written: {error.strerror or error}") from error

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Write ``hparams.yaml``: the model's configuration."""
        if self._trainer.is_global_zero:
            text = OmegaConf.to_yaml(OmegaConf.create(params), resolve=True)
            with atomic(self._folder / "hparams.yaml") as file:
                file.write(text.encode())

    def _open(self, step: int) -> None:
        """Take over what an interrupted run has left, without what is now done again from ``step`` on."""
        self._opened = True
        rows = self._rows()
        if rows:
            kept = [row for row in rows if int(row["step"]) < step]
            self._rewrite(kept, [name for name in rows[0] if name])
        else:
            self._rewrite([], ["epoch", "step"])

    def _rows(self) -> list[dict[str, str]]:
        """The complete rows of the file; the last one is not, where a run was killed while it was written."""
        if not self.path.is_file():
            return []
        rows = list(csv.DictReader(io.StringIO(self.path.read_text(encoding="utf-8"))))
        return [row for row in rows if None not in row and None not in row.values() and row["step"].isdecimal()]

    def _rewrite(self, rows: list[dict[str, str]], columns: list[str]) -> None:
        self._columns = columns
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
        with atomic(self.path) as file:
            file.write(text.getvalue().encode())


@cache
def csv_log(package: str) -> type[Any]:
    """Return the class of the logger for one Lightning package, made as ``csv_log(package)(folder, trainer)``."""
    base = import_module(f"{package}.loggers.logger").Logger
    return type("CsvLog", (_CsvLog, base), {"__module__": __name__, "__doc__": _CsvLog.__doc__})
