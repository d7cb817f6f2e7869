"""Optimisers by the names and with the defaults of NeMo 0.11."""

from __future__ import annotations

import math

import pytest
import torch

from seaspeak.core.errors import ConfigError, UnknownNameError
from seaspeak.training.first_generation import first_generation


def parameter() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("sgd", {"momentum": 0.9, "weight_decay": 0.0}),
        ("adam", {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "amsgrad": False}),
        ("adam_w", {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "amsgrad": False}),
        ("novograd", {"betas": (0.95, 0.25), "weight_decay": 0.0, "luc": False, "luc_trust": 1e-3}),
        ("Fused_Novograd", {"betas": (0.95, 0.25)}),
    ],
)
def test_names_have_the_defaults_of_the_factory(name: str, settings: dict) -> None:
    optimizer = first_generation(name, [parameter()], {"lr": 0.1, "num_epochs": 3})
    group = optimizer.param_groups[0]
    assert {key: group[key] for key in settings} == settings
    assert group["lr"] == 0.1


def test_given_settings_win_and_luc_eta_is_the_trust() -> None:
    optimizer = first_generation("novograd", [parameter()], {"lr": 0.1, "luc": True, "luc_eta": 0.02, "betas": (0, 0)})
    assert optimizer.param_groups[0]["luc_trust"] == 0.02
    assert optimizer.param_groups[0]["betas"] == (0, 0)


@pytest.mark.parametrize("amsgrad", [False, True])
def test_adam_w_without_decay_is_adam(amsgrad: bool) -> None:
    torch.manual_seed(0)
    ours, adam = parameter(), parameter()
    settings = {"lr": 0.01, "amsgrad": amsgrad, "eps": 0.0}  # eps enters at another place
    pairs = [(ours, first_generation("adam_w", [ours], settings)), (adam, first_generation("adam", [adam], settings))]
    for _ in range(5):
        gradient = torch.randn(3, dtype=torch.float64)
        for param, optimizer in pairs:
            param.grad = gradient.clone()
            optimizer.step()
    torch.testing.assert_close(ours, adam)


def test_decay_of_adam_w_is_scaled_by_the_step_size() -> None:
    param = parameter()
    optimizer = first_generation("adam_w", [param], {"lr": 0.1, "weight_decay": 0.5})
    param.grad = torch.ones_like(param)
    start = param.detach().clone()
    optimizer.step()
    mean, square = 0.1, 0.001
    step_size = 0.1 * math.sqrt(1 - 0.999) / (1 - 0.9)
    expected = start - step_size * (0.5 * start + mean / (math.sqrt(square) + 1e-8))
    torch.testing.assert_close(param.detach(), expected)


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"no optimizer is called 'novgrad'(.|\n)*did you mean 'novograd'"):
        first_generation("novgrad", [parameter()], {"lr": 0.1})


def test_a_missing_learning_rate_is_named() -> None:
    with pytest.raises(ConfigError, match="optimization_params has no lr"):
        first_generation("adam", [parameter()], {"num_epochs": 1})
