"""Whether a module's parts and parameters are still those that something was computed from."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class Snapshot:
    """Remembers parts, parameters and buffers of a module: which objects they are, and how often they were written to.

    >>> layer = nn.Linear(2, 2)
    >>> before = Snapshot(layer)
    >>> before.is_current()
    True
    >>> _ = nn.init.zeros_(layer.weight)
    >>> before.is_current()
    False
    """

    def __init__(self, module: nn.Module) -> None:
        self._state: list[tuple[dict[str, Any], str, Any, int]] = [
            (held, name, value, _version(value))
            for part in module.modules()
            for held in (part._parameters, part._buffers, part._modules)
            for name, value in held.items()
            if value is not None
        ]

    def is_current(self) -> bool:
        """Whether every one is still the same object with the same content."""
        return all(held.get(name) is value and _version(value) == version for held, name, value, version in self._state)


def _version(value: Any) -> int:
    return value._version if isinstance(value, Tensor) and not value.is_inference() else -1
