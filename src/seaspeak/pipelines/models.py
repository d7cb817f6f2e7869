"""Models for the stages of a pipeline: by name, by archive, or as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from seaspeak.core import Model
from seaspeak.core.errors import ConfigError

Stage = str | Path | Model


def load(kind: type[Model], stage: Stage, *, device: str | torch.device | None = None) -> Any:
    """Return the model that a name of the catalogue, an archive or a model stands for, ready to compute.

    Args:
        kind: the class that it must be of, or derive from.
        stage: the name, the path, or the model.
        device: where it shall compute; None for where it is, or for the first GPU if there is one.

    Raises:
        ConfigError: it is of another kind, or there is no such device.
        FileMissingError, ArchiveError, UnknownNameError, DownloadError: there is no such model.
    """
    if isinstance(stage, Model):
        model = stage
    else:
        archive = Path(stage).suffix == ".nemo" or Path(stage).is_file()
        # the archive says which class it is of; asked for as any model, a wrong kind is named here
        restore = Model.restore_from if archive else Model.from_pretrained
        model = restore(str(stage), map_location=None if device is None else "cpu")
    if not isinstance(model, kind):
        raise ConfigError(
            f"{type(model).__name__} cannot take the place of {kind.__name__}",
            got=type(model).__name__ if isinstance(stage, Model) else str(stage),
            expected=kind.__name__,
            fix="'seaspeak models' lists what there is",
        )
    return (model if device is None else _placed(model, device)).eval()


def _placed(model: Model, device: str | torch.device) -> Model:
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:  # torch's answers to an unknown and to an absent device
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"the device {str(device)!r} cannot be used", got=reason, fix="seaspeak doctor lists devices"
        ) from error
