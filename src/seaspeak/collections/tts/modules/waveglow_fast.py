"""WaveGlow's inverse on a CPU: the same samples, sooner.

Weight normalisation and matrix inverses are computed once; channels lie last in memory throughout, so that pointwise
convolutions are matrix products and dilated ones reach the processor's pace; sums and gates work in place. Held to
``WaveGlowModule.plain_inverse`` in the tests.

Shape letters: as in `waveglow`; images are (B, C, 1, P) with channels last, rows are (B, P, C).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor

from seaspeak.collections.tts.modules.weight_norm import folded
from seaspeak.core.snapshot import Snapshot

if TYPE_CHECKING:
    from seaspeak.collections.tts.modules.waveglow import WaveGlowModule


def suits(module: WaveGlowModule, spec: Tensor) -> bool:
    """Whether this is computed here: float32 on a CPU, without gradients, and nobody traces or compiles."""
    return (
        spec.device.type == "cpu"
        and spec.dtype == module.upsample.weight.dtype == torch.float32
        and not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and not torch.is_autocast_enabled("cpu")
    )


@dataclass(frozen=True, slots=True)
class _Layer:
    """A dilated convolution, its share of the conditions, and the way out."""

    dilated: Tensor
    dilation: int
    condition: Tensor
    bias: Tensor
    res_skip: Tensor
    res_skip_bias: Tensor


@dataclass(frozen=True, slots=True)
class _Step:
    """One step of the flow, its weights put together."""

    start: tuple[Tensor, Tensor]
    layers: list[_Layer]
    end: tuple[Tensor, Tensor]
    unmix: Tensor

    @classmethod
    def of(cls, network: Any, mix: Any) -> _Step:
        conditions = folded(network.cond_layer)[..., 0].chunk(len(network.in_layers))
        biases = network.cond_layer.bias.chunk(len(network.in_layers))
        layers = [
            _Layer(
                folded(dilated)[:, :, None].contiguous(memory_format=torch.channels_last),
                dilated.dilation[0],
                condition.contiguous(),
                dilated.bias + bias,
                folded(res_skip)[..., 0],
                res_skip.bias,
            )
            for dilated, res_skip, condition, bias in zip(
                network.in_layers, network.res_skip_layers, conditions, biases, strict=True
            )
        ]
        start, end = network.start, network.end
        return cls((folded(start)[..., 0], start.bias), layers, (end.weight[..., 0], end.bias), mix.inverse())

    def shift_and_scale(self, half_BPN: Tensor, mel_BPD: Tensor) -> Tensor:
        x_BPC = F.linear(half_BPN, *self.start)
        channels = x_BPC.shape[2]
        skipped: Tensor | None = None
        for layer in self.layers:
            reach = layer.dilation * (layer.dilated.shape[3] - 1) // 2
            image = x_BPC[:, None].permute(0, 3, 1, 2)
            gates = F.conv2d(image, layer.dilated, layer.bias, padding=(0, reach), dilation=(1, layer.dilation))
            gates_BPC = gates.permute(0, 2, 3, 1)[:, 0].add_(F.linear(mel_BPD, layer.condition))
            gated = gates_BPC[..., :channels].tanh().mul_(gates_BPC[..., channels:].sigmoid())
            y = F.linear(gated, layer.res_skip, layer.res_skip_bias)
            if y.shape[2] > channels:
                x_BPC = x_BPC.add_(y[..., :channels])
                y = y[..., channels:]
            skipped = y.contiguous() if skipped is None else skipped.add_(y)
        assert skipped is not None
        return F.linear(skipped, *self.end)


_prepared: WeakKeyDictionary[Any, tuple[Snapshot, list[_Step]]] = WeakKeyDictionary()


def _steps(module: WaveGlowModule) -> list[_Step]:
    """The steps of a module as it is now; put together again when a parameter has changed."""
    known = _prepared.get(module)
    if known is None or not known[0].is_current():
        steps = [_Step.of(network, mix) for network, mix in zip(module.wavenet, module.convinv, strict=True)]
        known = _prepared[module] = (Snapshot(module), steps)
    return known[1]


def inverse(module: WaveGlowModule, spec: Tensor, z: Tensor) -> Tensor:
    """Return the sound (B, S) of noise (B, G, P)."""
    mel_BPD = module.conditions(spec).transpose(1, 2).contiguous()
    x_BPG, waiting = z.transpose(1, 2).tensor_split([module.n_remaining], 2)
    early = module.n_early_size
    for number, step in reversed(list(enumerate(_steps(module)))):
        kept, changed = x_BPG.chunk(2, 2)
        shift, log_scale = step.shift_and_scale(kept, mel_BPD).chunk(2, 2)
        x_BPG = F.linear(torch.cat([kept, (changed - shift) * (-log_scale).exp()], 2), step.unmix)
        if module.leaves(number):
            x_BPG = torch.cat([waiting[..., :early], x_BPG], 2)
            waiting = waiting[..., early:]
    return x_BPG.flatten(1)
