"""Learning-rate schedules of NeMo 1.0 to 3.0, as torch schedulers that are stepped once an optimiser step.

Letters in the formulas: ``s`` step (0 for the first optimiser step), ``w`` warm-up steps, ``H`` the step at which
holding ends, ``T`` max_steps, ``L`` base rate of the parameter group.

Every schedule has the same four phases::

    s <= w        warm up          L * (s + 1) / (w + 1)
    s <  H        hold             L
    s <= T        anneal           the formula of the class
    s >  T        end              min_lr

What a checkpoint keeps of a schedule is how far it has come; its shape comes from the configuration. So a run that is
resumed with a larger ``max_steps`` follows the longer curve from where it stopped.

Source: ``nemo.core.optim.lr_scheduler``; numbers of NeMo 3.0. Deliberately different: each parameter group anneals from
its own base rate (NeMo takes the first group's in ``WarmupAnnealing`` and in ``CosineAnnealing`` with constant steps),
lengths that leave no room are refused, ``constant_ratio`` works.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from seaspeak.core.errors import ConfigError


class WarmupPolicy(LRScheduler):
    """Warm up, then keep the base rate until ``max_steps``.

    Args:
        optimizer: whose rates are set.
        warmup_steps: length of the warm-up; or
        warmup_ratio: the same as a part of ``max_steps``.
        max_steps: where the schedule ends; None: never.
        min_lr: rate after the end, and the least that annealing goes down to.
        last_epoch: step to continue after; -1 starts anew.

    Raises:
        ConfigError: lengths contradict each other or leave no step to anneal.
    """

    anneals: ClassVar[bool] = False  # whether the formula needs to know where it ends

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        warmup_steps: int | None = None,
        warmup_ratio: float | None = None,
        max_steps: int | None = None,
        min_lr: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        if self.anneals and max_steps is None:
            raise ConfigError(
                f"the schedule {type(self).__name__} needs max_steps, the number of optimiser steps until its end",
                fix="set trainer.max_steps, or model.optim.sched.max_steps",
            )
        self.max_steps = max_steps
        self.min_lr = min_lr
        self.warmup_steps = self._length("warmup", warmup_steps, warmup_ratio)
        self.check([float(group.get("initial_lr", group["lr"])) for group in optimizer.param_groups])
        super().__init__(optimizer, last_epoch)

    def check(self, bases: list[float]) -> None:
        """Refuse settings that the formula cannot work with; ``bases`` are the base rates of the groups."""

    def _length(self, phase: str, steps: int | None, ratio: float | None) -> int:
        """Return the number of steps of a phase that is given in steps or as a part of ``max_steps``."""
        if steps is not None and ratio is not None:
            raise ConfigError(
                f"{phase}_steps and {phase}_ratio of {type(self).__name__} say the same thing twice",
                got=f"{phase}_steps={steps}, {phase}_ratio={ratio}",
                fix="keep one of them",
            )
        if ratio is None:
            return int(steps or 0)
        if self.max_steps is None:
            raise ConfigError(f"{phase}_ratio of {type(self).__name__} needs max_steps, of which it is a part")
        return int(ratio * self.max_steps)

    def get_lr(self) -> list[float | Tensor]:
        """Return the rate of each parameter group at the present step."""
        return [self.rate(self.last_epoch, float(base)) for base in self.base_lrs]

    def rate(self, step: int, base: float) -> float:
        """Return the rate at ``step`` of a group whose base rate is ``base``."""
        if 0 < self.warmup_steps >= step:
            return self.warmup(step, base)
        if step < self.hold_end:
            return base
        if self.max_steps is not None and step > self.max_steps:
            return self.min_lr
        return self.anneal(step, base)

    @property
    def hold_end(self) -> int:
        """First step of annealing; 0 where nothing is held."""
        return 0

    @property
    def end(self) -> int:
        """``max_steps`` of a schedule that anneals, which is always known."""
        assert self.max_steps is not None
        return self.max_steps

    def warmup(self, step: int, base: float) -> float:
        """Return the rate during the warm-up."""
        return base * (step + 1) / (self.warmup_steps + 1)

    def anneal(self, step: int, base: float) -> float:
        """Return the rate between hold and end."""
        return base

    def state_dict(self) -> dict[str, Any]:
        """Return how far the schedule has come; not its shape, which the configuration has."""
        return {"last_epoch": self.last_epoch, "_step_count": self._step_count, "_last_lr": list(self._last_lr)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a state of ours, of NeMo's, or of any torch scheduler."""
        for key in ("last_epoch", "_step_count", "_last_lr"):
            if key in state_dict:
                setattr(self, key, state_dict[key])


class WarmupHoldPolicy(WarmupPolicy):
    """Warm up, hold the base rate for ``hold_steps`` (or ``hold_ratio`` of ``max_steps``), then go on with it."""

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        warmup_steps: int | None = None,
        warmup_ratio: float | None = None,
        hold_steps: int | None = None,
        hold_ratio: float | None = None,
        max_steps: int | None = None,
        min_lr: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        self.max_steps = max_steps
        self.hold_steps = self._length("hold", hold_steps, hold_ratio)
        super().__init__(
            optimizer,
            warmup_steps=warmup_steps,
            warmup_ratio=warmup_ratio,
            max_steps=max_steps,
            min_lr=min_lr,
            last_epoch=last_epoch,
        )

    @property
    def hold_end(self) -> int:
        """First step of annealing; 0 where nothing is held, as in NeMo: the formulas then count from step 0."""
        return self.hold_steps + self.warmup_steps if self.hold_steps else 0


class SquareAnnealing(WarmupPolicy):
    """``max(L * ((T - s) / (T - w))^2, min_lr)``."""

    anneals = True

    def __init__(self, optimizer: Optimizer, *, max_steps: int, min_lr: float = 1e-5, **kwargs: Any) -> None:
        super().__init__(optimizer, max_steps=max_steps, min_lr=min_lr, **kwargs)

    def anneal(self, step: int, base: float) -> float:
        """Return the rate between warm-up and end."""
        return max(base * _left(step, self.warmup_steps, self.end) ** 2, self.min_lr)


class SquareRootAnnealing(WarmupPolicy):
    """``max(L * sqrt((T - s) / T), min_lr)``; the warm-up does not count, so the curve jumps down where it ends."""

    anneals = True

    def anneal(self, step: int, base: float) -> float:
        """Return the rate between warm-up and end."""
        return max(base * math.sqrt(_left(step, 0, self.end)), self.min_lr)


class CosineAnnealing(WarmupPolicy):
    """Half a cosine from ``L`` down to ``min_lr``.

    With ``constant_steps`` (or ``constant_ratio``) the cosine ends that much before ``max_steps``, ``min_lr`` follows,
    and the warm-up is ``L * s / w``: NeMo starts it at 0 in this case.
    """

    anneals = True

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        max_steps: int,
        min_lr: float = 0.0,
        constant_steps: int | None = None,
        constant_ratio: float | None = None,
        **kwargs: Any,
    ) -> None:
        self.max_steps = max_steps
        self.constant_steps = self._length("constant", constant_steps, constant_ratio)
        super().__init__(optimizer, max_steps=max_steps, min_lr=min_lr, **kwargs)

    def check(self, bases: list[float]) -> None:
        """Refuse a floor above the base rate, and phases that leave no step for the cosine."""
        if min(bases) < self.min_lr:
            raise ConfigError(
                "min_lr of CosineAnnealing is above the learning rate it comes down from",
                got=f"lr={min(bases)}, min_lr={self.min_lr}",
            )
        if self.constant_steps and self.end - self.constant_steps <= self.warmup_steps:
            raise ConfigError(
                "warm-up and constant steps of CosineAnnealing leave no step for the cosine",
                got=f"warmup_steps={self.warmup_steps}, constant_steps={self.constant_steps}, max_steps={self.end}",
            )

    def warmup(self, step: int, base: float) -> float:
        """Return the rate during the warm-up."""
        return base * step / self.warmup_steps if self.constant_steps else super().warmup(step, base)

    def anneal(self, step: int, base: float) -> float:
        """Return the rate between warm-up and end."""
        cosine_end = self.end - self.constant_steps
        if step > cosine_end:
            return self.min_lr
        done = 1.0 - _left(step, self.warmup_steps, cosine_end)
        return (base - self.min_lr) * 0.5 * (1.0 + math.cos(math.pi * done)) + self.min_lr


class WarmupAnnealing(WarmupPolicy):
    """A straight line from ``L`` to ``min_lr``."""

    anneals = True

    def anneal(self, step: int, base: float) -> float:
        """Return the rate between warm-up and end."""
        return self.min_lr + _left(step, self.warmup_steps, self.end) * (base - self.min_lr)


class InverseSquareRootAnnealing(WarmupPolicy):
    """``L / sqrt((s + 1) / (w + 1))``."""

    anneals = True

    def anneal(self, step: int, base: float) -> float:
        """Return the rate between warm-up and end."""
        return base / math.sqrt((step + 1) / (self.warmup_steps + 1))


class T5InverseSquareRootAnnealing(WarmupPolicy):
    """``1 / sqrt(constant_steps)`` up to that step, then ``1 / sqrt(s)``; the base rate plays no part."""

    anneals = True

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        max_steps: int,
        constant_steps: int | None = None,
        constant_ratio: float | None = None,
        min_lr: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        self.max_steps = max_steps
        self.constant_steps = max(1, self._length("constant", constant_steps, constant_ratio))
        super().__init__(optimizer, max_steps=max_steps, min_lr=min_lr, last_epoch=last_epoch)

    def anneal(self, step: int, base: float) -> float:
        """Return the rate before the end."""
        return 1.0 / math.sqrt(max(step, self.constant_steps))


class NoamAnnealing(WarmupPolicy):
    """``L * d_model^-0.5 * min(s^-0.5, s * w^-1.5)``: rises for ``w`` steps, then falls with the root of the step.

    ``min_lr`` bounds the falling part. ``max_steps`` only serves ``warmup_ratio``: the rate goes on falling after it.

    Source: arXiv:1706.03762, section 5.3.
    """

    def __init__(self, optimizer: Optimizer, *, d_model: int, max_steps: int | None = None, **kwargs: Any) -> None:
        self.d_model = d_model
        super().__init__(optimizer, max_steps=max_steps, **kwargs)

    def rate(self, step: int, base: float) -> float:
        """Return the rate at ``step`` of a group whose base rate is ``base``."""
        step = max(1, step)
        width = base / math.sqrt(self.d_model)
        if self.warmup_steps and step <= self.warmup_steps:
            return width * step * math.pow(self.warmup_steps, -1.5)
        return max(width / math.sqrt(step), self.min_lr)


class NoamHoldAnnealing(WarmupHoldPolicy):
    """``max(L * w^r / (s - hold)^r, min_lr)`` with ``r = decay_rate``.

    Raises:
        ConfigError: there is no warm-up, which the formula starts from.
    """

    anneals = True

    def __init__(self, optimizer: Optimizer, *, max_steps: int, decay_rate: float = 0.5, **kwargs: Any) -> None:
        self.decay_rate = decay_rate
        super().__init__(optimizer, max_steps=max_steps, **kwargs)

    def check(self, bases: list[float]) -> None:
        """Refuse to start without a warm-up."""
        if not self.warmup_steps:
            raise ConfigError("NoamHoldAnnealing needs a warm-up", fix="set warmup_steps or warmup_ratio")

    def anneal(self, step: int, base: float) -> float:
        """Return the rate between hold and end."""
        start = max(1.0, math.pow(self.warmup_steps, self.decay_rate))
        now = max(1.0, math.pow(step - self.hold_steps, self.decay_rate))
        return max(base * start / now, self.min_lr)


class WarmupHoldAnnealLinear(WarmupHoldPolicy):
    """A straight line from ``L`` at the end of the hold to ``min_lr``."""

    anneals = True

    def anneal(self, step: int, base: float) -> float:
        """Return the rate between hold and end."""
        return base - (base - self.min_lr) * (1.0 - _left(step, self.hold_end, self.end))


class WarmupHoldAnnealOneMinusSquareRoot(WarmupHoldPolicy):
    """``max(L * (1 - sqrt((s - H) / (T - H))), min_lr)``."""

    anneals = True

    def anneal(self, step: int, base: float) -> float:
        """Return the rate between hold and end."""
        done = 1.0 - _left(step, self.hold_end, self.end)
        return max(base * (1.0 - math.sqrt(done)), self.min_lr)


class PolynomialDecayAnnealing(WarmupPolicy):
    """``(L - min_lr) * (1 - q)^power + min_lr`` with ``q = (s - w) / (T - w)``."""

    anneals = True

    def __init__(
        self, optimizer: Optimizer, *, max_steps: int, power: float = 1.0, cycle: bool = False, **kwargs: Any
    ) -> None:
        self.power, self.cycle = power, cycle
        super().__init__(optimizer, max_steps=max_steps, **kwargs)

    def anneal(self, step: int, base: float) -> float:
        """Return the rate between warm-up and end."""
        return _polynomial(self, step - self.warmup_steps, self.end - self.warmup_steps, base)


class PolynomialHoldDecayAnnealing(PolynomialDecayAnnealing, WarmupHoldPolicy):
    """As :class:`PolynomialDecayAnnealing` with ``q = (s - H) / (T - max(w, H))``."""

    def anneal(self, step: int, base: float) -> float:
        """Return the rate between hold and end."""
        return _polynomial(self, step - self.hold_end, self.end - max(self.warmup_steps, self.hold_end), base)


def _left(step: int, start: int, end: int) -> float:
    """Return which part of the way from ``start`` to ``end`` is still ahead at ``step``; 0 where there is no way."""
    return (end - step) / (end - start) if end > start else 0.0


def _polynomial(schedule: PolynomialDecayAnnealing, step: int, length: int, base: float) -> float:
    """Return the rate ``step`` steps into a decay of ``length`` steps; a cycle stretches it to the next multiple."""
    if schedule.cycle and step > 0:
        length *= math.ceil(step / length)
    done = min(step, length) / length if length > 0 else 1.0
    return (base - schedule.min_lr) * math.pow(1.0 - done, schedule.power) + schedule.min_lr
