"""The optimisers of NeMo 0.11 by name, with the arguments and defaults that its factory gave them.

==============  =====================================================================
``sgd``         lr, momentum 0.9, weight_decay 0
``adam``        lr, betas (0.9, 0.999), eps 1e-8, weight_decay 0, amsgrad False
``adam_w``      the same, with the decay scaled by Adam's step size (:class:`AdamW`)
``novograd``    lr, betas (0.95, 0.25), weight_decay 0, luc False, luc_eta 1e-3
``fused_adam``, ``fused_novograd``   the same numbers as without ``fused_``; torch fuses by itself where it can
==============  =====================================================================

Source: NeMo 0.11, ``nemo/backends/pytorch/actions.py`` and ``optimizers.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch.optim import SGD, Adam, Optimizer

from seaspeak.core.errors import ConfigError, UnknownNameError, nearest
from seaspeak.training.novograd import Novograd


class AdamW(Adam):
    """Adam whose weight decay is scaled with the bias-corrected step size, as NeMo 0.11 did it.

    ``p -= step_size * (weight_decay * p + m / (sqrt(v) + eps))`` with
    ``step_size = lr * sqrt(1 - b2^t) / (1 - b1^t)``; ``torch.optim.AdamW`` takes ``lr * weight_decay * p`` instead.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Change every parameter that has a gradient; return what ``closure`` returned, if one is given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is not None:
                    self._update(group, param)
        return loss

    def _update(self, group: dict[str, Any], param: torch.Tensor) -> None:
        state = self.state[param]
        if not state:
            state["step"] = 0
            for name in ("exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if group["amsgrad"] else [])):
                state[name] = torch.zeros_like(param)
        beta1, beta2 = group["betas"]
        state["step"] += 1
        mean = state["exp_avg"].mul_(beta1).add_(param.grad, alpha=1 - beta1)
        square = state["exp_avg_sq"].mul_(beta2).addcmul_(param.grad, param.grad, value=1 - beta2)
        if group["amsgrad"]:
            square = torch.maximum(state["max_exp_avg_sq"], square, out=state["max_exp_avg_sq"])
        correction = math.sqrt(1 - beta2 ** state["step"]) / (1 - beta1 ** state["step"])
        direction = mean / square.sqrt().add_(group["eps"])
        if group["weight_decay"]:
            direction.add_(param, alpha=group["weight_decay"])
        param.sub_(direction, alpha=group["lr"] * correction)


_ADAM = {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "amsgrad": False}
_NOVOGRAD = {"betas": (0.95, 0.25), "weight_decay": 0.0, "luc": False, "luc_eta": 1e-3}
_KNOWN: dict[str, tuple[Callable[..., Optimizer], Mapping[str, Any]]] = {
    "sgd": (SGD, {"momentum": 0.9, "weight_decay": 0.0}),
    "adam": (Adam, _ADAM),
    "adam_w": (AdamW, _ADAM),
    "novograd": (Novograd, _NOVOGRAD),
    "fused_adam": (Adam, _ADAM),
    "fused_novograd": (Novograd, _NOVOGRAD),
}
_RENAMED = {"luc_eta": "luc_trust"}


def first_generation(name: str, params: Iterable[Any], optimization_params: Mapping[str, Any]) -> Optimizer:
    """Build the optimiser that 0.11's ``nf.train(optimizer=name, optimization_params=...)`` builds.

    Args:
        name: as in the table above, in any case.
        params: parameters or groups of them.
        optimization_params: has ``lr``; of the rest, what the optimiser knows is taken (``num_epochs`` and the like
            are for the loop).

    Raises:
        UnknownNameError: no optimiser has this name.
        ConfigError: there is no ``lr``.
    """
    if name.lower() not in _KNOWN:
        raise UnknownNameError(
            f"no optimizer is called {name!r}",
            expected=", ".join(_KNOWN),
            fix=nearest(name, _KNOWN),
        )
    if "lr" not in optimization_params:
        raise ConfigError(
            f"optimization_params has no lr, which the optimizer {name!r} needs",
            got=", ".join(optimization_params) or "nothing",
            fix='optimization_params={"num_epochs": 3, "lr": 0.001}',
        )
    build, defaults = _KNOWN[name.lower()]
    taken = {key: optimization_params.get(key, default) for key, default in defaults.items()}
    return build(
        params, lr=optimization_params["lr"], **{_RENAMED.get(key, key): value for key, value in taken.items()}
    )
