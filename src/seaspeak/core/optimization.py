"""From the ``optim`` section of a model's configuration to an optimiser and its learning-rate schedule."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Iterable
from typing import Any

from omegaconf import DictConfig, OmegaConf
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from seaspeak.core import registry
from seaspeak.core.config import to_config
from seaspeak.core.errors import ConfigError, nearest

logger = logging.getLogger(__name__)

_EVERY_EPOCH = ("ReduceLROnPlateau", "ExponentialLR")
_OF_NEMO = ("t_max_epochs", "t_accumulate_grad_batches", "t_limit_train_batches", "t_num_workers")


def build_optimizer(parameters: Iterable[nn.Parameter], section: DictConfig) -> Optimizer:
    """Return the optimiser that a section describes.

    ``name`` (or ``_target_``) says which, everything else but ``sched`` is an argument; the arguments may also lie in
    a sub-section ``args``, as NeMo allows.

    Raises:
        UnknownNameError: no optimiser has this name.
        ConfigError: the optimiser does not take one of the arguments.
    """
    values = _arguments(section, "sched")
    cls = registry.optimizer(str(section.get("_target_") or section.get("name") or "adam"))
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    if not trained:
        raise ConfigError(
            "there is nothing to train: every parameter of the model is frozen", fix="call model.unfreeze()"
        )
    optimizer: Optimizer = _made(cls, "optim", trained, values)
    return optimizer


def build_schedule(optimizer: Optimizer, section: DictConfig, trainer: Any) -> dict[str, Any] | None:
    """Return Lightning's description of the schedule that a section describes; None where its length is not known.

    ``max_steps`` comes from the trainer's own limit, else from the section, else from the number of batches.

    Raises:
        UnknownNameError: no schedule has this name.
        ConfigError: the schedule does not take one of the arguments.
    """
    values = _arguments(section, "monitor", "reduce_on_plateau", *_OF_NEMO)
    cls = registry.schedule(str(section.get("_target_") or section.get("name")))
    steps = _max_steps(trainer, values.pop("max_steps", None))
    if "max_steps" in inspect.signature(cls.__init__).parameters or not cls.__module__.startswith("torch."):
        if steps is None and getattr(cls, "anneals", False):
            logger.warning(
                "schedule %s left out: neither the trainer nor model.optim.sched.max_steps says where it ends",
                cls.__name__,
            )
            return None
        values["max_steps"] = steps
    schedule: LRScheduler = _made(cls, "optim.sched", optimizer, values)
    return {
        "scheduler": schedule,
        "interval": "epoch" if cls.__name__ in _EVERY_EPOCH else "step",
        "frequency": 1,
        "monitor": section.get("monitor", "loss"),
        "reduce_on_plateau": bool(section.get("reduce_on_plateau", isinstance(schedule, ReduceLROnPlateau))),
    }


def _arguments(section: DictConfig, *others: str) -> dict[str, Any]:
    """The constructor's arguments among the keys of a section, as plain values."""
    plain = OmegaConf.to_container(to_config(section), resolve=True)
    assert isinstance(plain, dict)
    values = {str(key): value for key, value in plain.items() if key not in ("name", "_target_", *others)}
    nested = values.pop("args", None)
    return {**values, **nested} if isinstance(nested, dict) else values


def _made(cls: type[Any], where: str, first: Any, values: dict[str, Any]) -> Any:
    known = [name for base in cls.__mro__ for name in inspect.signature(vars(base).get("__init__", object)).parameters]
    for name in values:
        if name not in known:
            raise ConfigError(f"{where}.{name}: {cls.__name__} has no such argument", fix=nearest(name, known))
    try:
        return cls(first, **values)
    except TypeError as error:
        raise ConfigError(f"{where} does not fit {cls.__name__}: {error}") from error


def _max_steps(trainer: Any, configured: Any) -> int | None:
    """How many optimiser steps training takes, as far as anybody knows."""
    limit = getattr(trainer, "max_steps", -1)
    if limit is not None and limit >= 0:
        return int(limit)
    if configured is not None and configured > 0:
        return int(configured)
    steps = trainer.estimated_stepping_batches if trainer is not None else math.inf
    return int(steps) if math.isfinite(steps) else None
