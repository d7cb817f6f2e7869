"""A function, a net that approximates it, and losses.

Shape letters: B examples in a batch, D numbers an example.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from seaspeak.core.data_layer import DataLayer
from seaspeak.core.errors import UnknownNameError, nearest
from seaspeak.core.module import Loss, NeuralModule
from seaspeak.core.types import ChannelType, LabelsType, LossType, NeuralType
from seaspeak.core.typing import typecheck

_FUNCTIONS = {"sin": np.sin, "cos": np.cos}

Channels = Annotated[Tensor, NeuralType("B D", ChannelType())]
Labels = Annotated[Tensor, NeuralType("B D", LabelsType())]
LossValue = Annotated[Tensor, NeuralType(elements_type=LossType()), "loss"]


class RealFunctionDataLayerOutput(NamedTuple):
    """What ``RealFunctionDataLayer`` gives."""

    x: Channels
    y: Labels


class RealFunctionDataLayer(DataLayer):
    """RealFunctionDataLayerOutput of a function.

    Args:
        batch_size: points in a batch.
        f_name: ``"sin"`` or ``"cos"``.
        n: points in all; x is drawn evenly by numpy's global generator.
        x_lo, x_hi: range of x.
        name: what graphs call it.

    Raises:
        UnknownNameError: another function (also a ``LookupError``).
    """

    def __init__(
        self,
        batch_size: int,
        f_name: str = "sin",
        n: int = 1000,
        x_lo: float = -4,
        x_hi: float = 4,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        if f_name not in _FUNCTIONS:
            raise UnknownNameError(
                f"no function is called {f_name!r}", expected="sin or cos", fix=nearest(f_name, _FUNCTIONS)
            )
        x = np.random.uniform(low=x_lo, high=x_hi, size=(n, 1)).astype(np.float32)
        self.dataset = TensorDataset(torch.from_numpy(x), torch.from_numpy(_FUNCTIONS[f_name](x)))
        self.batch_size = batch_size

    def forward(self) -> RealFunctionDataLayerOutput:
        """Return all points at once."""
        return RealFunctionDataLayerOutput(*self.dataset.tensors)


class TaylorNet(NeuralModule):
    """A polynomial of degree ``dim - 1`` with learned coefficients.

    Shapes:
        x       (B, 1)
        y_pred  (B, 1)
    """

    def __init__(self, dim: int, name: str | None = None) -> None:
        super().__init__(name=name)
        self.dim = dim
        self.fc1 = nn.Linear(dim, 1)
        nn.init.xavier_uniform_(self.fc1.weight)

    @typecheck()
    def forward(self, x: Channels) -> Annotated[Tensor, NeuralType("B D", ChannelType()), "y_pred"]:
        """Return the polynomial's value."""
        powers: Tensor = torch.cat([x**power for power in range(self.dim)], dim=-1)
        return self.fc1(powers)


class MSELoss(Loss):
    """Mean squared difference."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name=name)

    @typecheck()
    def forward(self, predictions: Channels, target: Labels) -> LossValue:
        """Return the mean over all numbers."""
        return nn.functional.mse_loss(predictions, target)


class L1Loss(Loss):
    """Mean absolute difference."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name=name)

    @typecheck()
    def forward(self, predictions: Channels, target: Labels) -> LossValue:
        """Return the mean over all numbers."""
        return nn.functional.l1_loss(predictions, target)


class CrossEntropyLoss(Loss):
    """Cross entropy of logits."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name=name)

    @typecheck()
    def forward(self, predictions: Channels, labels: Annotated[Tensor, NeuralType("B", LabelsType())]) -> LossValue:
        """Return the mean over the batch."""
        return nn.functional.cross_entropy(predictions, labels)
