"""Cross entropy with a share of the truth spread over all classes."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from seaspeak.core.errors import ConfigError
from seaspeak.core.module import Loss
from seaspeak.core.types import LabelsType, LogprobsType, LossType, MaskType, NeuralType
from seaspeak.core.typing import typecheck

LogProbs = Annotated[Tensor, NeuralType("B T D", LogprobsType())]
Labels = Annotated[Tensor, NeuralType("B T", LabelsType())]
OutputMask = Annotated[Tensor | None, NeuralType("B T", MaskType(), optional=True)]
LossOut = Annotated[Tensor, NeuralType(elements_type=LossType()), "loss"]


class SmoothedCrossEntropyLoss(Loss):
    """Mean cross entropy over the places that count (spec nlp §2.3).

    Args:
        pad_id: a label that does not count where no mask is given.
        label_smoothing: the share of the truth that is spread over all classes.
        predict_last_k: only the last so many places count; 0 for all.
        eps: keeps the mean over no place finite.

    Shapes:
        log_probs    (B, T, V)
        labels       (B, T)
        output_mask  (B, T)  1 where a place counts; by default, where the label is not ``pad_id``
        returns      a scalar

    Raises:
        ConfigError: there is neither a mask nor a ``pad_id``.
    """

    def __init__(
        self,
        pad_id: int | None = None,
        label_smoothing: float = 0.0,
        predict_last_k: int = 0,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.pad_id, self.label_smoothing = pad_id, label_smoothing
        self.predict_last_k, self.eps = predict_last_k, eps

    @typecheck()
    def forward(self, log_probs: LogProbs, labels: Labels, output_mask: OutputMask = None) -> LossOut:
        """Return the loss of a batch."""
        if output_mask is None:
            if self.pad_id is None:
                fix = "give output_mask, or build the loss with pad_id"
                raise ConfigError("which places count is not known", fix=fix)
            output_mask = labels.ne(self.pad_id)
        classes = log_probs.shape[-1]
        smoothing = classes * self.label_smoothing / (classes - 1)
        right = log_probs.gather(-1, labels[..., None]).squeeze(-1)
        score = (1 - smoothing) * right + smoothing * log_probs.mean(-1) if smoothing else right
        last = slice(-self.predict_last_k, None) if self.predict_last_k else slice(None)
        kept = output_mask[:, last].to(score.dtype)
        return -(score[:, last] * kept).sum() / (kept.sum() + self.eps)
