"""The article's program in pieces, and a callback that writes everything down."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from seaspeak.core.callbacks import ActionState, NeMoCallback
from seaspeak.core.graph import Symbol
from seaspeak.training.engine import Engine
from seaspeak.tutorials import MSELoss, RealFunctionDataLayer, TaylorNet

CPU = torch.device("cpu")


def program(batches: int = 2, batch_size: int = 12) -> tuple[RealFunctionDataLayer, TaylorNet, Symbol]:
    """The article's modules and the symbol of their loss."""
    torch.manual_seed(0)
    np.random.seed(0)
    data, net = RealFunctionDataLayer(batch_size, n=batches * batch_size), TaylorNet(dim=4)
    x, y = data()
    return data, net, MSELoss()(net(x), y)


def train(losses: Any, engine: Engine | None = None, **options: Any) -> Engine:
    engine = engine or Engine(CPU)
    params = {"num_epochs": 1, "lr": 1e-4} | options.pop("params", {})
    engine.train(losses, optimizer=options.pop("optimizer", "sgd"), optimization_params=params, **options)
    return engine


class Diary(NeMoCallback):
    """Writes down every event with the step and the epoch."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int, int]] = []

    def notify(self, event: str, state: ActionState) -> None:
        super().notify(event, state)
        self.events.append((event, state["step"], state["epoch"]))

    def count(self, event: str) -> int:
        return sum(name == event for name, _, _ in self.events)
