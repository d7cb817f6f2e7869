"""Models for the stages of a pipeline: by name, by archive, or as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from seaspeak.core import Model, pretrained
from seaspeak.core.errors import ConfigError

Stage = str | Path | Model


def load(kind: type[Model], stage: Stage, *, device: str | torch.device | None = None) -> Any:
    """Return the model that a name of the catalogue, an archive or a model stands for, ready to compute.

    Args:
        kind: the class that it must be of, or derive from.
        stage: the name, the path, or the model.
        device: where it shall compute; None for where it is, or for the first GPU if there is one.

    Raises:
        ConfigError: it is of another kind.
        FileMissingError, ArchiveError, UnknownNameError, DownloadError: there is no such model.
    """
    if isinstance(stage, Model):
        model = stage if device is None else stage.to(device)
    else:
        archive = Path(stage).suffix == ".nemo" or Path(stage).is_file()
        # the archive says which class it is of; asked for as any model, a wrong kind is named here
        model = (Model.restore_from if archive else Model.from_pretrained)(str(stage), map_location=device)
    if not isinstance(model, kind):
        raise ConfigError(
            f"{type(model).__name__} cannot take the place of a {kind.__name__}",
            got=type(model).__name__ if isinstance(stage, Model) else str(stage),
            expected=kind.__name__,
            fix="'seaspeak models' lists what there is",
        )
    return model.eval()


def exists(name: str) -> bool:
    """Whether the catalogue has a model called ``name``."""
    return any(entry.name == name for entry in pretrained.catalogue())
