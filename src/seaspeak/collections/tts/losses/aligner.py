"""Losses that teach the aligner: all monotonic alignments together, and that attention be as sharp as the best one.

Shape letters in this file:
    B  batch size      T  frames      N  tokens
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from seaspeak.core.module import Loss
from seaspeak.core.types import LengthsType, LogprobsType, LossType, NeuralType, ProbsType
from seaspeak.core.typing import typecheck

_NEVER = -1e15


class ForwardSumLoss(Loss):
    """Negative log-probability of all monotonic alignments, through CTC with a blank of log-probability -1.

    Shapes:
        attn_logprob      (B, 1, T, N)
        in_lens, out_lens (B,) tokens, frames
        returns           scalar: mean over items, each divided by its tokens
    """

    def __init__(self, blank_logprob: float = -1.0, loss_scale: float = 1.0) -> None:
        super().__init__()
        self.blank_logprob, self.loss_scale = blank_logprob, loss_scale

    @property
    def input_types(self) -> dict[str, NeuralType]:
        """Scores and how many of them count."""
        return {
            "attn_logprob": NeuralType("B S T D", LogprobsType()),
            "in_lens": NeuralType("B", LengthsType()),
            "out_lens": NeuralType("B", LengthsType()),
        }

    @property
    def output_types(self) -> dict[str, NeuralType]:
        """One number."""
        return {"forward_sum_loss": NeuralType(elements_type=LossType())}

    @typecheck()
    def forward(self, attn_logprob: Tensor, in_lens: Tensor, out_lens: Tensor) -> Tensor:
        """Return the loss."""
        score = functional.pad(attn_logprob[:, 0].float(), (1, 0), value=self.blank_logprob)
        places = torch.arange(score.shape[2], device=score.device)
        score = score.masked_fill(places[None, None] > in_lens[:, None, None], _NEVER).log_softmax(dim=2)
        targets = places[None, 1:].expand(len(score), -1)
        loss = functional.ctc_loss(score.transpose(0, 1), targets, out_lens, in_lens, blank=0, zero_infinity=True)
        return loss * self.loss_scale


class BinLoss(Loss):
    """How far attention is from the best alignment: mean of -log of what it gives to that one's pairs.

    Shapes:
        hard_attention, soft_attention  (B, 1, T, N)
    """

    def __init__(self, loss_scale: float = 1.0) -> None:
        super().__init__()
        self.loss_scale = loss_scale

    @property
    def input_types(self) -> dict[str, NeuralType]:
        """Both attentions."""
        return {
            "hard_attention": NeuralType("B S T D", ProbsType()),
            "soft_attention": NeuralType("B S T D", ProbsType()),
        }

    @property
    def output_types(self) -> dict[str, NeuralType]:
        """One number."""
        return {"bin_loss": NeuralType(elements_type=LossType())}

    @typecheck()
    def forward(self, hard_attention: Tensor, soft_attention: Tensor) -> Tensor:
        """Return the loss."""
        given = soft_attention[hard_attention == 1].clamp(min=1e-12).log().sum()
        return -given / hard_attention.sum() * self.loss_scale
