"""WaveGlow's loss: how unlikely sound is."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from seaspeak.core.module import Loss
from seaspeak.core.types import (
    LogDeterminantType,
    LossType,
    NeuralType,
    NormalDistributionSamplesType,
    VoidType,
)
from seaspeak.core.typing import typecheck


class WaveGlowLoss(Loss):
    """Negative log-likelihood of sound for each sample, without the constant.

    Shapes:
        z               (B, G, P)  the noise that the sound stands for
        log_s_list      each (B, N, P)
        log_det_W_list  each a scalar, for the whole batch
        sigma           deviation of the noise
    """

    @typecheck()
    def forward(
        self,
        z: Annotated[Tensor, NeuralType(("B", "flowgroup", "T"), NormalDistributionSamplesType())],
        log_s_list: list[Annotated[Tensor, NeuralType(("B", "flowgroup", "T"), VoidType())]],
        log_det_W_list: list[Annotated[Tensor, NeuralType(elements_type=LogDeterminantType())]],
        sigma: float = 1.0,
    ) -> Annotated[Tensor, NeuralType(elements_type=LossType()), "loss"]:
        """Return the loss."""
        volume = sum((scale.sum() for scale in log_s_list), torch.stack(log_det_W_list).sum())
        return (z.square().sum() / (2 * sigma**2) - volume) / z.numel()
