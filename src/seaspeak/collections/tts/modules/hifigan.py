"""HiFi-GAN's generator: mel spectrograms to sound (arXiv:2010.05646).

Shape letters in this file:
    B  batch size      D  mel bands    C  channels
    T  frames (one for each ``hop_length`` = product of the upsampling rates)
    S  steps inside the network, from T at its beginning to the samples at its end
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seaspeak.collections.tts.modules import hifigan_fast
from seaspeak.collections.tts.modules.hifigan_fast import SLOPE
from seaspeak.collections.tts.modules.weight_norm import NormedConv1d, NormedConvTranspose1d, lengths
from seaspeak.core.errors import ConfigError
from seaspeak.core.module import NeuralModule
from seaspeak.core.types import AudioSignal, MelSpectrogramType, NeuralType
from seaspeak.core.typing import typecheck


class Sound(NamedTuple):
    """What the generator gives: samples in (-1, 1), one channel."""

    audio: Annotated[Tensor, NeuralType("B S T", AudioSignal())]


def _same(channels: int, kernel: int, dilation: int) -> NormedConv1d:
    """A convolution that leaves channels and length as they are."""
    return NormedConv1d(channels, channels, kernel, dilation=dilation, padding=dilation * (kernel - 1) // 2)


class ResBlock1(nn.Module):
    """Residual units of a dilated and a plain convolution each, as in V1 and V2.

    Shapes:
        x        (B, C, S)
        returns  (B, C, S)
    """

    def __init__(self, channels: int, kernel: int, dilations: Iterable[int]) -> None:
        super().__init__()
        dilations = list(dilations)
        self.convs1 = nn.ModuleList(_same(channels, kernel, dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(_same(channels, kernel, 1) for _ in dilations)

    @property
    def units(self) -> list[tuple[nn.Module, ...]]:
        """The convolutions of each residual unit."""
        return list(zip(self.convs1, self.convs2, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """Return the signal with all units' contributions."""
        return _residual(self.units, x)


class ResBlock2(nn.Module):
    """Residual units of one dilated convolution each, as in V3.

    Shapes:
        x        (B, C, S)
        returns  (B, C, S)
    """

    def __init__(self, channels: int, kernel: int, dilations: Iterable[int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(_same(channels, kernel, dilation) for dilation in dilations)

    @property
    def units(self) -> list[tuple[nn.Module, ...]]:
        """The convolution of each residual unit."""
        return [(conv,) for conv in self.convs]

    def forward(self, x: Tensor) -> Tensor:
        """Return the signal with all units' contributions."""
        return _residual(self.units, x)


def _residual(units: Iterable[Sequence[nn.Module]], x: Tensor) -> Tensor:
    for unit in units:
        y = x
        for conv in unit:
            y = conv(F.leaky_relu(y, SLOPE))
        x = x + y
    return x


class Generator(NeuralModule):
    """Mel frames to samples: transposed convolutions, and after each the mean of several residual blocks.

    Args:
        resblock: 1 for pairs of convolutions in the residual units (V1, V2), 2 for single ones (V3).
        upsample_rates, upsample_kernel_sizes: of the transposed convolutions; each halves the channels.
        upsample_initial_channel: channels before the first of them.
        resblock_kernel_sizes, resblock_dilation_sizes: one residual block a kernel, one unit a dilation.
        initial_input_size: mel bands.
        apply_weight_init_conv_pre: draw the first convolution from N(0, 0.01) too.

    Shapes:
        x        (B, initial_input_size, T)             natural log of mel magnitudes
        returns  (B, 1, T * product of upsample_rates)  samples in (-1, 1)

    Raises:
        ConfigError: rates and kernels, or kernels and dilations, do not go together.

    Source: the authors' configurations V1-V3; keys as in NeMo. Convolutions keep torch's initial weights, as they do
    in the authors' and NeMo's code, where drawing them anew came after the normalisation and had no effect. On a CPU,
    without gradients, the same numbers come faster (``hifigan_fast.py``).
    """

    ups: Any  # ModuleList of NormedConvTranspose1d
    resblocks: Any  # for each stage a ModuleList of blocks

    def __init__(
        self,
        resblock: int,
        upsample_rates: Sequence[int],
        upsample_kernel_sizes: Sequence[int],
        upsample_initial_channel: int,
        resblock_kernel_sizes: Sequence[int],
        resblock_dilation_sizes: Sequence[Sequence[int]],
        initial_input_size: int = 80,
        apply_weight_init_conv_pre: bool = False,
    ) -> None:
        super().__init__()
        _check_lists("upsample_rates", upsample_rates, "upsample_kernel_sizes", upsample_kernel_sizes)
        _check_lists("resblock_kernel_sizes", resblock_kernel_sizes, "resblock_dilation_sizes", resblock_dilation_sizes)
        block = ResBlock1 if int(resblock) == 1 else ResBlock2
        self.conv_pre = NormedConv1d(initial_input_size, upsample_initial_channel, 7, padding=3)
        if apply_weight_init_conv_pre and not self.conv_pre.weight_v.is_meta:
            self._draw_conv_pre()
        widths = [upsample_initial_channel >> stage for stage in range(len(upsample_rates) + 1)]
        self.ups = nn.ModuleList(
            NormedConvTranspose1d(wide, narrow, kernel, rate, padding=(kernel - rate) // 2)
            for wide, narrow, rate, kernel in zip(
                widths[:-1], widths[1:], upsample_rates, upsample_kernel_sizes, strict=True
            )
        )
        self.resblocks = nn.ModuleList(
            nn.ModuleList(
                block(width, kernel, dilations)
                for kernel, dilations in zip(resblock_kernel_sizes, resblock_dilation_sizes, strict=True)
            )
            for width in widths[1:]
        )
        self.conv_post = NormedConv1d(widths[-1], 1, 7, padding=3)

    @torch.no_grad()
    def _draw_conv_pre(self) -> None:
        weight = self.conv_pre.weight_v.normal_(0.0, 0.01)
        self.conv_pre.weight_g.copy_(lengths(weight))

    @property
    def hop_length(self) -> int:
        """Samples for each frame."""
        return math.prod(up.stride[0] for up in self.ups)

    @property
    def context(self) -> int:
        """Frames on either side that a frame's samples depend on."""
        steps = _reach(self.conv_post)
        for up, blocks in zip(reversed(self.ups), reversed(self.resblocks), strict=True):
            steps += max(sum(_reach(conv) for unit in block.units for conv in unit) for block in blocks)
            steps = math.ceil((steps + up.kernel_size[0] - up.padding[0] - 1) / up.stride[0])
        return steps + _reach(self.conv_pre)

    @typecheck()
    def forward(self, x: Annotated[Tensor, NeuralType("B D T", MelSpectrogramType())]) -> Sound:
        """Return the samples of mel spectrograms."""
        if hifigan_fast.suits(self, x):
            return Sound(hifigan_fast.Folded.of(self)(x))
        return Sound(self.plain(x))

    def inner(self, x: Tensor, lead: int, tail: int) -> Tensor:
        """Return the samples of all frames but the first ``lead`` and the last ``tail``, which are context only."""
        if hifigan_fast.suits(self, x):
            return hifigan_fast.Folded.of(self)(x, lead, tail)
        return self.plain(x)[..., lead * self.hop_length : (x.shape[2] - tail) * self.hop_length]

    def plain(self, x: Tensor) -> Tensor:
        """Return the same by the formulas as they are written: for training, export and comparison."""
        x = self.conv_pre(x)
        for up, blocks in zip(self.ups, self.resblocks, strict=True):
            x = up(F.leaky_relu(x, SLOPE))
            assert isinstance(blocks, nn.ModuleList)
            x = torch.stack([block(x) for block in blocks]).mean(0)
        return torch.tanh(self.conv_post(F.leaky_relu(x)))


def _reach(conv: nn.Module) -> int:
    """Steps on either side that an output of a convolution depends on."""
    assert isinstance(conv, nn.Conv1d)
    return conv.dilation[0] * (conv.kernel_size[0] - 1) // 2


def _check_lists(name: str, one: Sequence[object], other_name: str, other: Sequence[object]) -> None:
    if len(one) != len(other) or not one:
        raise ConfigError(
            f"{name} and {other_name} of the generator go together", got=f"{len(one)} and {len(other)} values"
        )
