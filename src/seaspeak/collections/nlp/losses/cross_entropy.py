"""Losses over classified pieces, and sums of losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from torch import Tensor
from torch.nn import functional

from seaspeak.core.errors import ConfigError
from seaspeak.core.module import Loss
from seaspeak.core.types import LabelsType, LogitsType, LossType, MaskType, NeuralType
from seaspeak.core.typing import typecheck

LossOut = Annotated[Tensor, NeuralType(elements_type=LossType()), "loss"]


class CrossEntropyLoss(Loss):
    """Cross entropy of classes at those places that count.

    Args:
        logits_ndim: axes of the logits, the classes included.
        weight: of each class.
        reduction: ``mean``, ``sum`` or ``none``.
        ignore_index: a label that never counts.

    Shapes:
        logits     (..., C)
        labels     (...)     int64
        loss_mask  (...)     a place counts where this is above 0.5; everywhere by default
        returns    a scalar, 0 with zero gradients where no place counts; (N,) over the places that count for ``none``
    """

    weight: Tensor | None

    def __init__(
        self,
        logits_ndim: int = 2,
        weight: Sequence[float] | Tensor | None = None,
        reduction: str = "mean",
        ignore_index: int = -100,
    ) -> None:
        super().__init__()
        self.logits_ndim = logits_ndim
        self.reduction = reduction
        self.ignore_index = ignore_index
        self.register_buffer("weight", None if weight is None else torch.as_tensor(weight), persistent=False)

    @property
    def input_types(self) -> dict[str, NeuralType]:
        """Logits of any number of axes, with labels and mask of one less."""
        axes = ["B", *["ANY"] * (self.logits_ndim - 2)]
        return {
            "logits": NeuralType((*axes, "D"), LogitsType()),
            "labels": NeuralType(tuple(axes), LabelsType()),
            "loss_mask": NeuralType(tuple(axes), MaskType(), optional=True),
        }

    @typecheck()
    def forward(self, logits: Tensor, labels: Tensor, loss_mask: Tensor | None = None) -> LossOut:
        """Return the loss of a batch."""
        logits, labels = logits.flatten(0, -2), labels.flatten()
        if loss_mask is not None:
            counts = loss_mask.flatten() > 0.5
            logits, labels = logits[counts], labels[counts]
        if self.reduction != "none" and not len(labels):
            return logits.sum()  # zero, with gradients
        return functional.cross_entropy(
            logits, labels, weight=self.weight, reduction=self.reduction, ignore_index=self.ignore_index
        )


class AggregatorLoss(Loss):
    """The sum of several losses, called ``loss_1``, ``loss_2``, ...

    Args:
        num_inputs: how many.
        weights: what each is multiplied with.

    Raises:
        ConfigError: there are more or fewer weights than losses.
    """

    def __init__(self, num_inputs: int = 2, weights: Sequence[float] | None = None) -> None:
        super().__init__()
        if weights is not None and len(weights) != num_inputs:
            raise ConfigError("each loss needs one weight", got=f"{len(weights)} weights", expected=str(num_inputs))
        self.num_inputs = num_inputs
        self.weights = list(weights) if weights is not None else [1.0] * num_inputs

    @property
    def input_types(self) -> dict[str, NeuralType]:
        """One port a loss."""
        return {f"loss_{number + 1}": NeuralType(elements_type=LossType()) for number in range(self.num_inputs)}

    @typecheck()
    def forward(self, **losses: Any) -> LossOut:
        """Return the weighted sum."""
        terms = [weight * losses[f"loss_{number + 1}"] for number, weight in enumerate(self.weights)]
        return torch.stack(terms).sum()
