"""The block of Jasper and QuartzNet: its options, and how it puts its layers (``jasper_layers.py``) together.

Shape letters in this file:
    B  batch size    C  channels    T  frames

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
from torch import Tensor, nn

from seaspeak.collections.asr.modules.jasper_layers import GroupShuffle, MaskedConv1d, PaddedConv1d, SqueezeExcite
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
        activation.inplace = True  # type: ignore[assignment]  # a flag, not a tensor
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
    for layer in layers:  # type: ignore[attr-defined]  # a ModuleList or Sequential
        if isinstance(layer, MaskedConv1d):
            signal, lengths = layer(signal, lengths)
        elif isinstance(layer, SqueezeExcite):
            signal = layer(signal, lengths)
        else:
            signal = layer(signal)
    return signal, lengths
