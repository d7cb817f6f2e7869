"""Connectionist temporal classification."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from seaspeak.core.errors import ConfigError, nearest
from seaspeak.core.module import Loss
from seaspeak.core.types import LabelsType, LengthsType, LogprobsType, LossType, NeuralType
from seaspeak.core.typing import typecheck

REDUCTIONS = ("mean_batch", "mean_volume", "mean", "sum", "none")

LossOut = Annotated[Tensor, NeuralType(elements_type=LossType()), "loss"]
LogProbs = Annotated[Tensor, NeuralType("B T D", LogprobsType())]
Labels = Annotated[Tensor, NeuralType("B T", LabelsType())]
Lengths = Annotated[Tensor, NeuralType("B", LengthsType())]


class CTCLoss(Loss):
    """Negative log-likelihood of the labels, over all alignments to the frames; the blank is the last class.

    Args:
        num_classes: labels without the blank, so also the index of the blank.
        zero_infinity: labels that cannot be aligned (more of them than frames) count 0 instead of infinity.
        reduction: ``mean_batch`` (mean over the items), ``mean_volume`` (sum over the items by the sum of their
            label counts), ``mean`` (mean over the items, each divided by its label count), ``sum`` or ``none``.

    Shapes:
        log_probs       (B, T, V+1)    natural logarithms
        targets         (B, U)         int64
        input_lengths   (B,)           frames
        target_lengths  (B,)           labels
        returns         a scalar, or (B,) for ``none``

    Raises:
        ConfigError: unknown reduction.

    Source: Graves and others 2006.
    """

    def __init__(self, num_classes: int, zero_infinity: bool = False, reduction: str = "mean_batch") -> None:
        super().__init__()
        if reduction not in REDUCTIONS:
            raise ConfigError(
                f"no CTC reduction is called {reduction!r}",
                expected=", ".join(REDUCTIONS),
                fix=nearest(str(reduction), REDUCTIONS),
            )
        self.blank = num_classes
        self.zero_infinity = zero_infinity
        self.reduction = reduction

    @typecheck()
    def forward(self, log_probs: LogProbs, targets: Labels, input_lengths: Lengths, target_lengths: Lengths) -> LossOut:
        """Return the loss of a batch."""
        return self.loss(log_probs, targets, input_lengths, target_lengths)

    def loss(self, log_probs: Tensor, targets: Tensor, input_lengths: Tensor, target_lengths: Tensor) -> Tensor:
        """Return the loss of a batch, unchecked."""
        target_lengths = target_lengths.long()
        losses = F.ctc_loss(
            log_probs.transpose(0, 1),
            targets.long(),
            input_lengths.long(),
            target_lengths,
            blank=self.blank,
            reduction="none",
            zero_infinity=self.zero_infinity,
        )
        if self.reduction == "none":
            return losses
        if self.reduction == "sum":
            return losses.sum()
        if self.reduction == "mean_volume":
            return losses.sum() / target_lengths.sum()
        if self.reduction == "mean":
            losses = losses / target_lengths.clamp(min=1)
        return torch.mean(losses)


class CTCLossNM(CTCLoss):
    """``CTCLoss`` with the port names of NeMo 0.11."""

    def __init__(self, num_classes: int, zero_infinity: bool = False) -> None:
        super().__init__(num_classes, zero_infinity)

    @typecheck()
    def forward(self, log_probs: LogProbs, targets: Labels, input_length: Lengths, target_length: Lengths) -> LossOut:
        """Return the loss of a batch."""
        return self.loss(log_probs, targets, input_length, target_length)
