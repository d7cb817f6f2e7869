"""Whisper's encoder and decoder as typed modules, for clips of any length up to the encoder's limit.

Shape letters in this file:
    B  batch size    M  mel bands    F  mel frames (10 ms)    S  encoder frames (20 ms)
    T  tokens        V  pieces       D  width
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from seaspeak.collections.asr.modules.whisper_layers import DecoderLayer, EncoderLayer, Memory, Past, sinusoids
from seaspeak.core.errors import ModelError
from seaspeak.core.module import NeuralModule
from seaspeak.core.types import (
    AcousticEncodedRepresentation,
    LabelsType,
    LengthsType,
    LogitsType,
    NeuralType,
    SpectrogramType,
)
from seaspeak.core.typing import typecheck

__all__ = ["DecoderState", "WhisperDecoder", "WhisperEncoder"]


class Encoded(NamedTuple):
    """What the encoder gives."""

    outputs: Annotated[Tensor, NeuralType("B D T", AcousticEncodedRepresentation())]
    encoded_lengths: Annotated[Tensor, NeuralType("B", LengthsType())]


class SinusoidPositions(NeuralModule):
    """Fixed position encodings; a module of its own because they are computed, not stored.

    Args:
        length: number of positions.
        width: of each encoding, even.
    """

    encodings: Tensor

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.register_buffer("encodings", sinusoids(length, width), persistent=False)

    def forward(self, count: int) -> Tensor:
        """Return the first ``count`` encodings, (count, width)."""
        return self.encodings[:count]


class WhisperEncoder(NeuralModule):
    """Two convolutions, of which the second halves the frame rate, and transformer blocks.

    Unlike the original, clips need not be padded to 30 s: frames beyond an item's length are zeroed before each
    convolution and never attended to, so that a clip gives the same alone and in a batch.

    Args:
        feat_in: mel bands.
        d_model: width of the blocks.
        num_heads: of each attention; divides ``d_model``.
        num_layers: number of blocks.
        max_frames: longest clip in frames of the output (20 ms).

    Shapes:
        audio_signal  (B, M, F)   float
        length        (B,)        int64, mel frames
        returns       (B, D, S)   and (B,) int64, S = (F + 1) // 2

    Raises:
        ModelError: a clip is longer than ``max_frames``.

    Source: arXiv:2212.04356, section 2.2; the masks are ours.
    """

    def __init__(self, feat_in: int, d_model: int, num_heads: int, num_layers: int, max_frames: int = 1500) -> None:
        super().__init__()
        self.max_frames = max_frames
        self.conv1 = nn.Conv1d(feat_in, d_model, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(d_model, d_model, kernel_size=3, stride=2, padding=1)
        self.layers = nn.ModuleList(EncoderLayer(d_model, num_heads) for _ in range(num_layers))
        self.norm = nn.LayerNorm(d_model)
        self.positions = SinusoidPositions(max_frames, d_model)

    @typecheck()
    def forward(
        self,
        audio_signal: Annotated[Tensor, NeuralType("B D T", SpectrogramType())],
        length: Annotated[Tensor, NeuralType("B", LengthsType())],
    ) -> Encoded:
        """Encode a batch of clips."""
        frames = (audio_signal.shape[-1] + 1) // 2
        if frames > self.max_frames:
            raise ModelError(
                "a clip is longer than the encoder's limit",
                got=f"{frames} frames of 20 ms",
                expected=f"at most {self.max_frames}",
                fix="use transcribe, which cuts long recordings where it is quiet",
            )
        real_B1F = _counts(length, audio_signal.shape[-1])[:, None]
        x_BDF = functional.gelu(self.conv1(audio_signal * real_B1F)) * real_B1F
        x_BSD = functional.gelu(self.conv2(x_BDF)).transpose(1, 2) + self.positions(frames)
        lengths = torch.div(length + 1, 2, rounding_mode="floor")
        mask = attention_mask(lengths, frames)
        for layer in self.layers:
            x_BSD = layer(x_BSD, mask)
        return Encoded(self.norm(x_BSD).transpose(1, 2), lengths)


@dataclasses.dataclass(slots=True)
class DecoderState:
    """What the decoder keeps between tokens, per layer: the recording's keys and values, and those of the past."""

    memories: list[Memory]
    pasts: list[Past]

    @property
    def length(self) -> int:
        """Tokens seen so far."""
        return self.pasts[0].length

    def rows(self, index: Tensor) -> DecoderState:
        """Return the state of some rows of the batch."""
        return DecoderState([m.rows(index) for m in self.memories], [p.rows(index) for p in self.pasts])


class WhisperDecoder(NeuralModule):
    """Transformer that writes tokens while it attends to the encoder's frames.

    Args:
        num_tokens: pieces of the vocabulary; input and output embeddings are one.
        d_model, num_heads, num_layers: as in the encoder.
        max_tokens: longest text with its marks.

    Shapes:
        tokens           (B, T)     int64
        encoded          (B, D, S)  float
        encoded_lengths  (B,)       int64, frames
        returns          (B, T, V)  logits of the token that follows each position

    Raises:
        ModelError: more tokens than ``max_tokens``.

    Source: arXiv:2212.04356, section 2.2.
    """

    def __init__(self, num_tokens: int, d_model: int, num_heads: int, num_layers: int, max_tokens: int = 448) -> None:
        super().__init__()
        self.max_tokens = max_tokens
        # drawn evenly: nn.Embedding's normal distribution loads torch's compiler on the meta device, where models are
        # restored (torch 2.13), which costs a second
        drawn = torch.empty(num_tokens, d_model).uniform_(-0.05, 0.05)
        self.embedding = nn.Embedding.from_pretrained(drawn, freeze=False)
        self.positions = nn.Parameter(torch.zeros(max_tokens, d_model))
        self.layers = nn.ModuleList(DecoderLayer(d_model, num_heads) for _ in range(num_layers))
        self.norm = nn.LayerNorm(d_model)

    @typecheck()
    def forward(
        self,
        tokens: Annotated[Tensor, NeuralType("B T", LabelsType())],
        encoded: Annotated[Tensor, NeuralType("B D T", AcousticEncodedRepresentation())],
        encoded_lengths: Annotated[Tensor, NeuralType("B", LengthsType())],
    ) -> Annotated[Tensor, NeuralType("B T D", LogitsType()), "logits"]:
        """Score the next token at every position of known texts."""
        x_BTD = self._embed(tokens, start=0)
        for layer, memory in zip(self._layers, self.memories(encoded, encoded_lengths), strict=True):
            x_BTD = layer(x_BTD, memory)
        return self._logits(x_BTD)

    def memories(self, encoded: Tensor, encoded_lengths: Tensor) -> list[Memory]:
        """Return the keys and values (per layer) of encoded clips."""
        mask = attention_mask(encoded_lengths, encoded.shape[-1])
        frames_BSD = encoded.transpose(1, 2)
        return [layer.cross.memory(frames_BSD, mask) for layer in self._layers]

    def begin(self, encoded: Tensor, encoded_lengths: Tensor, room: int) -> DecoderState:
        """Return the state before the first token, with room for ``room`` tokens."""
        memories = self.memories(encoded, encoded_lengths)
        batch, heads, _, width = memories[0].keys.shape
        pasts = []
        for memory in memories:
            keys, values = (memory.keys.new_empty(batch, heads, room, width) for _ in range(2))
            pasts.append(Past(keys, values))
        return DecoderState(memories, pasts)

    def step(self, tokens: Tensor, state: DecoderState) -> Tensor:
        """Read ``tokens`` (B, T; after the first call one at a time); return the next one's logits (B, V)."""
        x_BTD = self._embed(tokens, start=state.length)
        for layer, memory, past in zip(self._layers, state.memories, state.pasts, strict=True):
            x_BTD = layer(x_BTD, memory, past)
        # few rows against many pieces: in this order the product takes half the time on a CPU
        return (self.embedding.weight @ self.norm(x_BTD[:, -1]).T).T

    def attention(self, tokens: Tensor, memories: Sequence[Memory], heads: Sequence[tuple[int, int]]) -> Tensor:
        """Return the attention (B, len(heads), T, S) of chosen (layer, head) pairs to the frames, in layer order."""
        found = []
        x_BTD = self._embed(tokens, start=0)
        last = max(layer for layer, _ in heads)
        for place, (layer, memory) in enumerate(zip(self._layers, memories, strict=True)):
            x_BTD = layer.recall(x_BTD)
            chosen = [head for where, head in heads if where == place]
            if chosen:
                found.append(layer.weights(x_BTD, memory, chosen))
            if place == last:
                break
            x_BTD = layer.attend(x_BTD, memory)
        return torch.cat(found, dim=1)

    @property
    def _layers(self) -> list[DecoderLayer]:
        return cast("list[DecoderLayer]", list(self.layers))

    def _embed(self, tokens: Tensor, *, start: int) -> Tensor:
        end = start + tokens.shape[1]
        if end > self.max_tokens:
            raise ModelError(
                "a text has too many pieces", got=str(end), expected=f"at most {self.max_tokens} with its marks"
            )
        embedded: Tensor = self.embedding(tokens)
        return embedded + self.positions[start:end]

    def _logits(self, x: Tensor) -> Tensor:
        return functional.linear(self.norm(x), self.embedding.weight)


def _counts(lengths: Tensor, frames: int) -> Tensor:
    """Return (B, frames), true where a frame lies within its item's length."""
    return torch.arange(frames, device=lengths.device) < lengths[:, None]


def attention_mask(lengths: Tensor, frames: int) -> Tensor | None:
    """Return (B, 1, 1, frames), true where a frame counts; None where all do, which is faster."""
    if bool((lengths >= frames).all()):
        return None
    return _counts(lengths, frames)[:, None, None]
