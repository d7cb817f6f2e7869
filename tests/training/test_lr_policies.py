"""Learning-rate policies of the first generation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaspeak.training.lr_policies import (
    CosineAnnealing,
    PolynomialDecayAnnealing,
    PolynomialHoldDecayAnnealing,
    SquareAnnealing,
    WarmupPolicy,
    get_all_lr_classes,
    get_lr_policy,
)


def test_every_policy_gives_nemos_rates(shared: Path) -> None:
    facts = json.loads((shared / "fixtures" / "core" / "lr_schedules" / "v011.json").read_text())
    seen = set()
    for name, fact in facts["schedules"].items():
        policy = get_lr_policy(fact["policy"], **fact["config"])
        rates = [policy(facts["base_lr"], step, step // 10) for step in range(len(fact["lr"]))]
        assert rates == pytest.approx(fact["lr"], rel=1e-12, abs=1e-15), name
        seen.add(fact["policy"])
    assert seen <= set(get_all_lr_classes())


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (PolynomialDecayAnnealing(10, 0.1, power=2, warmup_steps=2), "0.333333 0.666667 1 0.789062 0.60625 0.451562"),
        (
            PolynomialHoldDecayAnnealing(10, 0.1, power=2, warmup_steps=2, hold_steps=3),
            "0.333333 0.666667 1 1 1 1 0.676",
        ),
        (PolynomialHoldDecayAnnealing(10, warmup_steps=2), "0.333333 0.666667 0.75 0.625 0.5 0.375 0.25"),
    ],
)
def test_values_measured_with_nemo(policy: Any, expected: str) -> None:
    values = [float(value) for value in expected.split()]
    assert [policy(1.0, step, 0) for step in range(len(values))] == pytest.approx(values, abs=1e-5)


def test_a_cycle_starts_over() -> None:
    once, cycled = PolynomialDecayAnnealing(10), PolynomialDecayAnnealing(10, cycle=True)
    assert once(1.0, 0, 0) == cycled(1.0, 0, 0) == 1.0
    assert once(1.0, 5, 0) == cycled(1.0, 5, 0) == 0.5


@given(st.sampled_from(sorted(get_all_lr_classes())), st.integers(1, 9), st.integers(10, 100))
def test_every_policy_warms_up_straight_and_ends_at_zero(name: str, warmup: int, total: int) -> None:
    policy = get_lr_policy(name, warmup_steps=warmup, total_steps=total)
    for step in range(warmup):
        assert policy(2.0, step, 0) == pytest.approx(2.0 * (step + 1) / (warmup + 1))
    assert policy(2.0, total + 1, 0) == 0.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: WarmupPolicy(warmup_steps=1, warmup_ratio=0.1, total_steps=10),
            "warmup_steps or warmup_ratio, not both",
        ),
        (lambda: WarmupPolicy(warmup_ratio=0.1), "warmup_ratio needs total_steps\n +fix +give warmup_steps"),
        (lambda: WarmupPolicy()(1.0, 0, 0), "WarmupPolicy needs total_steps"),
        (lambda: CosineAnnealing(10, min_lr=0.1)(0.01, 0, 0), "learning rate 0.01 is below min_lr, which is 0.1"),
        (lambda: get_lr_policy("CosineAnealing"), "did you mean 'CosineAnnealing'"),
    ],
)
def test_mistakes(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_ratio_is_a_part_of_the_total() -> None:
    by_ratio, by_steps = SquareAnnealing(50, warmup_ratio=0.11), SquareAnnealing(50, warmup_steps=5)
    assert [by_ratio(1.0, s, 0) for s in range(50)] == [by_steps(1.0, s, 0) for s in range(50)]
