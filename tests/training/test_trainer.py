"""The section trainer: today's arguments, and those of 2020."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from seaspeak.core.errors import UnknownNameError
from seaspeak.training.trainer import make_trainer, modernise, modernise_section

QUIET = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "enable_checkpointing": False}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"gpus": 0, "max_epochs": 5}, {"max_epochs": 5, "accelerator": "cpu", "devices": 1}),
        ({"gpus": None}, {"accelerator": "cpu", "devices": 1}),
        ({"gpus": 1, "accelerator": "ddp"}, {"accelerator": "gpu", "devices": 1}),
        ({"gpus": [0, 1], "accelerator": "ddp"}, {"accelerator": "gpu", "devices": [0, 1], "strategy": "ddp"}),
        ({"gpus": 2, "distributed_backend": "dp"}, {"accelerator": "gpu", "devices": 2, "strategy": "ddp"}),
        ({"max_steps": None, "checkpoint_callback": False}, {"enable_checkpointing": False, "max_steps": -1}),
        ({"max_steps": 7, "amp_level": None}, {"max_steps": 7}),
        (
            {"accelerator": "cpu", "devices": 2, "strategy": "ddp"},
            {"accelerator": "cpu", "devices": 2, "strategy": "ddp"},
        ),
    ],
)
def test_arguments_of_2020_become_those_of_today(old: dict, new: dict) -> None:
    assert modernise(old) == new
    cfg = OmegaConf.create({"trainer": old})
    OmegaConf.set_struct(cfg, True)
    modernise_section(cfg)
    assert cfg.trainer == new


def test_settings_that_are_gone_are_named(caplog) -> None:
    assert modernise({"track_grad_norm": 2, "max_epochs": 1}) == {"max_epochs": 1}
    assert "have no effect any more: track_grad_norm" in caplog.text


def test_a_trainer_is_made_and_the_section_wins_over_defaults() -> None:
    trainer = make_trainer(OmegaConf.create({**QUIET, "gpus": 0, "max_epochs": 3}), max_epochs=7, max_steps=9)
    assert (trainer.max_epochs, trainer.max_steps) == (3, 9)


def test_an_unknown_argument_gets_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"trainer\.max_epoch is not an argument(.|\n)*'max_epochs'"):
        make_trainer(OmegaConf.create({**QUIET, "max_epoch": 3}))
