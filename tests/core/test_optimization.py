"""The ``optim`` section gives the optimiser and the schedule that it names."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

from seaspeak.core.errors import ConfigError, UnknownNameError
from seaspeak.core.optimization import build_optimizer, build_schedule
from tests.tiny import TinyModel, tiny_config

PARAMETERS = [torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(2), requires_grad=False)]


def optimizer(**section):
    return build_optimizer(PARAMETERS, OmegaConf.create(section))


def schedule(trainer=None, **section):
    return build_schedule(torch.optim.SGD(PARAMETERS, lr=1.0), OmegaConf.create(section), trainer)


def test_the_section_s_keys_are_the_optimiser_s_arguments():
    built = optimizer(name="novograd", lr=0.1, betas=[0.8, 0.5], sched={"name": "CosineAnnealing"})
    assert type(built).__name__ == "Novograd"
    assert tuple(built.defaults["betas"]) == (0.8, 0.5)
    assert built.param_groups[0]["params"] == PARAMETERS[:1]


def test_arguments_may_lie_in_a_section_of_their_own():
    assert optimizer(name="adamw", lr=0.1, args={"weight_decay": 0.5}).defaults["weight_decay"] == 0.5


def test_a_dotted_name_and_none_at_all():
    assert type(optimizer(_target_="torch.optim.Adamax", lr=0.1)) is torch.optim.Adamax
    assert type(optimizer(lr=0.1)) is torch.optim.Adam


@pytest.mark.parametrize(
    ("section", "error", "match"),
    [
        ({"name": "novogradd"}, UnknownNameError, "novograd"),
        ({"name": "sgd", "momentun": 0.9}, ConfigError, r"optim\.momentun: SGD has no such argument[^§]*momentum"),
        ({"name": "novograd", "lr": 0.1, "beta": 1}, ConfigError, r"optim\.beta: .*[^§]*betas"),
    ],
)
def test_mistakes_are_named_with_the_nearest(section, error, match):
    with pytest.raises(error, match=match):
        optimizer(**section)


def test_a_frozen_model_cannot_be_trained():
    with pytest.raises(ConfigError, match="nothing to train"):
        build_optimizer(PARAMETERS[1:], OmegaConf.create({"name": "sgd", "lr": 1.0}))


@pytest.mark.parametrize(
    ("trainer", "configured", "steps"),
    [
        (SimpleNamespace(max_steps=7, estimated_stepping_batches=7), 9, 7),
        (SimpleNamespace(max_steps=-1, estimated_stepping_batches=40), 9, 9),
        (SimpleNamespace(max_steps=-1, estimated_stepping_batches=40), None, 40),
        (SimpleNamespace(max_steps=-1, estimated_stepping_batches=40), -1, 40),
        (None, 9, 9),
    ],
)
def test_the_length_of_a_schedule(trainer, configured, steps):
    built = schedule(trainer, name="CosineAnnealing", warmup_steps=2, min_lr=0.1, max_steps=configured, t_max_epochs=3)
    assert built["scheduler"].max_steps == steps
    assert (built["interval"], built["frequency"], built["monitor"]) == ("step", 1, "loss")
    assert built["reduce_on_plateau"] is False


@pytest.mark.parametrize("trainer", [None, SimpleNamespace(max_steps=-1, estimated_stepping_batches=math.inf)])
def test_a_schedule_whose_end_nobody_knows_is_left_out_with_a_word(trainer, caplog):
    assert schedule(trainer, name="CosineAnnealing") is None
    assert "CosineAnnealing left out" in caplog.text
    assert schedule(trainer, name="WarmupPolicy", warmup_steps=3)["scheduler"].max_steps is None


def test_torchs_schedules_take_no_length():
    built = schedule(name="StepLR", args={"step_size": 3})
    assert built["scheduler"].step_size == 3
    plateau = schedule(name="ReduceLROnPlateau", monitor="val_loss", patience=2)
    assert (plateau["interval"], plateau["monitor"], plateau["reduce_on_plateau"]) == ("epoch", "val_loss", True)
    assert schedule(name="ExponentialLR", gamma=0.9)["interval"] == "epoch"


def test_a_schedule_s_mistakes_are_named():
    with pytest.raises(UnknownNameError, match="CosineAnnealing"):
        schedule(name="CosineAnneling")
    with pytest.raises(ConfigError, match=r"optim\.sched\.warmup_step: [^§]*warmup_steps"):
        schedule(name="CosineAnnealing", max_steps=5, warmup_step=3)
    with pytest.raises(ConfigError, match=r"optim\.sched does not fit StepLR"):
        schedule(name="StepLR")


def test_a_section_given_to_the_model_replaces_its_own():
    model = TinyModel(tiny_config(optim={"name": "sgd", "lr": 0.1}))
    assert type(model.configure_optimizers()) is torch.optim.SGD
    built, plan = model.setup_optimization({"name": "adam", "lr": 0.1, "sched": {"name": "WarmupPolicy"}})
    assert type(built) is torch.optim.Adam
    assert model.cfg.optim.name == "adam"
    assert model.configure_optimizers()[1][0]["scheduler"].__class__ is plan["scheduler"].__class__
