"""The eight answers to "may this be connected to that?"."""

from __future__ import annotations

from enum import Enum


class NeuralTypeComparisonResult(Enum):
    """Result of ``expected.compare(given)``; only ``SAME`` and ``GREATER`` connect."""

    SAME = 0
    """Identical, or accepted by a wildcard."""
    LESS = 1
    """The expected type is a special case of the given one."""
    GREATER = 2
    """The given type is a special case of the expected one."""
    DIM_INCOMPATIBLE = 3
    """The same kinds of axes, but a fixed size differs."""
    TRANSPOSE_SAME = 4
    """The same axes in another order, or a list where a tensor is expected (or the reverse)."""
    CONTAINER_SIZE_MISMATCH = 5
    """Reserved: no comparison gives it. Kept because stored values use NeMo's numbers."""
    INCOMPATIBLE = 6
    """Nothing in common."""
    SAME_TYPE_INCOMPATIBLE_PARAMS = 7
    """The same element type with another parameter, such as another sampling rate."""

    @property
    def connects(self) -> bool:
        """Whether a value of the given type may be fed to the expected one."""
        return self in (NeuralTypeComparisonResult.SAME, NeuralTypeComparisonResult.GREATER)
