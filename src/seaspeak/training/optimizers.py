"""Optimisers and learning-rate schedules by name, and names for one's own.

The names are rows of the registry's table: ``sgd, adam, adamw, adadelta, adamax, adagrad, rmsprop, rprop, novograd``
and the schedules of :mod:`seaspeak.training.schedules`; dotted names (``torch.optim.NAdam``) work as well.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from seaspeak.core import registry
from seaspeak.training.first_generation import first_generation

__all__ = ["first_generation", "get_optimizer", "get_scheduler", "register_optimizer", "register_scheduler"]


def get_optimizer(name: str, **kwargs: Any) -> partial[Optimizer]:
    """Return the optimiser called ``name``, with ``kwargs`` as its settings; call it with the parameters.

    >>> import torch
    >>> optimizer = get_optimizer("novograd", lr=0.01, betas=(0.8, 0.5))([torch.nn.Parameter(torch.ones(2))])
    >>> optimizer.param_groups[0]["betas"]
    (0.8, 0.5)

    Raises:
        UnknownNameError: no optimiser has this name; the message has the nearest ones.
    """
    build: Callable[..., Optimizer] = registry.optimizer(name)
    return partial(build, **kwargs)


def get_scheduler(name: str, **kwargs: Any) -> partial[LRScheduler]:
    """Return the schedule called ``name``, with ``kwargs`` as its settings; call it with the optimiser.

    Raises:
        UnknownNameError: no schedule has this name; the message has the nearest ones.
    """
    build: Callable[..., LRScheduler] = registry.schedule(name)
    return partial(build, **kwargs)


def register_optimizer(name: str, optimizer: type[Optimizer], optimizer_params: object = None) -> None:
    """Make ``optimizer`` known as ``optim.name: <name>``.

    Args:
        name: what configurations call it.
        optimizer: the class.
        optimizer_params: NeMo's dataclass of its settings; accepted and not needed, the constructor states them.

    Raises:
        ConfigError: the name belongs to another class.
    """
    registry.register(optimizer, name, kind="optimizer")


def register_scheduler(name: str, scheduler: type[LRScheduler], scheduler_params: object = None) -> None:
    """Make ``scheduler`` known as ``optim.sched.name: <name>``; the arguments are as in :func:`register_optimizer`.

    Raises:
        ConfigError: the name belongs to another class.
    """
    registry.register(scheduler, name, kind="schedule")
