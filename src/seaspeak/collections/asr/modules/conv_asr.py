"""Encoder of Jasper and QuartzNet, and the decoder that turns its frames into log-probabilities of letters.

Shape letters in this file:
    B  batch size    D  features or channels    T  frames    V  symbols without the blank
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import torch
from torch import Tensor, nn

from seaspeak.collections.asr.modules import channels_last
from seaspeak.collections.asr.modules.jasper import (
    BlockSpec,
    JasperBlock,
    NormSpec,
    initialise,
    make_activation,
)
from seaspeak.collections.asr.modules.jasper_layers import MaskedConv1d, PaddedConv1d
from seaspeak.core.errors import ConfigError
from seaspeak.core.module import NeuralModule
from seaspeak.core.types import (
    AcousticEncodedRepresentation,
    LengthsType,
    LogprobsType,
    NeuralType,
    SpectrogramType,
)
from seaspeak.core.typing import typecheck

__all__ = ["ConvASRDecoder", "ConvASREncoder", "JasperDecoderForCTC", "JasperEncoder"]


class Encoded(NamedTuple):
    """What an encoder gives."""

    outputs: Annotated[Tensor, NeuralType("B D T", AcousticEncodedRepresentation())]
    encoded_lengths: Annotated[Tensor, NeuralType("B", LengthsType(), optional=True)]  # missing without lengths


LogProbs = Annotated[Tensor, NeuralType("B T D", LogprobsType()), "logprobs"]


class ConvASREncoder(NeuralModule):
    """Stack of Jasper or QuartzNet blocks.

    Args:
        jasper: one mapping of options per block (spec asr §7.2; ``BlockSpec``).
        activation: name of the activation, one instance for all blocks.
        feat_in: features per frame.
        normalization_mode: ``batch``, ``layer``, ``instance`` or ``group``.
        residual_mode: ``add``, ``stride_add`` or ``max``; what a block says holds for those after it too.
        norm_groups: groups of ``group`` normalisation, -1 for one per channel.
        conv_mask: zero the frames beyond an item's length before each convolution.
        frame_splicing: how many frames the front end has joined into one.
        init_mode: see ``jasper.initialise``.
        mask_se: squeeze-and-excite averages over an item's own frames (NeMo 1.6 and later); false: over the
            padded row, as before.
        quantize: accepted for old configurations; only false is possible.

    Shapes:
        audio_signal  (B, D, T)    float
        length        (B,)         int64, frames; None gives the outputs alone
        returns       (B, D', T') and (B,) int64; without ``conv_mask`` the lengths are those that came in, as in
                      NeMo: ``output_lengths`` has the true ones

    Source: arXiv:1904.03288 (Jasper), arXiv:1910.10261 (QuartzNet).
    """

    def __init__(
        self,
        jasper: Sequence[Mapping[str, Any]],
        activation: str,
        feat_in: int,
        normalization_mode: str = "batch",
        residual_mode: str = "add",
        norm_groups: int = -1,
        conv_mask: bool = True,
        frame_splicing: int = 1,
        init_mode: str | None = "xavier_uniform",
        quantize: bool = False,
        *,
        mask_se: bool = True,
    ) -> None:
        super().__init__()
        if quantize:
            raise ConfigError("quantize: true is not possible", fix="set encoder.quantize to false")
        self.conv_mask = conv_mask
        shared = make_activation(activation)
        channels = self._feat_in = feat_in * frame_splicing
        blocks: list[JasperBlock] = []
        panes: list[int] = []
        for index, config in enumerate(jasper):
            spec = BlockSpec.from_config(config, residual_mode=residual_mode, index=index)
            residual_mode = spec.residual_mode
            if spec.residual_dense:
                panes.append(channels)
            blocks.append(
                JasperBlock(
                    channels,
                    spec,
                    norm=NormSpec(kind=normalization_mode, groups=norm_groups),
                    activation=shared,
                    panes=panes if spec.residual_dense else (),
                    masked=conv_mask,
                    mask_se=mask_se,
                )
            )
            channels = spec.filters
        self._feat_out = channels
        self.encoder = nn.Sequential(*blocks)
        initialise(self, init_mode)

    @property
    def blocks(self) -> list[JasperBlock]:
        """The blocks, first to last."""
        return list(self.encoder)  # type: ignore[arg-type]  # the list holds blocks

    @property
    def subsampling_factor(self) -> int:
        """How many input frames one output frame stands for."""
        return math.prod(conv.stride[0] for block in self.blocks for conv in main_convolutions(block))

    @property
    def receptive_field(self) -> tuple[int, int]:
        """How many input frames to the left and right of an output frame's place can change it."""
        left = right = 0
        step = 1
        for block in self.blocks:
            for conv in main_convolutions(block):
                left += step * conv.pads[0]
                right += step * (conv.dilation[0] * (conv.kernel_size[0] - 1) - conv.pads[0])
                step *= conv.stride[0]
        return left, right

    @property
    def is_local(self) -> bool:
        """Whether an output frame depends on the frames of its ``receptive_field`` alone, in evaluation."""
        return all(block.norm.kind == "batch" and not block.spec.se for block in self.blocks)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Return (B,) int64, the output frames that ``lengths`` (B,) input frames give."""
        for block in self.blocks:
            for conv in main_convolutions(block):
                lengths = conv.output_lengths(lengths)
        return lengths

    @typecheck()
    def forward(
        self,
        audio_signal: Annotated[Tensor, NeuralType("B D T", SpectrogramType())],
        length: Annotated[Tensor | None, NeuralType("B", LengthsType(), optional=True)] = None,
    ) -> Encoded:
        """Encode a batch."""
        frames = torch.full_like(audio_signal[:, 0, 0], audio_signal.shape[-1], dtype=torch.int64)
        outputs, lengths = self.encode(audio_signal, frames if length is None else length)
        if length is None:
            return outputs  # type: ignore[return-value]  # NeMo: outputs alone
        return Encoded(outputs, lengths)

    def encode(self, signal: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the blocks to (B, D, T) features and (B,) lengths, in the form that is fastest here."""
        if not channels_last.suits(self, signal):
            return self.plain(signal, lengths)
        if self._needs_gradients(signal):
            return channels_last.differentiable(self, signal, lengths)
        return channels_last.Folded.of(self)(self, signal, lengths)

    def _needs_gradients(self, signal: Tensor) -> bool:
        if any(
            module.training for module in self.encoder.modules() if isinstance(module, (nn.BatchNorm1d, nn.Dropout))
        ):
            return True
        wanted = signal.requires_grad or any(parameter.requires_grad for parameter in self.encoder.parameters())
        return torch.is_grad_enabled() and wanted

    def train(self, mode: bool = True) -> ConvASREncoder:
        """Change between training and evaluation."""
        if mode:
            channels_last.Folded.forget(self)
        return super().train(mode)

    def plain(self, signal: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the blocks one after the other, layer by layer: what the fast forms are held to."""
        signals = [signal]
        for block in self.blocks:
            signals, lengths = block(signals, lengths)
        return signals[-1], lengths


def main_convolutions(block: JasperBlock) -> list[PaddedConv1d]:
    """Return the convolutions of a block's main branch, first to last."""
    inner = (layer.conv if isinstance(layer, MaskedConv1d) else layer for layer in block.mconv)
    return [layer for layer in inner if isinstance(layer, PaddedConv1d)]


class ConvASRDecoder(NeuralModule):
    """One linear layer per frame, then log-softmax over the symbols and the blank, which is the last.

    Args:
        feat_in: channels of the encoder's output.
        num_classes: symbols without the blank; 0 or less takes the size of the vocabulary.
        init_mode: see ``jasper.initialise``.
        vocabulary: the symbols.
        add_blank: whether one more class, the blank, follows the symbols.

    Attributes:
        temperature: divides the logits.

    Shapes:
        encoder_output  (B, D, T)      float
        returns         (B, T, V+1)    natural logarithms

    Raises:
        ConfigError: neither ``num_classes`` nor ``vocabulary``, or they disagree.
    """

    def __init__(
        self,
        feat_in: int,
        num_classes: int,
        init_mode: str | None = "xavier_uniform",
        vocabulary: Sequence[str] | None = None,
        add_blank: bool = True,
    ) -> None:
        super().__init__()
        if num_classes <= 0:
            if vocabulary is None:
                raise ConfigError("the decoder needs num_classes or vocabulary", got=f"num_classes {num_classes}")
            num_classes = len(vocabulary)
        if vocabulary is not None and num_classes != len(vocabulary):
            raise ConfigError(
                "decoder.num_classes is not the size of decoder.vocabulary",
                got=f"{num_classes} and {len(vocabulary)} symbols",
            )
        self._vocabulary = None if vocabulary is None else [str(symbol) for symbol in vocabulary]
        self._feat_in = feat_in
        self._num_classes = num_classes + int(add_blank)
        self.decoder_layers = nn.Sequential(nn.Conv1d(feat_in, self._num_classes, kernel_size=1, bias=True))
        self.temperature = 1.0
        initialise(self, init_mode)

    @property
    def vocabulary(self) -> list[str] | None:
        """The symbols without the blank, where they are known."""
        return self._vocabulary

    @property
    def num_classes_with_blank(self) -> int:
        """Classes of the output."""
        return self._num_classes

    @typecheck()
    def forward(
        self, encoder_output: Annotated[Tensor, NeuralType("B D T", AcousticEncodedRepresentation())]
    ) -> LogProbs:
        """Return the log-probabilities of each frame."""
        logits = self._logits(encoder_output)
        return torch.log_softmax(logits if self.temperature == 1.0 else logits / self.temperature, dim=-1)

    def _logits(self, encoded: Tensor) -> Tensor:
        """(B, D, T) -> (B, T, V+1)."""
        layer = self.decoder_layers[0]
        channels_lie_last = not torch.compiler.is_compiling() and encoded.stride(1) == 1 and not layer._forward_hooks
        if channels_lie_last and type(layer) is nn.Conv1d:
            return torch.nn.functional.linear(encoded.transpose(1, 2), layer.weight[:, :, 0], layer.bias)
        logits: Tensor = self.decoder_layers(encoded)
        return logits.transpose(1, 2)


JasperEncoder = ConvASREncoder
"""Its name in NeMo 0.11."""

JasperDecoderForCTC = ConvASRDecoder
"""Its name in NeMo 0.11."""
