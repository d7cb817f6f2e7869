"""Optimisers and schedules are found by name."""

from __future__ import annotations

import pytest
import torch

from seaspeak.core.errors import ConfigError, UnknownNameError
from seaspeak.training import get_optimizer, get_scheduler, register_optimizer, register_scheduler
from seaspeak.training.novograd import Novograd
from seaspeak.training.schedules import CosineAnnealing, WarmupPolicy

OPTIMIZERS = ["sgd", "adam", "adamw", "adadelta", "adamax", "adagrad", "rmsprop", "rprop", "novograd", "Novograd"]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_name_makes_an_optimizer_that_descends(name: str) -> None:
    param = torch.nn.Parameter(torch.tensor([2.0]))
    optimizer = get_optimizer(name, lr=0.01)([param])
    for _ in range(3):
        optimizer.zero_grad()
        param.square().sum().backward()
        optimizer.step()
    assert 0 < param.item() < 2.0


def test_schedules_are_found_by_name_too() -> None:
    optimizer = get_optimizer("novograd", lr=0.1)([torch.nn.Parameter(torch.zeros(1))])
    assert isinstance(optimizer, Novograd)
    assert isinstance(get_scheduler("CosineAnnealing", max_steps=10)(optimizer), CosineAnnealing)


def test_a_misspelt_name_gets_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'novograd'"):
        get_optimizer("novogard")
    with pytest.raises(UnknownNameError, match="'CosineAnnealing'"):
        get_scheduler("CosineAnealing")


def test_own_classes_get_names_that_nobody_else_can_take() -> None:
    class Lazy(torch.optim.SGD):
        pass

    class Flat(WarmupPolicy):
        pass

    register_optimizer("test_lazy", Lazy)
    register_scheduler("test_flat", Flat)
    assert get_optimizer("test_lazy").func is Lazy
    assert get_scheduler("test_flat").func is Flat
    with pytest.raises(ConfigError, match="'sgd' is already the name of"):
        register_optimizer("sgd", Lazy)
    with pytest.raises(ValueError, match="is already the name of"):
        register_scheduler("CosineAnnealing", Flat)
