"""Building blocks of Jasper and QuartzNet: masked convolution, squeeze-and-excite, the block itself.

Shape letters in this file:
    B  batch size    C  channels    T  frames before a layer    S  frames after it

Everything here is the plain formulation, one layer after the other on (B, C, T). The fast one for the CPU, held to
the same results, is in ``channels_last.py``; both walk through the same module lists, whose order is that of NeMo's
state dictionaries (spec asr §7.3).
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seaspeak.core.errors import ConfigError, nearest

logger = logging.getLogger(__name__)

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "hardtanh": nn.Hardtanh,
    "relu": nn.ReLU,
    "selu": nn.SELU,
    "swish": nn.SiLU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "identity": nn.Identity,
}

BATCH_NORM_EPS = 1e-3
BATCH_NORM_MOMENTUM = 0.1


def make_activation(name: str) -> nn.Module:
    """Return the activation called ``name``, working in place where it can.

    Raises:
        ConfigError: no activation has that name.
    """
    if name not in ACTIVATIONS:
        raise ConfigError(
            f"no activation is called {name!r}", expected=", ".join(ACTIVATIONS), fix=nearest(name, ACTIVATIONS)
        )
    activation = ACTIVATIONS[name]()
    if hasattr(activation, "inplace"):
        activation.inplace = True  # type: ignore[assignment]
    return activation


def initialise(module: nn.Module, mode: str | None) -> None:
    """Draw the weights of every convolution and linear layer in ``module``; reset its batch norms.

    Args:
        module: changed in place.
        mode: ``xavier_uniform``, ``xavier_normal``, ``kaiming_uniform``, ``kaiming_normal``, ``tds_uniform``,
            ``tds_normal`` (bound or standard deviation 2 / sqrt(fan in)), or None to leave torch's own draw.

    Raises:
        ConfigError: unknown mode.
    """
    draws: dict[str, Callable[[Tensor], object]] = {
        "xavier_uniform": nn.init.xavier_uniform_,
        "xavier_normal": nn.init.xavier_normal_,
        "kaiming_uniform": lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu"),
        "kaiming_normal": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
        "tds_uniform": lambda w: nn.init.uniform_(w, -_tds_scale(w), _tds_scale(w)),
        "tds_normal": lambda w: nn.init.normal_(w, 0.0, _tds_scale(w)),
    }
    if mode is not None and mode not in draws:
        raise ConfigError(f"no initialisation is called {mode!r}", expected=", ".join(draws), fix=nearest(mode, draws))
    for layer in module.modules():
        if isinstance(layer, (nn.Conv1d, nn.Linear)) and mode is not None:
            draws[mode](layer.weight)
        elif isinstance(layer, nn.BatchNorm1d):
            layer.reset_running_stats()
            layer.reset_parameters()


def _tds_scale(weight: Tensor) -> float:
    return 2.0 / math.sqrt(weight[0].numel())


def frame_mask(lengths: Tensor, num_frames: int) -> Tensor:
    """Return (B, 1, T) bool, true where a frame lies before its item's length."""
    return (torch.arange(num_frames, device=lengths.device) < lengths[:, None])[:, None]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BlockSpec:
    """The options of one block, under the names of NeMo's configurations (spec asr §7.2)."""

    filters: int
    repeat: int
    kernel: int
    stride: int
    dilation: int
    dropout: float
    residual: bool
    residual_mode: str = "add"
    residual_dense: bool = False
    groups: int = 1
    separable: bool = False
    heads: int = -1
    se: bool = False
    se_reduction_ratio: int = 8
    se_context_size: int = -1
    se_interpolation_mode: str = "nearest"
    kernel_size_factor: float = 1.0
    stride_last: bool = False
    future_context: int = -1

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, residual_mode: str, index: int) -> BlockSpec:
        """Read one entry of the list ``jasper``.

        Args:
            config: the entry; lists of one element and plain numbers mean the same.
            residual_mode: what holds where the entry says nothing: the mode of the block before.
            index: the entry's place in the list, for messages.

        Raises:
            ConfigError: a required key is missing.
        """
        known = {field.name: field for field in dataclasses.fields(cls)}
        given = {_RENAMED.get(str(key), str(key)): value for key, value in config.items()}
        required = [name for name, field in known.items() if field.default is dataclasses.MISSING]
        if missing := [name for name in required if name not in given]:
            raise ConfigError(f"encoder.jasper[{index}] lacks {', '.join(missing)}", got=", ".join(given))
        if ignored := [key for key in given if key not in known]:
            logger.warning("encoder.jasper[%d]: no option %s in this encoder; ignored", index, ", ".join(ignored))
        values = {"residual_mode": residual_mode, **{key: given[key] for key in known if key in given}}
        for key in ("kernel", "stride", "dilation"):
            values[key] = _scalar(values[key], f"encoder.jasper[{index}].{key}")
        values["kernel"] = scaled_kernel(values["kernel"], float(values.get("kernel_size_factor", 1.0)))
        return cls(**values)


_RENAMED = {"se_context_window": "se_context_size"}  # the key of NeMo 0.11


def _scalar(value: Any, where: str) -> int:
    """Return the number in ``value``, a number or a sequence of one number."""
    if isinstance(value, (str, bytes)) or not hasattr(value, "__len__"):
        return int(value)
    if len(value) != 1:
        raise ConfigError(f"{where} has to be one number", got=str(list(value)))
    return int(value[0])


def scaled_kernel(kernel: int, factor: float) -> int:
    """Return ``kernel`` times ``factor``, at least 1, the next odd number where that is even."""
    scaled = max(int(kernel * factor), 1)
    return scaled + 1 if scaled % 2 == 0 else scaled


def padding_of(spec: BlockSpec) -> tuple[int, int]:
    """Return how many frames of zeros a block's convolutions put left and right.

    Raises:
        ConfigError: stride and dilation both exceed 1.
    """
    kernel, dilation, future = spec.kernel, spec.dilation, spec.future_context
    if spec.stride > 1 and dilation > 1:
        raise ConfigError("stride and dilation of one block may not both exceed 1", got=f"{spec.stride}, {dilation}")
    if 0 <= future < kernel:
        if future > kernel / 2:
            logger.warning("future_context %d looks further ahead than half the kernel of %d", future, kernel)
        return dilation * (kernel - 1 - future), dilation * future
    if future >= kernel:
        logger.warning("future_context %d needs a kernel longer than %d; padding both sides alike", future, kernel)
    return (dilation * (kernel - 1) // 2,) * 2


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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NormSpec:
    """Which normalisation follows a convolution: ``batch``, ``layer``, ``instance`` or ``group``."""

    kind: str = "batch"
    groups: int = -1

    def build(self, channels: int) -> nn.Module:
        """Return the normalisation of ``channels`` channels.

        Raises:
            ConfigError: unknown kind.
        """
        if self.kind == "batch":
            return nn.BatchNorm1d(channels, eps=BATCH_NORM_EPS, momentum=BATCH_NORM_MOMENTUM)
        groups = {"layer": 1, "instance": channels, "group": channels if self.groups == -1 else self.groups}
        if self.kind not in groups:
            raise ConfigError(
                f"no normalization_mode is called {self.kind!r}", expected="batch, layer, instance, group"
            )
        return nn.GroupNorm(groups[self.kind], channels)


class JasperBlock(nn.Module):
    """``repeat`` units of convolution, normalisation, activation and dropout, with residual branches.

    ``mconv`` is the main branch, ``res`` one 1x1 convolution and normalisation per incoming signal, ``mout`` the
    activation and dropout after their sum (or maximum).

    Args:
        in_channels: channels of the newest incoming signal.
        spec: the block's options.
        norm: the normalisation after each convolution.
        activation: one instance, shared by all blocks.
        panes: channels of the incoming signals of a dense block, oldest first; empty where not dense.
        masked: whether frames beyond an item's length are zeroed before each convolution.
        mask_se: see ``SqueezeExcite.masked``.
    """

    def __init__(
        self,
        in_channels: int,
        spec: BlockSpec,
        *,
        norm: NormSpec,
        activation: nn.Module | None = None,
        panes: Sequence[int] = (),
        masked: bool = True,
        mask_se: bool = True,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.norm = norm
        self.masked = masked
        self.dense = bool(spec.residual and panes)
        activation = nn.Hardtanh(0.0, 20.0) if activation is None else activation
        layers: list[nn.Module] = []
        channels = in_channels
        for unit in range(spec.repeat):
            last = unit == spec.repeat - 1
            layers += self._unit(channels, stride=spec.stride if last or not spec.stride_last else 1)
            if not last:
                layers += [activation, nn.Dropout(spec.dropout)]
            channels = spec.filters
        if spec.se:
            layers.append(
                SqueezeExcite(
                    spec.filters,
                    reduction_ratio=spec.se_reduction_ratio,
                    activation=activation,
                    context_size=spec.se_context_size,
                    interpolation_mode=spec.se_interpolation_mode,
                    masked=mask_se,
                )
            )
        self.mconv = nn.ModuleList(layers)
        incoming = list(panes) if self.dense else [in_channels]
        self.res = nn.ModuleList(map(self._residual, incoming)) if spec.residual else None
        self.mout = nn.Sequential(activation, nn.Dropout(spec.dropout))

    def _conv(self, in_channels: int, out_channels: int, *, heads: int = -1, **options: Any) -> nn.Module:
        if self.masked:
            return MaskedConv1d(in_channels, out_channels, heads=heads, **options)
        if heads != -1:
            raise ConfigError("heads need conv_mask: true", got=f"heads {heads}")
        return PaddedConv1d(in_channels, out_channels, **options)

    def _unit(self, in_channels: int, *, stride: int) -> list[nn.Module]:
        """Return one unit's convolution(s), normalisation and shuffle."""
        spec = self.spec
        time = {"kernel": spec.kernel, "stride": stride, "dilation": spec.dilation, "pads": padding_of(spec)}
        if spec.separable:
            layers = [
                self._conv(in_channels, in_channels, groups=in_channels, heads=spec.heads, **time),
                self._conv(in_channels, spec.filters, kernel=1, groups=spec.groups),
            ]
        else:
            layers = [self._conv(in_channels, spec.filters, groups=spec.groups, heads=spec.heads, **time)]
        layers.append(self.norm.build(spec.filters))
        if spec.groups > 1:
            layers.append(GroupShuffle(spec.groups, spec.filters))
        return layers

    def _residual(self, in_channels: int) -> nn.ModuleList:
        spec = self.spec
        stride = spec.stride if spec.residual_mode == "stride_add" else 1
        conv = self._conv(in_channels, spec.filters, kernel=1, stride=stride)
        return nn.ModuleList([conv, self.norm.build(spec.filters)])

    def combine(self, main: Tensor, residual: Tensor) -> Tensor:
        """Join the main branch with one residual branch."""
        if self.spec.residual_mode in ("add", "stride_add"):
            return main + residual
        return torch.maximum(main, residual)

    def forward(self, signals: list[Tensor], lengths: Tensor) -> tuple[list[Tensor], Tensor]:
        """Apply the block.

        Shapes:
            signals   the outputs of earlier dense blocks and the newest signal, last; each (B, C_i, T)
            lengths   (B,) int64, frames
            returns   the signals for the next block, newest last, and their lengths
        """
        out, out_lengths = _walk(self.mconv, signals[-1], lengths)
        if self.res is not None:
            # A residual block that is not dense has one branch, for the oldest signal; the others are not its own.
            for branch, signal in zip(self.res, signals, strict=False):
                out = self.combine(out, _walk(branch, signal, lengths)[0])
        out = self.mout(out)
        return [*signals, out] if self.dense else [out], out_lengths


def _walk(layers: nn.Module, signal: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Send a signal through a list of layers, with its lengths where a layer wants them."""
    for layer in layers:  # type: ignore[attr-defined]
        if isinstance(layer, MaskedConv1d):
            signal, lengths = layer(signal, lengths)
        elif isinstance(layer, SqueezeExcite):
            signal = layer(signal, lengths)
        else:
            signal = layer(signal)
    return signal, lengths
