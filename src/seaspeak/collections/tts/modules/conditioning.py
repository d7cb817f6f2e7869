"""How a speaker's embedding enters a layer: added to its input, concatenated with it, or through its normalisation.

Shape letters in this file:
    B  batch size      T  tokens or frames      D  width of the layer      C  width of the condition
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from seaspeak.core.errors import ConfigError

CONDITION_TYPES = ("add", "concat", "layernorm")


def check_condition_types(condition_types: Sequence[str]) -> tuple[str, ...]:
    """Return the ways a condition enters.

    Raises:
        ConfigError: one of them is not known.
    """
    unknown = [kind for kind in condition_types if kind not in CONDITION_TYPES]
    if unknown:
        raise ConfigError(f"condition_types has {unknown[0]!r}", expected=", ".join(CONDITION_TYPES))
    return tuple(condition_types)


class ConditionalInput(nn.Module):
    """Adds a condition (B, 1, C) to an input (B, T, D), or concatenates it; nothing if neither is asked for."""

    def __init__(self, width: int, condition_width: int, condition_types: Sequence[str] = ()) -> None:
        super().__init__()
        types = check_condition_types(condition_types)
        self.adds, self.concatenates = "add" in types, "concat" in types
        if self.adds and condition_width != width:
            self.add_proj: nn.Module = nn.Linear(condition_width, width)
        elif self.adds:
            self.add_proj = nn.Identity()
        if self.concatenates:
            self.concat_proj = nn.Linear(width + condition_width, width)

    def forward(self, inputs: Tensor, conditioning: Tensor | None = None) -> Tensor:
        """Return the conditioned input (B, T, D)."""
        if not (self.adds or self.concatenates):
            return inputs
        if conditioning is None:
            raise ConfigError("the module is conditioned on a speaker, and none is given", fix="pass speaker=...")
        if self.adds:
            inputs = inputs + self.add_proj(conditioning)
        if self.concatenates:
            spread = conditioning.expand(-1, inputs.shape[1], -1)
            inputs = self.concat_proj(torch.cat([inputs, spread], dim=-1))
        return inputs


class ConditionalLayerNorm(nn.LayerNorm):
    """Layer normalisation over D; with ``layernorm`` its scale and shift are computed from a condition (B, 1, C)."""

    def __init__(self, width: int, condition_width: int, condition_types: Sequence[str] = ()) -> None:
        conditioned = "layernorm" in check_condition_types(condition_types)
        super().__init__(width, elementwise_affine=not conditioned)
        self.conditioned = conditioned
        if conditioned:
            del self.weight, self.bias
            for name, start in (("weight", 1.0), ("bias", 0.0)):
                layer = nn.Linear(condition_width, width)
                nn.init.zeros_(layer.weight)
                nn.init.constant_(layer.bias, start)
                self.add_module(name, layer)

    def forward(self, inputs: Tensor, conditioning: Tensor | None = None) -> Tensor:
        """Return the normalised input (B, T, D)."""
        if not self.conditioned:
            return super().forward(inputs)
        if conditioning is None:
            raise ConfigError("the layer is conditioned on a speaker, and none is given", fix="pass speaker=...")
        plain = functional.layer_norm(inputs, self.normalized_shape, eps=self.eps)
        return plain * self.weight(conditioning) + self.bias(conditioning)  # type: ignore[operator]
