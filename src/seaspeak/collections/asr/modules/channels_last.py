"""The encoder on a CPU: every convolution two-dimensional, on (B, C, 1, T) with the channels last in memory.

A convolution over time is the same sum whichever way the tensor lies, but torch's CPU kernels for depth-wise
``conv1d`` take most of a QuartzNet's time for a tenth of its arithmetic. Laid out as an image of one row with the
channels last, they do not. Two forms, both held to the plain one of ``jasper.py`` (``docs/decisions/0030``):

* ``Folded``: without gradients. Batch normalisation is folded into the convolution before it, and frames beyond an
  item's length are zeroed only where a convolution would carry them into frames that count.
* ``differentiable``: with gradients, in training and in evaluation. The weights of depth-wise convolutions get their
  gradient by a Fourier transform.

Parameters stay where they are, under NeMo's names and shapes; both forms read them.

Shape letters in this file:
    B  batch size    C  channels    T  frames before a layer    K  taps of a kernel
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from seaspeak.collections.asr.modules.jasper import JasperBlock
from seaspeak.collections.asr.modules.jasper_layers import MaskedConv1d, PaddedConv1d, frame_mask

if TYPE_CHECKING:
    from seaspeak.collections.asr.modules.conv_asr import ConvASREncoder


def suits(encoder: ConvASREncoder, signal: Tensor) -> bool:
    """Whether this encoder and batch are computed here: float32 on a CPU, batch norm, no rare options.

    While torch traces, compiles or exports, and where someone listens to the layers through hooks, the plain
    formulation runs.
    """
    return (
        signal.device.type == "cpu"
        and signal.dtype == torch.float32
        and signal.numel() > 0
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and not torch.onnx.is_in_onnx_export()
        and not torch.is_autocast_enabled("cpu")
        and all(_has_common_options(block) for block in encoder.blocks)
        and all(map(_is_ordinary, encoder.encoder.modules()))
    )


def _has_common_options(block: JasperBlock) -> bool:
    spec = block.spec
    return block.norm.kind == "batch" and not spec.se and spec.heads == -1 and spec.groups == 1


def _is_ordinary(module: nn.Module) -> bool:
    """Whether a module is what its block made it: no stand-in, no listeners, no other type or place."""
    if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks:
        return False
    if isinstance(module, (nn.Conv1d, nn.modules.batchnorm._BatchNorm)):
        known = type(module) is PaddedConv1d or type(module) is nn.BatchNorm1d
        weight: Any = module.weight
        return known and weight.dtype == torch.float32 and weight.device.type == "cpu"
    return True


def _as_image(signal: Tensor) -> Tensor:
    """(B, C, T) -> (B, C, 1, T), channels last; always a copy, which later layers may overwrite."""
    return signal.unsqueeze(2).clone(memory_format=torch.channels_last)


@dataclasses.dataclass(frozen=True, slots=True)
class _Unit:
    """Convolutions of one unit, first to last, and the normalisation after them."""

    convs: tuple[PaddedConv1d, ...]
    norm: nn.BatchNorm1d


def _units(branch: nn.Module) -> list[_Unit]:
    """Gather the layers of a branch into units."""
    units: list[_Unit] = []
    convs: list[PaddedConv1d] = []
    for layer in branch.children():
        inner = layer.conv if isinstance(layer, MaskedConv1d) else layer
        if isinstance(inner, PaddedConv1d):
            convs.append(inner)
        elif isinstance(inner, nn.BatchNorm1d):
            units.append(_Unit(tuple(convs), inner))
            convs = []
    return units


# --- without gradients ----------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class _FoldedConv:
    """One convolution with the normalisation that follows it inside."""

    weight: Tensor
    bias: Tensor | None
    source: PaddedConv1d

    @property
    def spans_frames(self) -> bool:
        return self.source.kernel_size[0] > 1

    def __call__(self, x: Tensor) -> Tensor:
        return _convolve(x, self.weight, self.bias, self.source)


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, source: PaddedConv1d) -> Tensor:
    if source.kernel_size[0] == source.stride[0] == source.groups == 1:
        # A matrix product as it lies. (torch's 1x1 convolution takes a slow way where there is one thread.)
        return F.linear(x.permute(0, 2, 3, 1), weight[:, :, 0, 0], bias).permute(0, 3, 1, 2)
    left, right = source.pads
    if left != right:
        x, left = F.pad(x, (left, right)), 0
    return F.conv2d(
        x,
        weight,
        bias,
        stride=(1, source.stride[0]),
        padding=(0, left),
        dilation=(1, source.dilation[0]),
        groups=source.groups,
    )


def _fold(unit: _Unit) -> list[_FoldedConv]:
    norm = unit.norm
    assert norm.running_mean is not None and norm.running_var is not None
    scale = torch.rsqrt(norm.running_var + norm.eps) * norm.weight
    shift = norm.bias - norm.running_mean * scale
    *earlier, last = unit.convs
    layout: dict[str, Any] = {"memory_format": torch.channels_last}
    folded = [_FoldedConv(conv.weight.detach().unsqueeze(2).contiguous(**layout), None, conv) for conv in earlier]
    weight = (last.weight * scale[:, None, None]).unsqueeze(2).contiguous(**layout)
    return [*folded, _FoldedConv(weight, shift, last)]


@dataclasses.dataclass(frozen=True, slots=True)
class _FoldedBlock:
    main: list[list[_FoldedConv]]
    residual: list[list[_FoldedConv]]


_State = list[tuple[dict[str, Any], str, Tensor, int]]
_plans: WeakKeyDictionary[ConvASREncoder, Folded] = WeakKeyDictionary()


class Folded:
    """An encoder's convolutions with their normalisations folded in, as long as its parameters stay as they are."""

    def __init__(self, encoder: ConvASREncoder) -> None:
        with torch.no_grad():
            self.blocks = [
                _FoldedBlock(
                    [_fold(unit) for unit in _units(block.mconv)],
                    [_fold(unit) for branch in block.res or () for unit in _units(branch)],
                )
                for block in encoder.blocks
            ]
        self.state: _State = [
            (tensors, name, tensor, _version(tensor))
            for module in encoder.encoder.modules()
            for tensors in (module._parameters, module._buffers)
            for name, tensor in tensors.items()
            if tensor is not None and name != "num_batches_tracked"
        ]

    @classmethod
    def of(cls, encoder: ConvASREncoder) -> Folded:
        """Return the folded form of an encoder, made anew if any parameter has changed."""
        plan = _plans.get(encoder)
        if plan is None or not plan.is_current():
            plan = _plans[encoder] = cls(encoder)
        return plan

    @staticmethod
    def forget(encoder: ConvASREncoder) -> None:
        """Make the folded form anew next time: training may change parameters in ways that leave no trace."""
        _plans.pop(encoder, None)

    def is_current(self) -> bool:
        """Whether every parameter and buffer is still the same object with the same content."""
        return all(
            tensors.get(name) is tensor and _version(tensor) == version for tensors, name, tensor, version in self.state
        )

    def __call__(self, encoder: ConvASREncoder, signal: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode (B, C, T) features; see ``ConvASREncoder``."""
        counts = lengths.tolist()
        signals = [_as_image(signal)]
        for place, (block, folded) in enumerate(zip(encoder.blocks, self.blocks, strict=True)):
            # what lies beyond a length is seen only where a kernel reaches it, or in the encoder's own output
            everywhere = place == len(self.blocks) - 1
            masking = _Masking(block.masked, everywhere)
            out, out_counts = masking.main(folded.main, signals[-1], counts, block)
            for branch, older in zip(folded.residual, signals, strict=False):
                out = _joined(block, out, masking.branch(branch, older, counts))
            out = block.mout(out)
            signals = [*signals, out] if block.dense else [out]
            counts = out_counts
        result = torch.tensor(counts, device=lengths.device) if encoder.conv_mask else lengths
        return signals[-1].squeeze(2), result


def _version(tensor: Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version


def _joined(block: JasperBlock, main: Tensor, residual: Tensor) -> Tensor:
    """``JasperBlock.combine``, in the memory of the main branch."""
    if block.spec.residual_mode in ("add", "stride_add"):
        return main.add_(residual)
    return torch.maximum(main, residual, out=main)


@dataclasses.dataclass(frozen=True, slots=True)
class _Masking:
    """Zeroes frames beyond the lengths, before kernels that span several frames, or before every one."""

    masked: bool
    everywhere: bool

    def main(
        self, units: Sequence[Sequence[_FoldedConv]], x: Tensor, counts: list[int], block: JasperBlock
    ) -> tuple[Tensor, list[int]]:
        activation = block.mout[0]
        for place, unit in enumerate(units):
            for conv in unit:
                x = conv(self._zeroed(conv, x, counts))
                counts = [conv.source.output_length(count) for count in counts] if self.masked else counts
            if place < len(units) - 1:
                x = activation(x)
        return x, counts

    def branch(self, unit: Sequence[_FoldedConv], x: Tensor, counts: list[int]) -> Tensor:
        for conv in unit:
            x = conv(self._zeroed(conv, x, counts))
        return x

    def _zeroed(self, conv: _FoldedConv, x: Tensor, counts: list[int]) -> Tensor:
        if self.masked and (self.everywhere or conv.spans_frames):
            for row, count in zip(x, counts, strict=True):
                if count < x.shape[-1]:
                    row[..., count:] = 0.0
        return x


# --- with gradients -------------------------------------------------------------------------------------------------


def differentiable(encoder: ConvASREncoder, signal: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Encode (B, C, T) features; see ``ConvASREncoder``."""
    signals = [signal.unsqueeze(2).contiguous(memory_format=torch.channels_last)]
    for block in encoder.blocks:
        counts = lengths
        units = _units(block.mconv)
        out = signals[-1]
        for place, unit in enumerate(units):
            out, counts = _apply(unit, out, counts, masked=block.masked)
            if place < len(units) - 1:
                out = block.mout(out)
        for branch, older in zip(block.res or (), signals, strict=False):
            residual, _ = _apply(_units(branch)[0], older, lengths, masked=block.masked)
            out = block.combine(out, residual)
        out = block.mout(out)
        signals = [*signals, out] if block.dense else [out]
        lengths = counts
    return signals[-1].squeeze(2), lengths


def _apply(unit: _Unit, x: Tensor, lengths: Tensor, *, masked: bool) -> tuple[Tensor, Tensor]:
    for conv in unit.convs:
        if masked:
            if int(lengths.min()) < x.shape[-1]:
                x = x * frame_mask(lengths, x.shape[-1])[:, :, None].to(x.dtype)
            lengths = conv.output_lengths(lengths)
        weight = conv.weight.unsqueeze(2)
        depthwise = conv.groups == conv.in_channels == conv.out_channels and conv.kernel_size[0] > 1
        if depthwise and conv.pads[0] == conv.pads[1]:
            x = DepthwiseConv.apply(x, weight, conv.stride[0], conv.pads[0], conv.dilation[0])
        else:
            x = _convolve(x, weight, None, conv)
    return _normalise(unit.norm, x), lengths


def _normalise(norm: nn.BatchNorm1d, x: Tensor) -> Tensor:
    """``nn.BatchNorm1d`` on an image of one row."""
    if norm.training and norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
    return F.batch_norm(
        x,
        norm.running_mean,
        norm.running_var,
        norm.weight,
        norm.bias,
        training=norm.training,
        momentum=float(norm.momentum or 0.0),
        eps=norm.eps,
    )


class DepthwiseConv(torch.autograd.Function):
    """Depth-wise convolution over an image of one row, whose weights get their gradient by a Fourier transform.

    The gradient of tap k is the sum over items and frames of g[t] x[stride·t + dilation·k - padding]: a correlation
    of the two signals at K lags. torch's kernel for it takes ten times as long as all the rest of the layer.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int, dilation: int) -> Tensor:
        """(B, C, 1, T) and (C, 1, 1, K) -> (B, C, 1, T')."""
        ctx.save_for_backward(x, weight)
        ctx.geometry = stride, padding, dilation
        return F.conv2d(x, weight, None, (1, stride), (0, padding), (1, dilation), groups=x.shape[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        """Return the gradients of the signal and of the weights."""
        x, weight = ctx.saved_tensors
        stride, padding, dilation = ctx.geometry
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            geometry = [1, stride], [0, padding], [1, dilation], False, [0, 0], x.shape[1]
            grad_x = torch.ops.aten.convolution_backward(grad, x, weight, None, *geometry, [True, False, False])[0]
        if ctx.needs_input_grad[1]:
            grad_weight = _taps(x, grad, weight.shape[-1], stride, padding, dilation)[:, None, None]
        return grad_x, grad_weight, None, None, None


def _taps(x: Tensor, grad: Tensor, taps: int, stride: int, padding: int, dilation: int) -> Tensor:
    """Return (C, K), the gradient of each tap."""
    if stride > 1:
        spread = grad.new_zeros(*grad.shape[:-1], (grad.shape[-1] - 1) * stride + 1)
        spread[..., ::stride] = grad
        grad = spread
    reach = max(padding, dilation * (taps - 1) - padding)
    size = _fast_size(max(x.shape[-1], grad.shape[-1]) + reach)
    spectrum = torch.fft.rfft(x[:, :, 0].contiguous(), n=size)
    spectrum *= torch.fft.rfft(grad[:, :, 0].contiguous(), n=size).conj()
    lags = torch.fft.irfft(spectrum.sum(0), n=size)
    places = torch.arange(taps, device=x.device) * dilation - padding
    return lags[:, places % size]


def _fast_size(least: int) -> int:
    """Return the next length that a Fourier transform is fast for: a power of two, or one and a half of it."""
    power = 1 << max(4, (least - 1).bit_length())
    return power * 3 // 4 if power * 3 // 4 >= least else power
