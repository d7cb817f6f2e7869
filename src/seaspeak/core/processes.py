"""Several processes that train one network: who I am, and what we agree on. Outside a group nothing is exchanged."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, distributed


def join(local_rank: int) -> None:
    """Join the group that the launcher describes in the environment, and take this process's GPU if there are any.

    Args:
        local_rank: number of this process on its machine.
    """
    on_gpu = torch.cuda.is_available()
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if on_gpu else "gloo")
    if on_gpu:
        torch.cuda.set_device(local_rank)


def joined() -> bool:
    """Return whether this process is in a group."""
    return distributed.is_available() and distributed.is_initialized()


def world_size() -> int:
    """Return how many processes there are."""
    return distributed.get_world_size() if joined() else 1


def rank() -> int | None:
    """Return the number of this process; ``None`` if it is the only one."""
    return distributed.get_rank() if world_size() > 1 else None


def share(tensors: Iterable[Tensor]) -> None:
    """Give all processes the values of the first."""
    if joined():
        with torch.no_grad():
            for tensor in tensors:
                distributed.broadcast(tensor, src=0)


def average(tensors: Iterable[Tensor]) -> None:
    """Replace values by their mean over all processes; one message for all of one type."""
    if not joined():
        return
    by_type: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        by_type.setdefault(tensor.dtype, []).append(tensor)
    for group in by_type.values():
        flat = torch.cat([tensor.flatten() for tensor in group])
        distributed.all_reduce(flat)
        parts = torch.split(flat / world_size(), [tensor.numel() for tensor in group])
        for tensor, part in zip(group, parts, strict=True):
            tensor.copy_(part.view_as(tensor))


def all_true(value: Tensor) -> bool:
    """Return whether a truth value is true in all processes."""
    if joined():
        value = value.float()
        distributed.all_reduce(value, distributed.ReduceOp.MIN)
    return bool(value)
