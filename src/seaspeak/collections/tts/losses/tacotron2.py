"""Tacotron 2's loss: both spectrograms, and the end of the utterance."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from seaspeak.core.module import Loss
from seaspeak.core.types import LengthsType, LogitsType, LossType, MelSpectrogramType, NeuralType
from seaspeak.core.typing import typecheck

_CERTAIN = 1000.0  # a logit: padding counts as rightly ended

Mel = Annotated[Tensor, NeuralType("B D T", MelSpectrogramType())]


class Tacotron2Losses(NamedTuple):
    """The loss, and the targets of the gate (B * T, 1)."""

    loss: Annotated[Tensor, NeuralType(elements_type=LossType())]
    gate_target: Annotated[Tensor, NeuralType("B T", LogitsType())]


class Tacotron2Loss(Loss):
    """Squared error of both spectrograms plus the cross-entropy of the gate, which is 1 from the last frame on.

    Predictions of another length than the target are cut, or filled up with padding; behind the end of each item they
    count as right. The means are over all elements, padding included.

    Shapes:
        spec_pred_dec, spec_pred_postnet  (B, D, T')  before and behind the postnet
        gate_pred                         (B, T')     logits
        spec_target                       (B, D, T)
        spec_target_len                   (B,)        frames that count
    """

    @typecheck()
    def forward(
        self,
        spec_pred_dec: Mel,
        spec_pred_postnet: Mel,
        gate_pred: Annotated[Tensor, NeuralType("B T", LogitsType())],
        spec_target: Mel,
        spec_target_len: Annotated[Tensor, NeuralType("B", LengthsType())],
        pad_value: float,
    ) -> Tacotron2Losses:
        """Return the loss and the targets of the gate."""
        frames = spec_target.shape[2]
        frame_T = torch.arange(frames, device=spec_target.device)
        padding_BT = frame_T >= spec_target_len[:, None]
        ended_BT = (frame_T >= spec_target_len[:, None] - 1).to(spec_target.dtype)

        def fitted(prediction: Tensor, fill: float) -> Tensor:
            missing = frames - prediction.shape[-1]  # cuts where negative
            return F.pad(prediction, (0, missing), value=fill)

        def error(prediction: Tensor) -> Tensor:
            return F.mse_loss(fitted(prediction, pad_value).masked_fill(padding_BT[:, None], pad_value), spec_target)

        gates = fitted(gate_pred, _CERTAIN).masked_fill(padding_BT, _CERTAIN)
        ends = F.binary_cross_entropy_with_logits(gates, ended_BT)
        return Tacotron2Losses(error(spec_pred_dec) + error(spec_pred_postnet) + ends, ended_BT.reshape(-1, 1))


def guided_attention_loss(alignments: Tensor, token_len: Tensor, spec_len: Tensor, width: float = 0.2) -> Tensor:
    """Return how much of the attention lies far from the diagonal, a mean over the frames that count.

    Args:
        alignments: (B, T, N), rows sum to 1.
        token_len: (B,) tokens that count.
        spec_len: (B,) frames that count.
        width: how far is far, as a share of the utterance.

    Source: Tachibana and others 2017, arXiv:1710.08969, section 4.
    """
    device = alignments.device
    frame_BT = torch.arange(alignments.shape[1], device=device) / spec_len[:, None]
    token_BN = torch.arange(alignments.shape[2], device=device) / token_len[:, None]
    far_BTN = 1 - torch.exp(-((frame_BT[:, :, None] - token_BN[:, None]) ** 2) / (2 * width**2))
    counts_BT = (frame_BT < 1).to(alignments.dtype)
    return ((alignments * far_BTN).sum(2) * counts_BT).sum() / counts_BT.sum()
