"""What makes a model learn: optimisers, schedules, experiment folders, and the doors to Lightning and Hydra.

Nothing here imports Lightning or Hydra until it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seaspeak._lazy import attach

if TYPE_CHECKING:
    from seaspeak.training.experiment import exp_manager
    from seaspeak.training.hydra import hydra_runner
    from seaspeak.training.novograd import Novograd
    from seaspeak.training.optimizers import get_optimizer, get_scheduler, register_optimizer, register_scheduler

__getattr__, __dir__, __all__ = attach(
    __name__,
    names={
        "seaspeak.training.experiment": ["exp_manager"],
        "seaspeak.training.hydra": ["hydra_runner"],
        "seaspeak.training.novograd": ["Novograd"],
        "seaspeak.training.optimizers": ["get_optimizer", "get_scheduler", "register_optimizer", "register_scheduler"],
    },
)
