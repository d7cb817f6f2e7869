"""Schedules of the second generation: NeMo 3.0's numbers, and what ours does better."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seaspeak.core.errors import ConfigError
from seaspeak.training import schedules

NAMES = [
    name
    for name, value in vars(schedules).items()
    if isinstance(value, type) and issubclass(value, schedules.WarmupPolicy)
]


def make(name: str, *, lr: float | list[float] = 0.1, **config):
    rates = [lr] if isinstance(lr, float) else lr
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates]
    optimizer = torch.optim.SGD(groups, lr=rates[0])
    return optimizer, getattr(schedules, name)(optimizer, **config)


def curve(name: str, steps: int, **config) -> list[float]:
    optimizer, scheduler = make(name, **config)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_every_schedule_of_the_fixture_gives_nemo_rates(shared: Path) -> None:
    cases = json.loads((shared / "fixtures/core/lr_schedules/v3.json").read_text())["schedules"]
    assert {case["policy"] for case in cases.values()} == set(NAMES)
    for name, case in cases.items():
        rates = curve(case["policy"], len(case["lr"]), **case["config"])
        assert rates == pytest.approx(case["lr"], rel=1e-12, abs=1e-15), name


def test_each_group_anneals_from_its_own_rate() -> None:
    for name in ("CosineAnnealing", "WarmupAnnealing"):
        optimizer, scheduler = make(name, lr=[0.1, 0.4], max_steps=10, warmup_steps=2)
        for _ in range(5):
            optimizer.step()
            scheduler.step()
            first, second = (group["lr"] for group in optimizer.param_groups)
            assert second == pytest.approx(4 * first)


@given(
    name=st.sampled_from(["CosineAnnealing", "WarmupAnnealing", "SquareAnnealing", "PolynomialDecayAnnealing"]),
    warmup=st.integers(0, 60),
    end=st.integers(1, 40),
    step=st.integers(0, 120),
)
def test_rate_stays_between_floor_and_base(name: str, warmup: int, end: int, step: int) -> None:
    _, scheduler = make(name, warmup_steps=warmup, max_steps=end, min_lr=0.0)
    assert 0.0 <= scheduler.rate(step, 0.1) <= 0.1 * (1 + 1e-12)


def test_a_resumed_schedule_goes_on_where_it_stopped() -> None:
    config = {"max_steps": 30, "warmup_steps": 4, "min_lr": 0.001}
    whole = curve("CosineAnnealing", 30, **config)
    optimizer, scheduler = make("CosineAnnealing", **config)
    for _ in range(11):
        optimizer.step()
        scheduler.step()
    resumed_optimizer, resumed = make("CosineAnnealing", **config)
    resumed_optimizer.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    rates = []
    for _ in range(11, 30):
        rates.append(resumed_optimizer.param_groups[0]["lr"])
        resumed_optimizer.step()
        resumed.step()
    assert rates == whole[11:]


def test_a_longer_schedule_takes_over_when_a_run_is_extended() -> None:
    _, scheduler = make("CosineAnnealing", max_steps=10)
    _, longer = make("CosineAnnealing", max_steps=100)
    longer.load_state_dict({**scheduler.state_dict(), "last_epoch": 10})
    assert longer.get_lr() == curve("CosineAnnealing", 11, max_steps=100)[10:]


def test_constant_ratio_means_a_part_of_max_steps() -> None:
    for name in ("CosineAnnealing", "T5InverseSquareRootAnnealing"):
        by_ratio = curve(name, 50, max_steps=50, constant_ratio=0.2)
        assert by_ratio == curve(name, 50, max_steps=50, constant_steps=10)


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("WarmupPolicy", {"warmup_steps": 3, "warmup_ratio": 0.1, "max_steps": 9}, "say the same thing twice"),
        ("WarmupPolicy", {"warmup_ratio": 0.1}, "warmup_ratio of WarmupPolicy needs max_steps"),
        ("WarmupAnnealing", {"warmup_steps": 1}, "WarmupAnnealing needs max_steps"),
        ("CosineAnnealing", {"max_steps": 10, "min_lr": 0.2}, "min_lr of CosineAnnealing is above"),
        ("CosineAnnealing", {"max_steps": 9, "warmup_steps": 5, "constant_steps": 4}, "leave no step for the cosine"),
        ("NoamHoldAnnealing", {"max_steps": 10, "hold_steps": 2}, "NoamHoldAnnealing needs a warm-up"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_training(name: str, config: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(name, **config)


def test_making_a_schedule_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curve("NoamAnnealing", 3, d_model=64, warmup_steps=2)
