"""What BERT and DistilBERT share: ports, embeddings, layers.

The classes of the families (``bert.py``, ``distilbert.py``) only say where the names of their weights lie.

Shape letters in this file:
    B  batch    T  tokens    D  width    H  heads    K  width of a head
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seaspeak.collections.nlp.modules import packed
from seaspeak.core.errors import ConfigError, DataError
from seaspeak.core.module import NeuralModule
from seaspeak.core.types import ChannelType, MaskType, NeuralType
from seaspeak.core.typing import typecheck

Ids = Annotated[Tensor, NeuralType("B T", ChannelType())]
OptionalIds = Annotated[Tensor | None, NeuralType("B T", ChannelType(), optional=True)]
OptionalMask = Annotated[Tensor | None, NeuralType("B T", MaskType(), optional=True)]


class Encoded(NamedTuple):
    """What an encoder gives: a vector for every token."""

    last_hidden_states: Annotated[Tensor, NeuralType("B T D", ChannelType())]


def _tanh_gelu(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": _tanh_gelu,
    "gelu_pytorch_tanh": _tanh_gelu,
    "relu": F.relu,
    "silu": F.silu,
    "tanh": torch.tanh,
}


def find_activation(name: str) -> Callable[[Tensor], Tensor]:
    """Return the function that a configuration calls ``name``.

    Raises:
        ConfigError: there is none.
    """
    if name not in ACTIVATIONS:
        raise ConfigError("the encoder's activation is not known", got=repr(name), expected=", ".join(ACTIVATIONS))
    return ACTIVATIONS[name]


def initialise(part: nn.Module, std: float) -> None:
    """Give a part the random weights that BERT starts from."""
    if isinstance(part, nn.Linear | nn.Embedding):
        nn.init.normal_(part.weight, std=std)
    if isinstance(part, nn.Linear):
        nn.init.zeros_(part.bias)
    if isinstance(part, nn.Embedding) and part.padding_idx is not None:
        nn.init.zeros_(part.weight[part.padding_idx].detach())


class Encoder(NeuralModule):
    """A transformer that reads whole texts.

    On a CPU, in evaluation and without gradients, the same numbers come faster (``packed.py``); then what stands at
    padding is not computed where that saves much, and is 0.

    Shapes:
        input_ids        (B, T) int64
        attention_mask   (B, T) 1 where a token counts; everything counts by default
        token_type_ids   (B, T) int64; 0 by default
        returns          (B, T, D)

    Raises:
        DataError: a sequence is longer than the encoder has positions.
    """

    embeddings: Embeddings
    hidden_size: int
    max_positions: int

    @property
    def layers(self) -> Iterable[Layer]:
        """The layers in their order."""
        raise NotImplementedError

    @typecheck()
    def forward(
        self, input_ids: Ids, attention_mask: OptionalMask = None, token_type_ids: OptionalIds = None
    ) -> Encoded:
        """Encode a batch of token ids."""
        if input_ids.shape[1] > self.max_positions:
            raise DataError(
                "the sequence is longer than the encoder has positions",
                got=str(input_ids.shape[1]),
                expected=f"≤ {self.max_positions}",
            )
        if plan := packed.plan_for(self):
            return Encoded(plan(input_ids, attention_mask, token_type_ids))
        x_BTD = self.embeddings(input_ids, token_type_ids)
        bias = packed.attention_bias(attention_mask, x_BTD.dtype)
        for layer in self.layers:
            x_BTD = layer(x_BTD, bias)
        return Encoded(x_BTD)


class Embeddings(nn.Module):
    """The sum of what a token, its place and its segment stand for, normalised."""

    def __init__(self, words: nn.Embedding, positions: int, types: int, eps: float, dropout: float) -> None:
        super().__init__()
        self.word_embeddings = words
        self.position_embeddings = nn.Embedding(positions, words.embedding_dim)
        if types:
            self.token_type_embeddings = nn.Embedding(types, words.embedding_dim)
        self.LayerNorm = nn.LayerNorm(words.embedding_dim, eps=eps)
        self.dropout = nn.Dropout(dropout)

    def forward(self, ids: Tensor, types: Tensor | None, places: Tensor | None = None) -> Tensor:
        """Return (..., T, D) for ids and types of (..., T); ``places`` are 0, 1, 2, ... by default."""
        count = ids.shape[-1]
        x = self.word_embeddings(ids) + (
            self.position_embeddings.weight[:count] if places is None else self.position_embeddings(places)
        )
        if hasattr(self, "token_type_embeddings"):
            x = x + (self.token_type_embeddings.weight[0] if types is None else self.token_type_embeddings(types))
        embedded: Tensor = self.dropout(self.LayerNorm(x))
        return embedded


class Parts(NamedTuple):
    """The parts of a layer, by what they do."""

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    seen: nn.Linear
    seen_norm: nn.LayerNorm
    inner: nn.Linear
    outer: nn.Linear
    outer_norm: nn.LayerNorm


class Layer(nn.Module):
    """Attention and a feed-forward network, each added to what it read and normalised.

    Args:
        heads: how many.
        activation: within the feed-forward network.
        attention_dropout: share of what is looked at that is left out in training.
        dropout: share of the network's output.
        seen_dropout: share of the attention's output.
    """

    def __init__(
        self, heads: int, activation: str, *, attention_dropout: float, dropout: float, seen_dropout: float
    ) -> None:
        super().__init__()
        self.heads, self.attention_dropout, self.seen_dropout = heads, attention_dropout, seen_dropout
        self.activation = find_activation(activation)
        self.dropout = nn.Dropout(dropout)

    @property
    def parts(self) -> Parts:
        """What the family calls by its own names."""
        raise NotImplementedError

    def forward(self, x_BTD: Tensor, bias: Tensor | None) -> Tensor:
        """Return (B, T, D) for (B, T, D), with ``bias`` added to the scores of attention."""
        parts = self.parts
        q_BHTK, k_BHTK, v_BHTK = (part(x_BTD).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts[:3])
        dropout = self.attention_dropout if self.training else 0.0
        seen = F.scaled_dot_product_attention(q_BHTK, k_BHTK, v_BHTK, attn_mask=bias, dropout_p=dropout)
        seen = parts.seen(seen.transpose(1, 2).flatten(2))
        x_BTD = parts.seen_norm(F.dropout(seen, self.seen_dropout, self.training) + x_BTD)
        fed: Tensor = parts.outer_norm(self.dropout(parts.outer(self.activation(parts.inner(x_BTD)))) + x_BTD)
        return fed
