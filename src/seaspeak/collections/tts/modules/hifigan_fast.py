"""HiFi-GAN's generator on a CPU: the same samples at the pace of a matrix product.

What is done here, each exact to rounding and held to ``Generator.plain`` in the tests:

* Every convolution is two-dimensional, over an image (B, C, 1, S) of one row whose channels lie last in memory: torch's
  ``conv1d`` reaches half of what the processor can do, this all of it.
* Of those with many channels and long kernels, where most of the work is, the sums are made with fewer products
  (``fourier_conv.py``).
* A transposed convolution whose kernel is twice its rate is an ordinary one of two taps: between two neighbouring
  inputs lie ``rate`` outputs that depend on these two alone. Its outputs lie in memory as the longer signal already.
* Weight normalisation is folded; the mean over residual blocks is folded into the next weights, since leaky
  rectifiers commute with positive factors; rectifiers and sums work in place.
* Each stage is computed in tiles along time that stay in the processor's cache, with so much of their surroundings
  that their inner part is exact.

Shape letters in this file:
    B  batch size    C  channels    T  frames    S  steps inside the network, from frames to samples
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seaspeak.collections.tts.modules import fourier_conv
from seaspeak.collections.tts.modules.fourier_conv import FourierConv
from seaspeak.collections.tts.modules.weight_norm import folded
from seaspeak.core.snapshot import Snapshot

if TYPE_CHECKING:
    from seaspeak.collections.tts.modules.hifigan import Generator

SLOPE = 0.1
"""Of the leaky rectifiers; the one before the last convolution has torch's default, 0.01."""

_LAST_SLOPE = 0.01
_TILE = 1 << 20  # values of one signal in a tile: 4 MiB, a share of the last cache; smaller tiles overlap too much


def suits(generator: Generator, x: Tensor) -> bool:
    """Whether this input is computed here: float32 on a CPU, without gradients, and nobody traces or compiles."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and not torch.onnx.is_in_onnx_export()
        and not torch.is_autocast_enabled("cpu")
        and generator.conv_post.weight_v.dtype == torch.float32
    )


@dataclass(frozen=True, slots=True)
class _Conv:
    """A convolution that keeps the length, over an image of one row."""

    weight: Tensor
    bias: Tensor | None
    dilation: int

    @classmethod
    def of(cls, conv: nn.Module, scale: float = 1.0) -> _Conv | FourierConv:
        assert isinstance(conv, nn.Conv1d)
        weight, dilation = folded(conv) * scale, conv.dilation[0]
        if fourier_conv.pays(weight):
            return FourierConv.of(weight, conv.bias, dilation)
        return cls(_as_image(weight), conv.bias, dilation)

    @property
    def reach(self) -> int:
        """Steps on either side that an output depends on."""
        return self.dilation * (self.weight.shape[-1] - 1) // 2

    def __call__(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, self.bias, padding=(0, self.reach), dilation=(1, self.dilation))


@dataclass(frozen=True, slots=True)
class _Up:
    """A transposed convolution: S steps to S * rate."""

    weight: Tensor
    bias: Tensor | None
    rate: int
    padding: int
    as_two_taps: bool

    @classmethod
    def of(cls, conv: nn.Module, scale: float) -> _Up:
        assert isinstance(conv, nn.ConvTranspose1d)
        weight, rate, padding = folded(conv) * scale, conv.stride[0], int(conv.padding[0])
        bias = conv.bias
        two_taps = conv.kernel_size[0] == 2 * rate
        if (
            two_taps
        ):  # (C_in, C_out, later input's taps | earlier input's taps) -> (rate * C_out, C_in, earlier | later)
            later, earlier = weight.split(rate, dim=2)
            taps = torch.stack([earlier, later], dim=3).permute(2, 1, 0, 3)
            weight = _as_image(taps.flatten(0, 1))
            bias = None if bias is None else bias.repeat(rate)
        return cls(weight, bias, rate, padding, two_taps)

    def __call__(self, x: Tensor) -> Tensor:
        size = x.shape[-1] * self.rate
        if not self.as_two_taps:
            y = F.conv_transpose1d(x[:, :, 0], self.weight, self.bias, self.rate, self.padding)
            return y.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        y = F.conv2d(x, self.weight, self.bias, padding=(0, 1)).permute(0, 2, 3, 1)
        y = y.reshape(x.shape[0], 1, -1, self.weight.shape[0] // self.rate)
        return y[:, :, self.padding : self.padding + size].permute(0, 3, 1, 2)


@dataclass(frozen=True, slots=True)
class _Stage:
    """A transposed convolution and the *sum* of the residual blocks after it."""

    up: _Up
    blocks: Sequence[Sequence[Sequence[_Conv | FourierConv]]]
    reach: int

    @classmethod
    def of(cls, up: nn.Module, blocks: Any, scale: float) -> _Stage:
        made = [[[_Conv.of(conv) for conv in unit] for unit in block.units] for block in blocks]
        reach = max(sum(conv.reach for unit in block for conv in unit) for block in made)
        return cls(_Up.of(up, scale), made, reach)

    @property
    def context(self) -> int:
        """Steps of the input on either side that an input's outputs depend on."""
        return -(-self.reach // self.up.rate) + 1

    def __call__(self, x: Tensor) -> Tensor:
        x = self.up(x)
        total: Tensor | None = None
        for block in self.blocks:
            y = x
            for unit in block:
                z = F.leaky_relu(y, SLOPE)
                for place, conv in enumerate(unit):
                    z = conv(z if place == 0 else F.leaky_relu_(z, SLOPE))
                y = z.add_(y)
            total = y if total is None else total.add_(y)
        assert total is not None
        return total

    def tiled(self, x: Tensor, slope: float) -> Tensor:
        """Return the rectified output for the rectified input (B, C, 1, S), computed in tiles."""
        channels = x.shape[1] // 2
        size = max(_TILE // (channels * self.up.rate), 2 * self.context)
        if x.shape[-1] <= size + size // 2:
            return F.leaky_relu_(self(x), slope)
        parts = []
        for start in range(0, x.shape[-1], size):
            end = min(start + size, x.shape[-1])
            first, last = max(start - self.context, 0), min(end + self.context, x.shape[-1])
            y = self(x[..., first:last])
            inner = y[..., (start - first) * self.up.rate : (end - first) * self.up.rate]
            parts.append(F.leaky_relu_(inner, slope))
        return torch.cat(parts, dim=-1)


_plans: WeakKeyDictionary[Generator, Folded] = WeakKeyDictionary()


class Folded:
    """A generator's convolutions in the form in which they are computed, as long as its parameters stay as they are."""

    def __init__(self, generator: Generator) -> None:
        self._snapshot = Snapshot(generator)
        with torch.no_grad():
            mean = 1 / len(generator.resblocks[0])
            self.pre = _Conv.of(generator.conv_pre)
            self.stages = [
                _Stage.of(up, blocks, scale=mean if number else 1.0)
                for number, (up, blocks) in enumerate(zip(generator.ups, generator.resblocks, strict=True))
            ]
            self.post = _Conv.of(generator.conv_post, scale=mean)

    @classmethod
    def of(cls, generator: Generator) -> Folded:
        """Return the folded form of a generator, made anew if any parameter has changed."""
        plan = _plans.get(generator)
        if plan is None or not plan._snapshot.is_current():
            plan = _plans[generator] = cls(generator)
        return plan

    @property
    def _contexts(self) -> list[int]:
        """Steps on either side of its output that what comes after each stage depends on."""
        contexts = [self.post.reach]
        for stage in reversed(self.stages[1:]):
            contexts.append(-(-(contexts[-1] + stage.reach) // stage.up.rate) + 1)
        return contexts[::-1]

    def __call__(self, spec: Tensor, lead: int = 0, tail: int = 0) -> Tensor:
        """(B, D, T) mel spectrograms -> (B, 1, samples of all frames but the first ``lead`` and the last ``tail``).

        What only frames that are left out depend on is dropped after every stage.
        """
        x = F.leaky_relu_(self.pre(_as_image(spec)), SLOPE)
        slopes = [SLOPE] * (len(self.stages) - 1) + [_LAST_SLOPE]
        for stage, slope, context in zip(self.stages, slopes, self._contexts, strict=True):
            x = stage.tiled(x, slope)
            lead, tail = lead * stage.up.rate, tail * stage.up.rate
            x = x[..., max(lead - context, 0) : x.shape[-1] - max(tail - context, 0)]
            lead, tail = min(lead, context), min(tail, context)
        x = self.post(x)
        return x[..., lead : x.shape[-1] - tail].squeeze(2).tanh_()


def _as_image(signal: Tensor) -> Tensor:
    """(B, C, S) -> (B, C, 1, S), channels last."""
    return signal.unsqueeze(2).contiguous(memory_format=torch.channels_last)
