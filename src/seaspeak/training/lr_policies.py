"""Learning rates of the first generation: callables of (initial rate, step, epoch).

``s`` is the step, ``w`` the number of warm-up steps, ``T`` the total number of steps, ``L`` the initial rate. All of
them warm up by ``L * (s + 1) / (w + 1)`` while ``s < w``, and give 0 (``WarmupHoldPolicy``: ``min_lr``) when ``s > T``.
The second generation's schedules, which differ in detail, are in ``seaspeak.training.schedules``.

Source: NeMo 0.11 ``nemo.utils.lr_policies``; ``SquareRootAnnealing`` jumps at the end of its warm-up, and the policies
that hold count from step 0 if nothing is held, as there.
"""

from __future__ import annotations

import math

from seaspeak.core.errors import ConfigError, UnknownNameError, nearest


class LRPolicy:
    """Base of all policies.

    Args:
        warmup_steps: length of the warm-up; or
        warmup_ratio: the same as a part of ``total_steps``.
        total_steps: of the training.

    Raises:
        ConfigError: both lengths, or a ratio without ``total_steps``.
    """

    after_end = 0.0

    def __init__(
        self,
        *,
        warmup_steps: int | None = None,
        warmup_ratio: float | None = None,
        total_steps: int | None = None,
    ) -> None:
        self.total_steps = total_steps
        self.warmup_steps = self._steps("warmup", warmup_steps, warmup_ratio) or 0

    def _steps(self, what: str, steps: int | None, ratio: float | None) -> int | None:
        if steps is not None and ratio is not None:
            raise ConfigError(f"give {what}_steps or {what}_ratio, not both")
        if ratio is None:
            return steps
        if self.total_steps is None:
            raise ConfigError(f"{what}_ratio needs total_steps", fix=f"give {what}_steps instead")
        return int(ratio * self.total_steps)

    @property
    def end(self) -> int:
        """The total number of steps.

        Raises:
            ConfigError: it was not given.
        """
        if self.total_steps is None:
            raise ConfigError(f"{type(self).__name__} needs total_steps")
        return self.total_steps

    def __call__(self, initial_lr: float, step: int, epoch: int) -> float:
        """Return the learning rate of a step."""
        if step < self.warmup_steps:
            return initial_lr * (step + 1) / (self.warmup_steps + 1)
        if step > self.end:
            return self.after_end
        return self.rate(initial_lr, step)

    def rate(self, initial_lr: float, step: int) -> float:
        """Return the learning rate of a step between warm-up and end."""
        raise NotImplementedError


class WarmupPolicy(LRPolicy):
    """Warm up, then stay at ``L``."""

    def rate(self, initial_lr: float, step: int) -> float:
        """Return ``L``."""
        return initial_lr


class WarmupHoldPolicy(LRPolicy):
    """Warm up, then stay at ``L``; ``min_lr`` afterwards.

    Args:
        hold_steps: how long subclasses stay at ``L`` before they anneal; or
        hold_ratio: the same as a part of ``total_steps``.
        min_lr: the least rate.
    """

    def __init__(
        self,
        *,
        warmup_steps: int | None = None,
        warmup_ratio: float | None = None,
        hold_steps: int | None = None,
        hold_ratio: float | None = None,
        total_steps: int | None = None,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(warmup_steps=warmup_steps, warmup_ratio=warmup_ratio, total_steps=total_steps)
        held = self._steps("hold", hold_steps, hold_ratio)
        self.hold_end = 0 if held is None else held + self.warmup_steps
        self.min_lr = self.after_end = min_lr

    def rate(self, initial_lr: float, step: int) -> float:
        """Return ``L``."""
        return initial_lr


class _Annealing(LRPolicy):
    """Base of the policies that take ``total_steps`` first, and a least rate."""

    def __init__(
        self,
        total_steps: int,
        min_lr: float = 0.0,
        *,
        warmup_steps: int | None = None,
        warmup_ratio: float | None = None,
    ) -> None:
        super().__init__(warmup_steps=warmup_steps, warmup_ratio=warmup_ratio, total_steps=total_steps)
        self.min_lr = min_lr


class SquareAnnealing(_Annealing):
    """``max(L * ((T - s) / (T - w))^2, min_lr)``."""

    def __init__(
        self,
        total_steps: int,
        min_lr: float = 1e-5,
        *,
        warmup_steps: int | None = None,
        warmup_ratio: float | None = None,
    ) -> None:
        super().__init__(total_steps, min_lr, warmup_steps=warmup_steps, warmup_ratio=warmup_ratio)

    def rate(self, initial_lr: float, step: int) -> float:
        """Return the formula's value."""
        left = (self.end - step) / (self.end - self.warmup_steps)
        return max(initial_lr * left * left, self.min_lr)


class SquareRootAnnealing(_Annealing):
    """``max(L * ((T - s) / T)^0.5, min_lr)``."""

    def rate(self, initial_lr: float, step: int) -> float:
        """Return the formula's value."""
        return max(initial_lr * math.sqrt((self.end - step) / self.end), self.min_lr)


class CosineAnnealing(_Annealing):
    """``(L - min_lr) * (1 + cos(pi * (s - w) / (T - w))) / 2 + min_lr``."""

    def rate(self, initial_lr: float, step: int) -> float:
        """Return the formula's value.

        Raises:
            ConfigError: the initial rate is below ``min_lr``.
        """
        if initial_lr < self.min_lr:
            raise ConfigError(f"the learning rate {initial_lr} is below min_lr, which is {self.min_lr}")
        progress = (step - self.warmup_steps) / (self.end - self.warmup_steps)
        return (initial_lr - self.min_lr) * 0.5 * (1 + math.cos(math.pi * progress)) + self.min_lr


class WarmupAnnealing(_Annealing):
    """``L * max((s / T - 1) / (w / T - 1), 0)``: straight down to 0."""

    def rate(self, initial_lr: float, step: int) -> float:
        """Return the formula's value."""
        return initial_lr * max((step / self.end - 1) / (self.warmup_steps / self.end - 1), 0.0)


class InverseSquareRootAnnealing(_Annealing):
    """``L / ((s + 1) / (w + 1))^0.5``."""

    def rate(self, initial_lr: float, step: int) -> float:
        """Return the formula's value."""
        return initial_lr / math.sqrt((step + 1) / (self.warmup_steps + 1))


def _polynomial(lr: float, min_lr: float, step: int, length: int, power: float, *, cycle: bool) -> float:
    if cycle:
        length *= math.ceil(step / length) if step else 1
    return (lr - min_lr) * math.pow(1 - min(step, length) / length, power) + min_lr


class PolynomialDecayAnnealing(_Annealing):
    """``(L - min_lr) * (1 - q)^power + min_lr`` with ``q = (s - w) / (T - w)``; with ``cycle`` it starts over."""

    def __init__(
        self,
        total_steps: int,
        min_lr: float = 0.0,
        power: float = 1.0,
        cycle: bool = False,
        *,
        warmup_steps: int | None = None,
        warmup_ratio: float | None = None,
    ) -> None:
        super().__init__(total_steps, min_lr, warmup_steps=warmup_steps, warmup_ratio=warmup_ratio)
        self.power, self.cycle = power, cycle

    def rate(self, initial_lr: float, step: int) -> float:
        """Return the formula's value."""
        length = self.end - self.warmup_steps
        return _polynomial(initial_lr, self.min_lr, step - self.warmup_steps, length, self.power, cycle=self.cycle)


class PolynomialHoldDecayAnnealing(WarmupHoldPolicy):
    """As ``PolynomialDecayAnnealing``, after a time at ``L``."""

    def __init__(
        self,
        total_steps: int,
        min_lr: float = 0.0,
        power: float = 1.0,
        cycle: bool = False,
        *,
        warmup_steps: int | None = None,
        warmup_ratio: float | None = None,
        hold_steps: int | None = None,
        hold_ratio: float | None = None,
    ) -> None:
        super().__init__(
            warmup_steps=warmup_steps,
            warmup_ratio=warmup_ratio,
            hold_steps=hold_steps,
            hold_ratio=hold_ratio,
            total_steps=total_steps,
            min_lr=min_lr,
        )
        self.power, self.cycle, self.after_end = power, cycle, 0.0

    def rate(self, initial_lr: float, step: int) -> float:
        """Return the formula's value."""
        if step < self.hold_end:
            return initial_lr
        length = self.end - max(self.warmup_steps, self.hold_end)
        return _polynomial(initial_lr, self.min_lr, step - self.hold_end, length, self.power, cycle=self.cycle)


_POLICIES = {
    policy.__name__: policy
    for policy in (
        WarmupPolicy,
        WarmupHoldPolicy,
        SquareAnnealing,
        SquareRootAnnealing,
        CosineAnnealing,
        WarmupAnnealing,
        InverseSquareRootAnnealing,
        PolynomialDecayAnnealing,
        PolynomialHoldDecayAnnealing,
    )
}


def get_all_lr_classes() -> dict[str, type[LRPolicy]]:
    """Return all policies by name."""
    return dict(_POLICIES)


def get_lr_policy(name: str, **kwargs: object) -> LRPolicy:
    """Return a policy by name.

    Raises:
        UnknownNameError: there is none of this name (also a ``ValueError``).
    """
    if name not in _POLICIES:
        raise UnknownNameError(
            f"no learning-rate policy is called {name!r}", expected=", ".join(_POLICIES), fix=nearest(name, _POLICIES)
        )
    return _POLICIES[name](**kwargs)  # type: ignore[arg-type]  # each takes its own arguments
