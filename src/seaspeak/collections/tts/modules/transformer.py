"""Feed-forward transformers: FastPitch's encoder over tokens and its decoder over frames.

Shape letters in this file:
    B  batch size      T  tokens or frames      D  width      H  heads      K  width of a head

A shorter item of a batch gives what it gives alone: padding is masked before every layer that looks at neighbours.
NeMo leaves the hidden layer of the feed-forward part unmasked, so its padding leaks into the last frames, and mixes
heads of different items if there are several of both; ``mask_hidden=False`` gives the former back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from seaspeak.collections.tts.modules.conditioning import ConditionalInput, ConditionalLayerNorm
from seaspeak.core.errors import ConfigError
from seaspeak.core.module import NeuralModule
from seaspeak.core.types import EncodedRepresentation, LengthsType, MaskType, NeuralType, TokenIndex
from seaspeak.core.typing import typecheck

Encoded = Annotated[Tensor, NeuralType("B T D", EncodedRepresentation())]
Condition = Annotated[Tensor | None, NeuralType("B T D", EncodedRepresentation(), optional=True)]


class Transformed(NamedTuple):
    """What a transformer returns: vectors, and 1 where they count."""

    out: Encoded
    mask: Annotated[Tensor, NeuralType("B T D", MaskType())]


def mask_from_lens(lens: Tensor, max_len: int | None = None) -> Tensor:
    """Return (B, T), true where an item has something.

    >>> mask_from_lens(torch.tensor([1, 3])).int().tolist()
    [[1, 0, 0], [1, 1, 1]]
    """
    longest = int(lens.max()) if max_len is None else max_len
    return torch.arange(longest, device=lens.device) < lens[:, None]


class PositionalEmbedding(nn.Module):
    """Sines of all frequencies, then cosines."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("inv_freq", torch.empty((width + 1) // 2))
        if not self.get_buffer("inv_freq").is_meta:  # there it would load torch's compiler, which takes seconds
            self.get_buffer("inv_freq").copy_(1 / (10000 ** (torch.arange(0.0, width, 2.0) / width)))

    def forward(self, positions: Tensor) -> Tensor:
        """Return (1, T, D) for positions (T,)."""
        angles = positions[:, None] * self.get_buffer("inv_freq").to(positions.dtype)
        return torch.cat([angles.sin(), angles.cos()], dim=1)[None]


class PositionwiseConvFF(nn.Module):
    """Two convolutions over time with a ReLU between, residual, layer normalisation."""

    def __init__(
        self,
        width: int,
        inner: int,
        kernel_size: int | Sequence[int],
        dropout: float,
        *,
        pre_lnorm: bool,
        condition_types: Sequence[str],
        mask_hidden: bool,
    ) -> None:
        super().__init__()
        first, second = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        self.CoreNet = nn.Sequential(
            nn.Conv1d(width, inner, first, padding=first // 2),
            nn.ReLU(),
            nn.Conv1d(inner, width, second, padding=second // 2),
            nn.Dropout(dropout),
        )
        self.layer_norm = ConditionalLayerNorm(width, width, condition_types)
        self.pre_lnorm, self.mask_hidden = pre_lnorm, mask_hidden

    def forward(self, inputs: Tensor, mask: Tensor, conditioning: Tensor | None) -> Tensor:
        """Return (B, T, D) for inputs (B, T, D) and mask (B, T, 1)."""
        x_BTD = self.layer_norm(inputs, conditioning) if self.pre_lnorm else inputs
        hidden = self.CoreNet[1](self.CoreNet[0](x_BTD.transpose(1, 2)))
        if self.mask_hidden:
            hidden = hidden * mask.transpose(1, 2)
        x_BTD = inputs + self.CoreNet[3](self.CoreNet[2](hidden)).transpose(1, 2)
        return x_BTD if self.pre_lnorm else self.layer_norm(x_BTD, conditioning)


class MultiHeadAttn(nn.Module):
    """Self-attention, residual, layer normalisation."""

    def __init__(
        self,
        num_heads: int,
        width: int,
        head_width: int,
        dropout: float,
        dropatt: float,
        *,
        pre_lnorm: bool,
        condition_types: Sequence[str],
    ) -> None:
        super().__init__()
        self.num_heads, self.dropatt, self.pre_lnorm = num_heads, dropatt, pre_lnorm
        self.qkv_net = nn.Linear(width, 3 * num_heads * head_width)
        self.drop = nn.Dropout(dropout)
        self.o_net = nn.Linear(num_heads * head_width, width, bias=False)
        self.layer_norm = ConditionalLayerNorm(width, width, condition_types)

    def forward(self, inputs: Tensor, mask: Tensor, conditioning: Tensor | None) -> Tensor:
        """Return (B, T, D) for inputs (B, T, D) and mask (B, T, 1)."""
        x_BTD = self.layer_norm(inputs, conditioning) if self.pre_lnorm else inputs
        query, key, value = (
            part.unflatten(2, (self.num_heads, -1)).transpose(1, 2) for part in self.qkv_net(x_BTD).chunk(3, dim=2)
        )
        attended_BHTK = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask[:, None, None, :, 0], dropout_p=self.dropatt if self.training else 0.0
        )
        x_BTD = inputs + self.drop(self.o_net(attended_BHTK.transpose(1, 2).flatten(2)))
        return x_BTD if self.pre_lnorm else self.layer_norm(x_BTD, conditioning)


class TransformerLayer(nn.Module):
    """Attention, then convolutions; padding stays zero."""

    def __init__(self, attention: MultiHeadAttn, feed_forward: PositionwiseConvFF) -> None:
        super().__init__()
        self.dec_attn, self.pos_ff = attention, feed_forward

    def forward(self, inputs: Tensor, mask: Tensor, conditioning: Tensor | None) -> Tensor:
        """Return (B, T, D) for inputs (B, T, D) and mask (B, T, 1)."""
        x_BTD = self.dec_attn(inputs, mask, conditioning) * mask
        masked: Tensor = self.pos_ff(x_BTD, mask, conditioning) * mask
        return masked


class FFTransformerDecoder(NeuralModule):
    """A stack of feed-forward transformer layers over vectors.

    Args:
        n_layer: how many layers.
        n_head, d_head: heads of the attention, and the width of each.
        d_model: width.
        d_inner: width of the convolutions' hidden layer.
        kernel_size: of the convolutions, one for both or one for each.
        dropout, dropatt, dropemb: shares dropped of layers' results, of attention, of the input.
        pre_lnorm: normalise before a layer instead of after it.
        condition_types: how a speaker's embedding enters (see ``conditioning``).
        mask_hidden: False computes batches as NeMo does, where padding leaks.

    Shapes:
        input         (B, T, D)
        seq_lens      (B,)            int64
        conditioning  (B, 1, D)
        returns out (B, T, D), zero in padding, and mask (B, T, 1)

    Source: FastPitch, arXiv:2006.06873, section 2; NeMo's key names.
    """

    def __init__(
        self,
        n_layer: int,
        n_head: int,
        d_model: int,
        d_head: int,
        d_inner: int,
        kernel_size: int | Sequence[int],
        dropout: float,
        dropatt: float,
        dropemb: float = 0.0,
        pre_lnorm: bool = False,
        condition_types: Sequence[str] = (),
        *,
        mask_hidden: bool = True,
    ) -> None:
        super().__init__()
        self.d_model = d_model
        self.pos_emb = PositionalEmbedding(d_model)
        self.drop = nn.Dropout(dropemb)
        self.cond_input = ConditionalInput(d_model, d_model, condition_types)
        shared: dict[str, Any] = {"pre_lnorm": pre_lnorm, "condition_types": condition_types}
        self.layers = nn.ModuleList(
            TransformerLayer(
                MultiHeadAttn(n_head, d_model, d_head, dropout, dropatt, **shared),
                PositionwiseConvFF(d_model, d_inner, kernel_size, dropout, mask_hidden=mask_hidden, **shared),
            )
            for _ in range(n_layer)
        )

    @typecheck()
    def forward(
        self,
        input: Encoded,
        seq_lens: Annotated[Tensor, NeuralType("B", LengthsType())],
        conditioning: Condition = None,
    ) -> Transformed:
        """Return the transformed vectors and their mask."""
        return self._transform(input, mask_from_lens(seq_lens, input.shape[1])[..., None], conditioning)

    def _transform(self, vectors: Tensor, mask: Tensor, conditioning: Tensor | None) -> Transformed:
        positions = torch.arange(vectors.shape[1], device=vectors.device, dtype=vectors.dtype)
        x_BTD = self.drop(self.cond_input(vectors + self.pos_emb(positions) * mask, conditioning))
        for layer in self.layers:
            x_BTD = layer(x_BTD, mask, conditioning)
        return Transformed(x_BTD, mask)


class FFTransformerEncoder(FFTransformerDecoder):
    """The same stack over tokens, which it looks up first.

    Args (beside the decoder's):
        n_embed: how many tokens there are.
        d_embed: must be ``d_model``.
        padding_idx: the token that pads.
    """

    def __init__(
        self,
        n_layer: int,
        n_head: int,
        d_model: int,
        d_head: int,
        d_inner: int,
        kernel_size: int | Sequence[int],
        dropout: float,
        dropatt: float,
        dropemb: float = 0.0,
        pre_lnorm: bool = False,
        n_embed: int | None = None,
        d_embed: int | None = None,
        padding_idx: int = 0,
        condition_types: Sequence[str] = (),
        *,
        mask_hidden: bool = True,
    ) -> None:
        super().__init__(
            n_layer,
            n_head,
            d_model,
            d_head,
            d_inner,
            kernel_size,
            dropout,
            dropatt,
            dropemb,
            pre_lnorm,
            condition_types,
            mask_hidden=mask_hidden,
        )
        if n_embed is None:
            raise ConfigError("the encoder does not know how many tokens there are", fix="set input_fft.n_embed")
        if d_embed not in (None, d_model):
            raise ConfigError("d_embed must be d_model", got=str(d_embed), expected=str(d_model))
        self.padding_idx = padding_idx
        self.word_emb = nn.Embedding(n_embed, d_model, padding_idx=padding_idx)

    @typecheck()
    def forward(  # type: ignore[override]
        self, input: Annotated[Tensor, NeuralType("B T", TokenIndex())], conditioning: Condition = None
    ) -> Transformed:
        """Return a vector for each token, and the mask of tokens that are no padding."""
        return self._transform(self.word_emb(input), (input != self.padding_idx)[..., None], conditioning)
