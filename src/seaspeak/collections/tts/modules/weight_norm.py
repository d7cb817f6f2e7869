"""Convolutions whose weight is stored as a length and a direction (weight normalisation, arXiv:1602.07868).

State-dict keys are NeMo's: ``weight_g`` (lengths, one for each index of the first axis) and ``weight_v``. The two other
spellings that archives use, torch's parametrisation and the plain weight, are turned into it by `split_weights`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_PARAMETRISED = ("parametrizations.weight.original0", "parametrizations.weight.original1")


def lengths(weight: Tensor) -> Tensor:
    """Return the length of each row of a weight's first axis, with as many axes as the weight."""
    return torch.linalg.vector_norm(weight, dim=tuple(range(1, weight.ndim)), keepdim=True)


def folded(conv: nn.Module) -> Tensor:
    """Return the weight that a normalised convolution applies."""
    assert isinstance(conv.weight_v, Tensor) and isinstance(conv.weight_g, Tensor)
    return torch._weight_norm(conv.weight_v, conv.weight_g, 0)


def _split(conv: nn.Module) -> None:
    """Replace the weight of a convolution by its length and direction."""
    weight = conv._parameters.pop("weight")
    assert weight is not None
    # to compute it where there are no values would load torch's compiler, which takes seconds
    shape = (len(weight), *[1] * (weight.ndim - 1))
    conv.weight_g = nn.Parameter(weight.new_empty(shape) if weight.is_meta else lengths(weight.detach()))
    conv.weight_v = weight


class NormedConv1d(nn.Conv1d):
    """``nn.Conv1d`` under weight normalisation; arguments and shapes are the same."""

    weight_g: Tensor
    weight_v: Tensor

    def __init__(self, *args: int, **kwargs: int) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        _split(self)

    def forward(self, input: Tensor) -> Tensor:
        """(B, C_in, T) -> (B, C_out, T')."""
        return self._conv_forward(input, folded(self), self.bias)


class NormedConv2d(nn.Conv2d):
    """``nn.Conv2d`` under weight normalisation; arguments and shapes are the same."""

    def __init__(self, *args: int | tuple[int, int], **kwargs: int | tuple[int, int]) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        _split(self)

    def forward(self, input: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H', W')."""
        return self._conv_forward(input, folded(self), self.bias)


class NormedConvTranspose1d(nn.ConvTranspose1d):
    """``nn.ConvTranspose1d`` under weight normalisation, whose lengths belong to the *input* channels."""

    def __init__(self, *args: int, **kwargs: int) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        _split(self)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, C_in, T) -> (B, C_out, T')."""
        padding = cast(tuple[int, ...], self.padding)  # a transposed convolution knows no padding by name
        return F.conv_transpose1d(
            input, folded(self), self.bias, self.stride, padding, self.output_padding, self.groups, self.dilation
        )


def split_weights(state: Mapping[str, Tensor], owns: Callable[[str], bool]) -> dict[str, Tensor]:
    """Return a state dictionary in which every normalised weight is ``weight_g`` and ``weight_v``.

    Args:
        state: weights by name, normalised ones in any of the three spellings.
        owns: whether the module of this name normalises its weight (its plain weight is then split).

    >>> sorted(split_weights({"conv.weight": torch.ones(2, 3, 1)}, lambda name: True))
    ['conv.weight_g', 'conv.weight_v']
    """
    result: dict[str, Tensor] = {}
    for name, tensor in state.items():
        for spelling, key in zip(_PARAMETRISED, ("weight_g", "weight_v"), strict=True):
            if name.endswith(spelling):
                result[name.removesuffix(spelling) + key] = tensor
                break
        else:
            if name.endswith(".weight") and owns(name.removesuffix(".weight")):
                result[f"{name}_g"], result[f"{name}_v"] = lengths(tensor), tensor
            else:
                result[name] = tensor
    return result
