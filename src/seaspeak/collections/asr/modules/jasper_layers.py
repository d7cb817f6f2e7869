"""Layers that Jasper and QuartzNet are made of: convolutions that know lengths, channel shuffle, squeeze-and-excite.

Shape letters in this file:
    B  batch size    C  channels    T  frames before a layer    S  frames after it

Source: spec asr §7.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seaspeak.core.errors import ConfigError


def frame_mask(lengths: Tensor, num_frames: int) -> Tensor:
    """Return (B, 1, T) bool, true where a frame lies before its item's length."""
    return (torch.arange(num_frames, device=lengths.device) < lengths[:, None])[:, None]


class PaddedConv1d(nn.Conv1d):
    """``nn.Conv1d`` without bias whose zeros left and right may differ in number, and which knows its output length."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int,
        stride: int = 1,
        dilation: int = 1,
        pads: tuple[int, int] = (0, 0),
        groups: int = 1,
    ) -> None:
        symmetric = pads[0] if pads[0] == pads[1] else 0
        super().__init__(in_channels, out_channels, kernel, stride, symmetric, dilation, groups, bias=False)
        self.pads = pads

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, T) -> (B, C', S)."""
        if self.pads[0] != self.pads[1]:
            features = F.pad(features, self.pads)
        return super().forward(features)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Return (B,) int64, the frames that come of ``lengths`` frames."""
        return torch.div(lengths + self._slack, self.stride[0], rounding_mode="floor") + 1

    def output_length(self, length: int) -> int:
        """Return the frames that come of ``length`` frames."""
        return (length + self._slack) // self.stride[0] + 1

    @property
    def _slack(self) -> int:
        """Frames of padding that the kernel does not need, negative where it needs more."""
        return sum(self.pads) - self.dilation[0] * (self.kernel_size[0] - 1) - 1


class MaskedConv1d(nn.Module):
    """Convolution over time before which frames beyond an item's length are set to zero.

    ``heads`` > 0 shares the kernels of a depth-wise convolution: the signal is seen as (B·C/heads, heads, T).

    Shapes:
        features  (B, C, T)    float
        lengths   (B,)         int64, frames
        returns   (B, C', S) and (B,) int64

    Raises:
        ConfigError: ``heads`` for a convolution that is not depth-wise.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int,
        stride: int = 1,
        dilation: int = 1,
        pads: tuple[int, int] = (0, 0),
        groups: int = 1,
        heads: int = -1,
    ) -> None:
        super().__init__()
        if heads != -1 and groups != in_channels:
            raise ConfigError("heads need a depth-wise convolution", got=f"groups {groups}, channels {in_channels}")
        if heads != -1:
            in_channels = out_channels = groups = heads
        self.heads = heads
        self.conv = PaddedConv1d(
            in_channels, out_channels, kernel=kernel, stride=stride, dilation=dilation, pads=pads, groups=groups
        )

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Convolve the frames before ``lengths``; return the result and its lengths."""
        x_BCT = features * frame_mask(lengths, features.shape[-1]).to(features.dtype)
        if self.heads == -1:
            return self.conv(x_BCT), self.conv.output_lengths(lengths)
        batch, channels, frames = x_BCT.shape
        y = self.conv(x_BCT.reshape(-1, self.heads, frames))
        return y.reshape(batch, channels, -1), self.conv.output_lengths(lengths)


class GroupShuffle(nn.Module):
    """Interleaves the channels of a grouped convolution's groups. (B, C, T) -> (B, C, T)."""

    def __init__(self, groups: int, channels: int) -> None:
        super().__init__()
        self.groups = groups
        self.channels_per_group = channels // groups

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        batch, channels, frames = features.shape
        grouped = features.reshape(batch, self.groups, self.channels_per_group, frames)
        return grouped.transpose(1, 2).reshape(batch, channels, frames)


class SqueezeExcite(nn.Module):
    """Scales each channel by a gate that a small network draws from the channels' means over time.

    Args:
        channels: channels of the signal.
        reduction_ratio: channels per hidden unit.
        activation: between the two linear layers.
        context_size: frames of the mean, -1 for the whole utterance (spec asr §7.5).
        interpolation_mode: how windowed means come back to the length of the signal (NeMo up to 1.5).
        masked: mean over the item's own frames (NeMo 1.6 and later) or over the padded row (before).

    Shapes:
        features  (B, C, T)    float
        lengths   (B,)         int64, frames
        returns   (B, C, T)
    """

    def __init__(
        self,
        channels: int,
        *,
        reduction_ratio: int,
        activation: nn.Module,
        context_size: int = -1,
        interpolation_mode: str = "nearest",
        masked: bool = True,
    ) -> None:
        super().__init__()
        hidden = channels // reduction_ratio
        self.context_size = context_size
        self.interpolation_mode = interpolation_mode
        self.masked = masked
        self.fc = nn.Sequential(
            nn.Linear(channels, hidden, bias=False), activation, nn.Linear(hidden, channels, bias=False)
        )

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Scale the channels of each item."""
        x_BCT = features.float()  # means in half precision drift
        if self.masked:
            mask = frame_mask(lengths, x_BCT.shape[-1]).to(x_BCT.dtype)
            x_BCT = x_BCT * mask
            gate = self._gate(self._masked_mean(x_BCT, mask))
        else:
            gate = self._gate(self._row_mean(x_BCT))
            if gate.shape[-1] > 1:
                gate = F.interpolate(gate, size=x_BCT.shape[-1], mode=self.interpolation_mode)
        return (x_BCT * torch.sigmoid(gate)).to(features.dtype)

    def _gate(self, means: Tensor) -> Tensor:
        """(B, C, W) -> (B, C, W)."""
        gate: Tensor = self.fc(means.transpose(1, 2)).transpose(1, 2)
        return gate

    def _masked_mean(self, x_BCT: Tensor, mask: Tensor) -> Tensor:
        window, frames = self.context_size, x_BCT.shape[-1]
        if self.training and 0 < window < frames:
            start = int(torch.randint(0, frames - window + 1, (1,)))
            x_BCT, mask = x_BCT[..., start : start + window], mask[..., start : start + window]
        return x_BCT.sum(-1, keepdim=True) / mask.sum(-1, keepdim=True).clamp(min=1.0)

    def _row_mean(self, x_BCT: Tensor) -> Tensor:
        if 0 < self.context_size <= x_BCT.shape[-1]:
            return F.avg_pool1d(x_BCT, self.context_size, stride=1)
        return x_BCT.mean(-1, keepdim=True)
