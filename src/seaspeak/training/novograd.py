"""NovoGrad: momentum on gradients that each tensor's own second moment has normalised."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim import Optimizer

_Groups = list[tuple[list[Tensor], list[Tensor], list[dict[str, Any]]]]


class Novograd(Optimizer):
    """Adam-like optimiser whose second moment is one number a tensor.

    For each tensor, with the squared norm of its gradient ``n = ||g||^2``::

        v  = n at the first step (and whenever v is exactly 0), else b2 * v + (1 - b2) * n
        g' = g / (sqrt(v) + eps) + weight_decay * p          (all times 1 - b1 with grad_averaging)
        m  = b1 * m + g'
        p  = p - lr * m                                      (no bias correction)

    Args:
        params: tensors, or groups of them with their own settings.
        lr: learning rate.
        betas: decay of the first moment and of the second.
        eps: added to the root of the second moment.
        weight_decay: decoupled from the normalisation: added after it.
        grad_averaging: weigh the new direction by ``1 - betas[0]``.
        amsgrad: divide by the largest second moment so far.
        luc: bound each tensor's step by ``luc_trust * ||p|| / ||m||`` (layer-wise update control).
        luc_trust: the largest relative change of a tensor in one step.
        luc_eps: keeps that bound finite where the first moment is 0.

    Gradients are left as they are (NeMo's class writes into them); the numbers are NeMo's. The second moment is kept
    in float32 whatever the parameters are. All tensors of one group on one device take each of these steps together.

    Raises:
        ValueError: a rate, ``eps``, or a beta is outside its range.
        RuntimeError: a gradient is sparse.

    Source: arXiv:1905.11286; behaviour of ``nemo.core.optim.novograd.Novograd``.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.95, 0.98),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        grad_averaging: bool = False,
        amsgrad: bool = False,
        luc: bool = False,
        luc_trust: float = 1e-3,
        luc_eps: float = 1e-8,
    ) -> None:
        for name, value in (("lr", lr), ("eps", eps), ("weight_decay", weight_decay)):
            if not value >= 0.0:
                raise ValueError(f"{name} of Novograd must be 0 or more, got {value}")
        for index, beta in enumerate(betas):
            if not 0.0 <= beta < 1.0:
                raise ValueError(f"betas[{index}] of Novograd must lie in [0, 1), got {beta}")
        defaults = {
            "lr": lr,
            "betas": tuple(betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "grad_averaging": grad_averaging,
            "amsgrad": amsgrad,
            "luc": luc,
            "luc_trust": luc_trust,
            "luc_eps": luc_eps,
        }
        super().__init__(params, defaults)

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Change every parameter that has a gradient; return what ``closure`` returned, if one is given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for tensors, grads, states in self._batches(group):
                _update(group, tensors, grads, states)
        return loss

    def _batches(self, group: dict[str, Any]) -> _Groups:
        """Split a group's tensors by device and type, so that each part can be worked on as one list."""
        batches: dict[tuple[torch.device, torch.dtype], tuple[list[Tensor], list[Tensor], list[dict[str, Any]]]] = {}
        for tensor in group["params"]:
            if tensor.grad is None:
                continue
            if tensor.grad.is_sparse:
                raise RuntimeError("Novograd does not work with sparse gradients; use torch.optim.SparseAdam for them")
            state = self.state[tensor]
            if not state:
                state["step"] = 0
                state["exp_avg"] = torch.zeros_like(tensor)
                state["exp_avg_sq"] = torch.zeros((), dtype=torch.float32, device=tensor.device)
            if group["amsgrad"] and "max_exp_avg_sq" not in state:
                state["max_exp_avg_sq"] = torch.zeros_like(state["exp_avg_sq"])
            tensors, grads, states = batches.setdefault((tensor.device, tensor.dtype), ([], [], []))
            tensors.append(tensor)
            grads.append(tensor.grad)
            states.append(state)
        return list(batches.values())


def _update(group: dict[str, Any], tensors: list[Tensor], grads: list[Tensor], states: list[dict[str, Any]]) -> None:
    beta1, beta2 = group["betas"]
    for state in states:
        state["step"] += 1
    moments = [state["exp_avg"] for state in states]

    directions = list(torch._foreach_div(grads, _divisors(group, grads, states, beta2)))
    if group["weight_decay"]:
        torch._foreach_add_(directions, tensors, alpha=group["weight_decay"])
    if group["grad_averaging"]:
        torch._foreach_mul_(directions, 1.0 - beta1)
    torch._foreach_mul_(moments, beta1)
    torch._foreach_add_(moments, directions)

    if not group["luc"]:
        torch._foreach_add_(tensors, moments, alpha=-group["lr"])
        return
    sizes = torch.stack(torch._foreach_norm(tensors))
    steps = torch.stack(torch._foreach_norm(moments))
    rates = (group["luc_trust"] * sizes / (steps + group["luc_eps"])).clamp(max=group["lr"])
    torch._foreach_sub_(tensors, torch._foreach_mul(moments, list(rates.unbind())))


def _divisors(group: dict[str, Any], grads: list[Tensor], states: list[dict[str, Any]], beta2: float) -> list[Tensor]:
    """Move the second moments on; return what each gradient is divided by, float32 scalars.

    The moments of all tensors are one vector here and scalars in the state, where a checkpoint wants them.
    """
    norms = torch.stack([norm.float() for norm in torch._foreach_norm(grads)]).square()
    before = torch.stack([state["exp_avg_sq"] for state in states])
    after = torch.where(before == 0, norms, beta2 * before + (1.0 - beta2) * norms)
    bound = after
    if group["amsgrad"]:
        bound = torch.maximum(after, torch.stack([state["max_exp_avg_sq"] for state in states]))
        torch._foreach_copy_([state["max_exp_avg_sq"] for state in states], list(bound.unbind()))
    torch._foreach_copy_([state["exp_avg_sq"] for state in states], list(after.unbind()))
    return list(bound.sqrt().add(group["eps"]).unbind())
