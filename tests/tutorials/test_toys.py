"""The Taylor net's parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seaspeak.core.types import ChannelType, LabelsType, LossType, NeuralType
from seaspeak.tutorials import CrossEntropyLoss, L1Loss, MSELoss, RealFunctionDataLayer, TaylorNet


def test_points_lie_on_the_function() -> None:
    np.random.seed(3)
    data = RealFunctionDataLayer(batch_size=8, f_name="cos", n=20, x_lo=1, x_hi=2)
    x, y = data.forward()
    assert (len(data), x.shape, x.dtype) == (20, (20, 1), torch.float32)
    assert 1 <= x.min() < x.max() <= 2
    torch.testing.assert_close(y, torch.cos(x))
    assert [len(batch["x"]) for batch in data.batches()] == [8, 8, 4]
    assert torch.equal(torch.cat([batch["x"] for batch in data.batches()]), x)  # in order
    assert RealFunctionDataLayer(1).forward().x.shape == (1000, 1)


def test_points_come_from_numpys_generator() -> None:
    np.random.seed(3)
    expected = np.random.uniform(-4, 4, (5, 1)).astype(np.float32)
    np.random.seed(3)
    assert np.array_equal(RealFunctionDataLayer(1, n=5).forward().x.numpy(), expected)


def test_another_function_is_refused() -> None:
    with pytest.raises(LookupError, match="no function is called 'tan'"):
        RealFunctionDataLayer(1, f_name="tan")


def test_a_taylor_net_is_a_polynomial() -> None:
    net = TaylorNet(dim=3)
    with torch.no_grad():
        net.fc1.weight.copy_(torch.tensor([[1.0, 2.0, 3.0]]))
        net.fc1.bias.fill_(0.5)
    assert net(x=torch.tensor([[2.0]])).item() == 0.5 + 1 + 2 * 2 + 3 * 4
    assert list(net.state_dict()) == ["fc1.weight", "fc1.bias"]


def test_ports() -> None:
    assert RealFunctionDataLayer(1).output_types == {
        "x": NeuralType("B D", ChannelType()),
        "y": NeuralType("B D", LabelsType()),
    }
    assert type(RealFunctionDataLayer(1)()).__name__ == "RealFunctionDataLayerOutput"
    assert TaylorNet(2).output_types == {"y_pred": NeuralType("B D", ChannelType())}
    assert MSELoss().output_types == {"loss": NeuralType(None, LossType())}
    assert CrossEntropyLoss().input_types == {
        "predictions": NeuralType("B D", ChannelType()),
        "labels": NeuralType("B", LabelsType()),
    }


def test_losses_go_by_name_and_not_by_order() -> None:
    logits, labels = torch.tensor([[1.0, 3.0], [2.0, 0.0]]), torch.tensor([0, 1])
    expected = torch.nn.functional.cross_entropy(logits, labels)
    assert CrossEntropyLoss()(labels=labels, predictions=logits) == expected  # NeMo 0.11 takes them in this order
    x, y = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [4.0]])
    assert MSELoss()(target=y, predictions=x) == 2.5
    assert L1Loss()(predictions=x, target=y) == 1.5
