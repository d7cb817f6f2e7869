"""Tacotron 2's network: characters to mel spectrograms, one frame after the other (arXiv:1712.05884).

Parameter names and arithmetic are those of NeMo's archives.

Shape letters in this file:
    B  batch size      N  tokens                   T  frames
    D  mel bands       E  width of the encoder     A  width of the attention
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seaspeak.core.errors import ConfigError
from seaspeak.core.module import NeuralModule
from seaspeak.core.types import (
    EmbeddedTextType,
    LengthsType,
    LogitsType,
    MelSpectrogramType,
    NeuralType,
    SequenceToSequenceAlignmentType,
)
from seaspeak.core.typing import typecheck

logger = logging.getLogger(__name__)

Mel = Annotated[Tensor, NeuralType("B D T", MelSpectrogramType())]
Gate = Annotated[Tensor, NeuralType("B T", LogitsType())]
Alignment = Annotated[Tensor, NeuralType("B T T", SequenceToSequenceAlignmentType())]
Lengths = Annotated[Tensor, NeuralType("B", LengthsType())]
Embedded = Annotated[Tensor, NeuralType("B T D", EmbeddedTextType())]


class LinearNorm(nn.Module):
    """A linear layer under the name that archives have for it."""

    def __init__(self, in_dim: int, out_dim: int, *, bias: bool = True, gain: str = "linear") -> None:
        super().__init__()
        self.linear_layer = nn.Linear(in_dim, out_dim, bias=bias)
        nn.init.xavier_uniform_(self.linear_layer.weight, gain=nn.init.calculate_gain(gain))  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_dim) -> (..., out_dim)."""
        return self.linear_layer(x)


class ConvNorm(nn.Module):
    """A convolution that keeps the length, under the name that archives have for it."""

    def __init__(self, in_dim: int, out_dim: int, kernel: int, *, bias: bool = True, gain: str = "linear") -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ConfigError("a convolution that keeps the length needs an odd kernel", got=str(kernel))
        self.conv = nn.Conv1d(in_dim, out_dim, kernel, padding=kernel // 2, bias=bias)
        nn.init.xavier_uniform_(self.conv.weight, gain=nn.init.calculate_gain(gain))  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_dim, T) -> (B, out_dim, T)."""
        return self.conv(x)


def _normed(in_dim: int, out_dim: int, kernel: int, gain: str) -> nn.Sequential:
    return nn.Sequential(ConvNorm(in_dim, out_dim, kernel, gain=gain), nn.BatchNorm1d(out_dim))


class Encoder(NeuralModule):
    """Convolutions and a bidirectional LSTM over embedded tokens.

    As in NeMo, the convolutions see the embedded padding behind a text; the LSTM does not.

    Shapes:
        token_embedding  (B, E, N)
        token_len        (B,)       int64, tokens that count
        returns          (B, N, E)  zeros behind the end of each text
    """

    def __init__(self, encoder_n_convolutions: int, encoder_embedding_dim: int, encoder_kernel_size: int) -> None:
        super().__init__()
        width = encoder_embedding_dim
        self.convolutions = nn.ModuleList(
            _normed(width, width, encoder_kernel_size, "relu") for _ in range(encoder_n_convolutions)
        )
        self.lstm = nn.LSTM(width, width // 2, 1, batch_first=True, bidirectional=True)

    @typecheck()
    def forward(
        self, token_embedding: Annotated[Tensor, NeuralType("B D T", EmbeddedTextType())], token_len: Lengths
    ) -> Annotated[Tensor, NeuralType("B T D", EmbeddedTextType()), "encoder_embedding"]:
        """Return what the decoder attends to."""
        x_BEN = token_embedding
        for conv in self.convolutions:
            x_BEN = F.dropout(conv(x_BEN).relu(), 0.5, self.training)
        packed = pack_padded_sequence(x_BEN.transpose(1, 2), token_len.cpu(), batch_first=True, enforce_sorted=False)
        encoded, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=x_BEN.shape[2])
        return encoded


class Prenet(nn.Module):
    """Two layers with a dropout that is always on: it keeps the decoder from copying the frame before."""

    layers: Any  # ModuleList of LinearNorm

    def __init__(self, in_dim: int, sizes: list[int], p_dropout: float) -> None:
        super().__init__()
        self.p_dropout = p_dropout
        self.layers = nn.ModuleList(
            LinearNorm(inner, outer, bias=False) for inner, outer in zip([in_dim, *sizes[:-1]], sizes, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., P); every element is dropped for itself."""
        for layer in self.layers:
            x = F.dropout(layer(x).relu(), self.p_dropout, training=True)
        return x

    def step(self, x: Tensor, masks: Iterator[Tensor]) -> Tensor:
        """(B, D) -> (B, P) with the next masks of kept units (P,), which the batch shares."""
        for layer in self.layers:
            x = layer(x).relu() * next(masks) / (1 - self.p_dropout)
        return x

    def masks(self) -> Iterator[Tensor]:
        """Draw masks for `step` for ever: as NeMo does, so that a seed gives its numbers."""
        while True:
            for layer in self.layers:
                weight = layer.linear_layer.weight
                yield torch.bernoulli(weight.new_full((weight.shape[0],), 1 - self.p_dropout))


class LocationLayer(nn.Module):
    """Where the decoder has looked so far, as features of each token."""

    def __init__(self, filters: int, kernel: int, attention_dim: int) -> None:
        super().__init__()
        self.location_conv = ConvNorm(2, filters, kernel, bias=False)
        self.location_dense = LinearNorm(filters, attention_dim, bias=False, gain="tanh")

    def folded(self) -> Tensor:
        """The convolution (A, 2, kernel) that does what both layers do: neither has a bias."""
        dense, conv = self.location_dense.linear_layer.weight, self.location_conv.conv.weight
        return (dense @ conv.flatten(1)).unflatten(1, conv.shape[1:])


class Attention(nn.Module):
    """Location-sensitive attention (arXiv:1506.07503)."""

    def __init__(self, rnn_dim: int, embedding_dim: int, attention_dim: int, filters: int, kernel: int) -> None:
        super().__init__()
        self.query_layer = LinearNorm(rnn_dim, attention_dim, bias=False, gain="tanh")
        self.memory_layer = LinearNorm(embedding_dim, attention_dim, bias=False, gain="tanh")
        self.v = LinearNorm(attention_dim, 1, bias=False)
        self.location_layer = LocationLayer(filters, kernel, attention_dim)


class _Text(NamedTuple):
    """What is the same in every step: the text, and weights that were put together once."""

    memory_BNE: Tensor
    keys_BNA: Tensor
    padding_BN: Tensor
    location_A2K: Tensor
    heads: Tensor
    heads_bias: Tensor


class _State(NamedTuple):
    """What one step hands to the next."""

    attention: tuple[Tensor, Tensor]
    decoder: tuple[Tensor, Tensor]
    weights_BN: Tensor
    total_BN: Tensor
    context_BE: Tensor


class TeacherForced(NamedTuple):
    """What the decoder gives in training."""

    mel_outputs: Mel
    gate_outputs: Gate
    alignments: Alignment


class Decoded(NamedTuple):
    """What the decoder gives on its own: also how many frames of each item count."""

    mel_outputs: Mel
    gate_outputs: Gate
    alignments: Alignment
    mel_lengths: Lengths


class Decoder(NeuralModule):
    """An attention LSTM and a decoder LSTM that make one frame a step.

    In training every step sees the true frame before it; otherwise the one that it made, until ``gate_threshold``
    says that every item has ended, or, with a warning, until ``max_decoder_steps``. The frame whose gate fires is not
    part of the result where it ends the batch.

    Shapes:
        memory           (B, N, E)  the encoder's output
        memory_lengths   (B,)       int64
        decoder_inputs   (B, D, T)  the true frames, in training
        mel_outputs      (B, D, T)  frames before the postnet
        gate_outputs     (B, T)     logits of "this was the last frame"
        alignments       (B, T, N)  attention, rows sum to 1
        mel_lengths      (B,)       int64, not in training

    Raises:
        ConfigError: ``n_frames_per_step`` is not 1.
    """

    def __init__(
        self,
        n_mel_channels: int,
        n_frames_per_step: int = 1,
        encoder_embedding_dim: int = 512,
        gate_threshold: float = 0.5,
        prenet_dim: int = 256,
        max_decoder_steps: int = 1000,
        decoder_rnn_dim: int = 1024,
        p_decoder_dropout: float = 0.1,
        p_attention_dropout: float = 0.1,
        attention_dim: int = 128,
        attention_rnn_dim: int = 1024,
        attention_location_n_filters: int = 32,
        attention_location_kernel_size: int = 31,
        prenet_p_dropout: float = 0.5,
        early_stopping: bool = True,
    ) -> None:
        super().__init__()
        if n_frames_per_step != 1:
            raise ConfigError("the decoder makes one frame a step", got=f"n_frames_per_step={n_frames_per_step}")
        self.n_mel_channels = n_mel_channels
        self.gate_threshold, self.early_stopping = gate_threshold, early_stopping
        self.max_decoder_steps = max_decoder_steps
        self.p_decoder_dropout, self.p_attention_dropout = p_decoder_dropout, p_attention_dropout
        width = encoder_embedding_dim
        self.prenet = Prenet(n_mel_channels, [prenet_dim, prenet_dim], prenet_p_dropout)
        self.attention_rnn = nn.LSTMCell(prenet_dim + width, attention_rnn_dim)
        self.attention_layer = Attention(
            attention_rnn_dim, width, attention_dim, attention_location_n_filters, attention_location_kernel_size
        )
        self.decoder_rnn = nn.LSTMCell(attention_rnn_dim + width, decoder_rnn_dim)
        self.linear_projection = LinearNorm(decoder_rnn_dim + width, n_mel_channels)
        self.gate_layer = LinearNorm(decoder_rnn_dim + width, 1, gain="sigmoid")

    @property
    def output_types(self) -> dict[str, NeuralType]:
        """Frames, gates and attention; outside training also how many frames count."""
        ports = {
            "mel_outputs": NeuralType("B D T", MelSpectrogramType()),
            "gate_outputs": NeuralType("B T", LogitsType()),
            "alignments": NeuralType("B T T", SequenceToSequenceAlignmentType()),
        }
        return ports if self.training else {**ports, "mel_lengths": NeuralType("B", LengthsType())}

    @typecheck()
    def forward(
        self,
        memory: Embedded,
        memory_lengths: Lengths,
        decoder_inputs: Annotated[Tensor | None, NeuralType("B D T", MelSpectrogramType(), optional=True)] = None,
    ) -> TeacherForced | Decoded:
        """Follow the true frames in training, decode freely otherwise."""
        if not self.training:
            return self.infer(memory, memory_lengths)
        if decoder_inputs is None:
            raise ConfigError("the decoder is in training and needs decoder_inputs", fix="model.eval() decodes freely")
        return self.follow(memory, memory_lengths, decoder_inputs)

    def follow(self, memory: Tensor, memory_lengths: Tensor, decoder_inputs: Tensor) -> TeacherForced:
        """Make every frame from the true one before it; the first from silence, which is zero."""
        text, state = self._start(memory, memory_lengths)
        before = self.prenet(F.pad(decoder_inputs, (1, -1)).permute(2, 0, 1))
        frames, gates, alignments = [], [], []
        for x_BP in before:
            frame, gate, state = self._step(x_BP, state, text)
            frames.append(frame)
            gates.append(gate)
            alignments.append(state.weights_BN)
        return TeacherForced(torch.stack(frames, 2), torch.stack(gates, 1), torch.stack(alignments, 1))

    @torch.no_grad()
    def infer(
        self,
        memory: Tensor,
        memory_lengths: Tensor,
        max_steps: int | None = None,
        masks: Iterator[Tensor] | None = None,
    ) -> Decoded:
        """Decode freely.

        Args:
            memory: (B, N, E).
            memory_lengths: (B,).
            max_steps: stop here, without a warning.
            masks: of kept prenet units, two a step; drawn at random by default.
        """
        masks = self.prenet.masks() if masks is None else masks
        text, state = self._start(memory, memory_lengths)
        frame = memory.new_zeros(len(memory), self.n_mel_channels)
        going = torch.ones_like(memory_lengths, dtype=torch.bool)
        lengths = torch.zeros_like(memory_lengths)
        frames: list[Tensor] = []
        gates, alignments = [], []
        while len(frames) < (max_steps or self.max_decoder_steps):
            frame, gate, state = self._step(self.prenet.step(frame, masks), state, text)
            going = going & (gate.sigmoid() <= self.gate_threshold)
            lengths = lengths + going
            if self.early_stopping and frames and not going.any():
                break
            frames.append(frame)
            gates.append(gate)
            alignments.append(state.weights_BN)
        else:
            if max_steps is None:
                logger.warning(
                    "Reached max decoder steps %d: the text is long, or the attention has lost its way; speak it "
                    "sentence by sentence, or raise decoder.max_decoder_steps",
                    self.max_decoder_steps,
                )
        return Decoded(torch.stack(frames, 2), torch.stack(gates, 1), torch.stack(alignments, 1), lengths)

    def _start(self, memory: Tensor, lengths: Tensor) -> tuple[_Text, _State]:
        batch, tokens, width = memory.shape
        layer = self.attention_layer
        mel, gate = self.linear_projection.linear_layer, self.gate_layer.linear_layer
        text = _Text(
            memory,
            layer.memory_layer(memory),
            torch.arange(tokens, device=memory.device) >= lengths[:, None],
            layer.location_layer.folded(),
            torch.cat([mel.weight, gate.weight]),
            torch.cat([mel.bias, gate.bias]),
        )
        hidden, decoder = (memory.new_zeros(batch, cell.hidden_size) for cell in (self.attention_rnn, self.decoder_rnn))
        nowhere = memory.new_zeros(batch, tokens)
        return text, _State((hidden, hidden), (decoder, decoder), nowhere, nowhere, memory.new_zeros(batch, width))

    def _step(self, x_BP: Tensor, state: _State, text: _Text) -> tuple[Tensor, Tensor, _State]:
        """One frame (B, D), its gate (B,), and the state behind it."""
        hidden, cell = self.attention_rnn(torch.cat([x_BP, state.context_BE], 1), state.attention)
        hidden = F.dropout(hidden, self.p_attention_dropout, self.training)
        weights = self._attend(hidden, state, text)
        context = torch.bmm(weights[:, None], text.memory_BNE)[:, 0]
        decoder, decoder_cell = self.decoder_rnn(torch.cat([hidden, context], 1), state.decoder)
        decoder = F.dropout(decoder, self.p_decoder_dropout, self.training)
        heads = F.linear(torch.cat([decoder, context], 1), text.heads, text.heads_bias)
        after = _State((hidden, cell), (decoder, decoder_cell), weights, state.total_BN + weights, context)
        return heads[:, :-1], heads[:, -1], after

    def _attend(self, query_BR: Tensor, state: _State, text: _Text) -> Tensor:
        """Attention over the tokens, (B, N)."""
        layer, kernel = self.attention_layer, text.location_A2K
        looked = torch.stack([state.weights_BN, state.total_BN], 1)
        location = F.conv1d(looked, kernel, padding=kernel.shape[2] // 2).transpose(1, 2)
        energies = layer.v((layer.query_layer(query_BR)[:, None] + text.keys_BNA + location).tanh())[..., 0]
        return energies.masked_fill(text.padding_BN, -torch.inf).softmax(1)


class Postnet(NeuralModule):
    """Convolutions that add what a frame lacks, seen with its neighbours.

    Shapes:
        mel_spec  (B, D, T)
        returns   (B, D, T)
    """

    def __init__(
        self,
        n_mel_channels: int,
        postnet_embedding_dim: int,
        postnet_kernel_size: int,
        postnet_n_convolutions: int,
        p_dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.p_dropout = p_dropout
        widths = [n_mel_channels, *[postnet_embedding_dim] * (postnet_n_convolutions - 1), n_mel_channels]
        gains = ["tanh"] * (postnet_n_convolutions - 1) + ["linear"]
        self.convolutions = nn.ModuleList(
            _normed(inner, outer, postnet_kernel_size, gain)
            for inner, outer, gain in zip(widths[:-1], widths[1:], gains, strict=True)
        )

    @typecheck()
    def forward(self, mel_spec: Mel) -> Annotated[Tensor, NeuralType("B D T", MelSpectrogramType()), "mel_spec"]:
        """Return the spectrogram with what it lacked."""
        x_BCT = mel_spec
        last = len(self.convolutions) - 1
        for index, conv in enumerate(self.convolutions):
            x_BCT = conv(x_BCT)
            x_BCT = F.dropout(x_BCT if index == last else x_BCT.tanh(), self.p_dropout, self.training)
        return mel_spec + x_BCT
