"""Whether a module's parameters are still those that something was computed from."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class Snapshot:
    """Remembers the parameters and buffers of a module: which objects they are, and how often they were written to.

    >>> layer = nn.Linear(2, 2)
    >>> before = Snapshot(layer)
    >>> before.is_current()
    True
    >>> _ = nn.init.zeros_(layer.weight)
    >>> before.is_current()
    False
    """

    def __init__(self, module: nn.Module) -> None:
        self._state: list[tuple[dict[str, Any], str, Tensor, int]] = [
            (tensors, name, tensor, _version(tensor))
            for part in module.modules()
            for tensors in (part._parameters, part._buffers)
            for name, tensor in tensors.items()
            if tensor is not None
        ]

    def is_current(self) -> bool:
        """Whether every one is still the same object with the same content."""
        return all(
            tensors.get(name) is tensor and _version(tensor) == version
            for tensors, name, tensor, version in self._state
        )


def _version(tensor: Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version
