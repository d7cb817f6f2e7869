"""Cross entropy where places count, and sums of losses."""

from __future__ import annotations

import pytest
import torch

from seaspeak.collections.nlp.losses import AggregatorLoss, CrossEntropyLoss
from seaspeak.core.errors import ConfigError


def test_only_places_under_the_mask_count() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 3, 4), torch.randint(4, (2, 3))
    mask = torch.tensor([[1.0, 0, 0], [0, 1, 1]])
    expected = -logits.log_softmax(-1).gather(-1, labels[..., None])[..., 0][mask > 0.5].mean()
    assert torch.allclose(CrossEntropyLoss(logits_ndim=3)(logits=logits, labels=labels, loss_mask=mask), expected)


def test_a_batch_in_which_nothing_counts_teaches_nothing() -> None:
    logits = torch.randn(2, 3, 4, requires_grad=True)
    labels = torch.zeros(2, 3, dtype=torch.int64)
    loss = CrossEntropyLoss(logits_ndim=3)(logits=logits, labels=labels, loss_mask=torch.zeros(2, 3))
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_losses_are_summed_with_their_weights() -> None:
    losses = {"loss_1": torch.tensor(2.0), "loss_2": torch.tensor(3.0)}
    assert float(AggregatorLoss()(**losses)) == 5
    assert float(AggregatorLoss(weights=[1, 2])(**losses)) == 8
    with pytest.raises(ConfigError):
        AggregatorLoss(3, weights=[1])
