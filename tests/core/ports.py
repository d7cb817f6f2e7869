"""Modules with one port of a given type, and without any meaning."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seaspeak.core.module import NeuralModule
from seaspeak.core.types import NeuralType
from seaspeak.core.typing import typecheck


def producer(neural_type: NeuralType) -> NeuralModule:
    """A module without inputs that gives a tensor of ones, of any size where the type has none."""

    class Producer(NeuralModule):
        @property
        def input_types(self) -> dict[str, Any]:
            return {}

        @property
        def output_types(self) -> dict[str, Any]:
            return {"y": neural_type}

        @typecheck()
        def forward(self) -> Tensor:
            return torch.ones([axis.size or 2 for axis in neural_type.axes or ()])

    return Producer()


def consumer(neural_type: NeuralType) -> NeuralModule:
    """A module that takes a value and gives nothing back."""

    class Consumer(NeuralModule):
        @property
        def input_types(self) -> dict[str, Any]:
            return {"x": neural_type}

        @property
        def output_types(self) -> dict[str, Any]:
            return {"y": NeuralType(optional=True)}

        @typecheck()
        def forward(self, x: Tensor) -> None:
            return None

    return Consumer()
