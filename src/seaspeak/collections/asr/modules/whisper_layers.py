"""Attention blocks of Whisper's encoder and decoder, with keys and values that are computed once.

Shape letters in this file:
    B  batch size    T  positions of x    S  positions of what is attended to
    H  heads         E  width of a head   D = H * E
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclasses.dataclass(slots=True)
class Memory:
    """What one decoder layer attends to: the keys and values of the encoder's frames.

    Attributes:
        keys, values: (B, H, S, E).
        mask: (B, 1, 1, S), true where a frame counts; None where all do.
    """

    keys: Tensor
    values: Tensor
    mask: Tensor | None

    def rows(self, index: Tensor) -> Memory:
        """Return the memory of some rows of the batch."""
        mask = None if self.mask is None else self.mask[index]
        return Memory(self.keys[index], self.values[index], mask)


@dataclasses.dataclass(slots=True)
class Past:
    """Keys and values (B, H, room, E) of the positions that one decoder layer has seen, the first ``length`` filled."""

    keys: Tensor
    values: Tensor
    length: int = 0

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add keys and values (B, H, T, E); return those of all positions so far."""
        start, self.length = self.length, self.length + keys.shape[2]
        self.keys[:, :, start : self.length] = keys
        self.values[:, :, start : self.length] = values
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def rows(self, index: Tensor) -> Past:
        """Return the past of some rows of the batch."""
        return Past(self.keys[index], self.values[index], self.length)


def split_heads(x_BTD: Tensor, num_heads: int) -> Tensor:
    """Return (B, H, T, E)."""
    return x_BTD.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def join_heads(x_BHTE: Tensor) -> Tensor:
    """Return (B, T, D)."""
    return x_BHTE.transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    """Attention of a sequence to itself; query, key and value come from one product."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(
        self, x_BTD: Tensor, mask: Tensor | None = None, *, causal: bool = False, past: Past | None = None
    ) -> Tensor:
        """Attend to all positions that ``mask`` allows; if ``causal``, to none that comes later; and to the past.

        With a past that is not empty, ``x`` is one position.
        """
        query, keys, values = (split_heads(part, self.num_heads) for part in self.qkv(x_BTD).chunk(3, dim=-1))
        if past is not None:
            causal = causal and past.length == 0
            keys, values = past.extend(keys, values)
        attended = functional.scaled_dot_product_attention(query, keys, values, attn_mask=mask, is_causal=causal)
        return self.out(join_heads(attended))


class CrossAttention(nn.Module):
    """Attention of the decoder to the encoder's frames."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def memory(self, encoded_BSD: Tensor, mask: Tensor | None) -> Memory:
        """Return keys and values of the encoder's frames."""
        keys, values = (split_heads(part, self.num_heads) for part in self.key_value(encoded_BSD).chunk(2, dim=-1))
        return Memory(keys, values, mask)

    def forward(self, x_BTD: Tensor, memory: Memory) -> Tensor:
        """Attend to the frames."""
        query = split_heads(self.query(x_BTD), self.num_heads)
        attended = functional.scaled_dot_product_attention(query, memory.keys, memory.values, attn_mask=memory.mask)
        return self.out(join_heads(attended))

    def weights(self, x_BTD: Tensor, memory: Memory, heads: list[int]) -> Tensor:
        """Return how much the chosen heads attend to each frame: (B, len(heads), T, S), rows sum to 1."""
        query = split_heads(self.query(x_BTD), self.num_heads)[:, heads]
        scores = query @ memory.keys[:, heads].transpose(-1, -2) * query.shape[-1] ** -0.5
        if memory.mask is not None:
            scores = scores.masked_fill(~memory.mask, float("-inf"))
        return scores.softmax(dim=-1)


class FeedForward(nn.Module):
    """Two products with GELU between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return (B, T, D)."""
        return self.down(functional.gelu(self.up(x_BTD)))


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward, each behind a normalisation and beside a residual path."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, num_heads)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width)

    def forward(self, x_BTD: Tensor, mask: Tensor | None) -> Tensor:
        """Return (B, T, D)."""
        x_BTD = x_BTD + self.attention(self.attention_norm(x_BTD), mask)
        return x_BTD + self.feed_forward(self.feed_forward_norm(x_BTD))


class DecoderLayer(nn.Module):
    """Causal self-attention, attention to the encoder, and feed-forward."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, num_heads)
        self.cross_norm = nn.LayerNorm(width)
        self.cross = CrossAttention(width, num_heads)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width)

    def forward(self, x_BTD: Tensor, memory: Memory, past: Past | None = None) -> Tensor:
        """Return (B, T, D)."""
        return self.attend(self.recall(x_BTD, past), memory)

    def recall(self, x_BTD: Tensor, past: Past | None = None) -> Tensor:
        """The first third: attend to what was written before."""
        return x_BTD + self.attention(self.attention_norm(x_BTD), causal=True, past=past)

    def attend(self, x_BTD: Tensor, memory: Memory) -> Tensor:
        """The rest: attend to the recording, then feed forward."""
        x_BTD = x_BTD + self.cross(self.cross_norm(x_BTD), memory)
        return x_BTD + self.feed_forward(self.feed_forward_norm(x_BTD))

    def weights(self, x_BTD: Tensor, memory: Memory, heads: list[int]) -> Tensor:
        """Return the chosen heads' attention to the frames, for what `recall` gave."""
        return self.cross.weights(self.cross_norm(x_BTD), memory, heads)


def sinusoids(length: int, width: int) -> Tensor:
    """Return fixed position encodings (length, width): sines, then cosines, wavelengths from 2 pi to 20000 pi.

    Source: Whisper, arXiv:2212.04356, section 2.2.
    """
    half = width // 2
    angles = np.arange(length)[:, None] * 10000.0 ** -(np.arange(half) / (half - 1))
    return torch.from_numpy(np.concatenate([np.sin(angles), np.cos(angles)], axis=1, dtype=np.float32))
