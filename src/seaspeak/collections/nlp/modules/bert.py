"""BERT on plain PyTorch, with the names of the weights that transformers and NeMo's archives use.

Source: arXiv:1810.04805; names and defaults of transformers' ``BertModel`` (its encoder and pooler).

Shape letters in this file:
    B  batch    T  tokens    D  width    H  heads    K  width of a head
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """Return the function that a configuration calls ``name``.

    Raises:
        ConfigError: there is none.
    """
    if name not in ACTIVATIONS:
        raise ConfigError("the encoder's activation is not known", got=repr(name), expected=", ".join(ACTIVATIONS))
    return ACTIVATIONS[name]


@dataclass(frozen=True, kw_only=True)
class BertConfig:
    """What shapes the network, under transformers' names; other keys of a configuration do not matter here."""

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int | None = 0

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> BertConfig:
        """Return the part of ``config`` that this class knows.

        Raises:
            ConfigError: positions are relative, or heads do not divide the width.
        """
        if config.get("position_embedding_type", "absolute") != "absolute":
            raise ConfigError("BERT with relative positions is not supported")
        known = {field.name for field in fields(cls)}
        found = cls(**{key: value for key, value in config.items() if key in known})
        if found.hidden_size % found.num_attention_heads:
            raise ConfigError(
                "the encoder's heads do not divide its width",
                got=f"hidden_size {found.hidden_size}, num_attention_heads {found.num_attention_heads}",
            )
        return found


class BertEncoder(NeuralModule):
    """BERT: embeddings, transformer layers, and the pooler, whose weights are kept though no task reads it.

    Args:
        config: transformers' configuration of it.

    Shapes:
        input_ids        (B, T) int64
        attention_mask   (B, T) 1 where a token counts; everything counts by default
        token_type_ids   (B, T) int64; 0 by default
        returns          (B, T, D)

    Raises:
        ConfigError: the configuration cannot be built.
        DataError: a sequence is longer than the encoder has positions.
    """

    encoder: Any  # a plain Module that holds `layer`, as the names of the weights want it

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        shape = BertConfig.of(config)
        self.config = dict(config)
        self.hidden_size, self.max_positions = shape.hidden_size, shape.max_position_embeddings
        self.embeddings = BertEmbeddings(shape)
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(BertLayer(shape) for _ in range(shape.num_hidden_layers))
        self.pooler = nn.Module()
        self.pooler.dense = nn.Linear(shape.hidden_size, shape.hidden_size)
        self.apply(lambda part: initialise(part, shape.initializer_range))

    @typecheck()
    def forward(
        self, input_ids: Ids, attention_mask: OptionalMask = None, token_type_ids: OptionalIds = None
    ) -> Encoded:
        """Encode a batch of token ids."""
        x_BTD = self.embeddings(input_ids, token_type_ids)
        mask = attention_bias(attention_mask, x_BTD.dtype)
        for layer in self.encoder.layer:
            x_BTD = layer(x_BTD, mask)
        return Encoded(x_BTD)


def initialise(part: nn.Module, std: float) -> None:
    """Give a part the random weights that BERT starts from."""
    if isinstance(part, nn.Linear | nn.Embedding):
        nn.init.normal_(part.weight, std=std)
    if isinstance(part, nn.Linear):
        nn.init.zeros_(part.bias)
    if isinstance(part, nn.Embedding) and part.padding_idx is not None:
        nn.init.zeros_(part.weight[part.padding_idx].detach())


def attention_bias(mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Return (B, 1, 1, T): what is added to scores, or nothing where every token counts, which is faster."""
    if mask is None or bool((mask != 0).all()):
        return None
    return (mask == 0).to(dtype)[:, None, None, :] * torch.finfo(dtype).min


def check_length(count: int, limit: int) -> None:
    """Refuse a sequence for which there are no positions.

    Raises:
        DataError: it is too long.
    """
    if count > limit:
        raise DataError("the sequence is longer than the encoder has positions", got=str(count), expected=f"≤ {limit}")


class BertEmbeddings(nn.Module):
    """The sum of what a token, its place and its segment stand for, normalised."""

    def __init__(self, shape: BertConfig) -> None:
        super().__init__()
        width = shape.hidden_size
        self.word_embeddings = nn.Embedding(shape.vocab_size, width, padding_idx=shape.pad_token_id)
        self.position_embeddings = nn.Embedding(shape.max_position_embeddings, width)
        self.token_type_embeddings = nn.Embedding(shape.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, eps=shape.layer_norm_eps)
        self.dropout = nn.Dropout(shape.hidden_dropout_prob)

    def forward(self, ids: Tensor, types: Tensor | None) -> Tensor:
        """Return (B, T, D) for ids and types of (B, T)."""
        count = ids.shape[1]
        check_length(count, self.position_embeddings.num_embeddings)
        kind = self.token_type_embeddings.weight[0] if types is None else self.token_type_embeddings(types)
        x = self.word_embeddings(ids) + self.position_embeddings.weight[:count] + kind
        return self.dropout(self.LayerNorm(x))


class BertLayer(nn.Module):
    """Attention and a feed-forward network, each added to what it read and normalised."""

    attention: Any  # plain Modules, nested as the names of the weights want it
    intermediate: Any
    output: Any

    def __init__(self, shape: BertConfig) -> None:
        super().__init__()
        width, inner, eps = shape.hidden_size, shape.intermediate_size, shape.layer_norm_eps
        self.heads, self.attention_dropout = shape.num_attention_heads, shape.attention_probs_dropout_prob
        self.attention = nn.Module()
        self.attention.self = nn.Module()
        for name in ("query", "key", "value"):
            self.attention.self.add_module(name, nn.Linear(width, width))
        self.attention.output = _added(width, width, eps)
        self.intermediate = nn.Module()
        self.intermediate.dense = nn.Linear(width, inner)
        self.output = _added(inner, width, eps)
        self.activation = activation(shape.hidden_act)
        self.dropout = nn.Dropout(shape.hidden_dropout_prob)

    def forward(self, x_BTD: Tensor, mask: Tensor | None) -> Tensor:
        """Return (B, T, D) for (B, T, D)."""
        parts = self.attention.self
        seen = attend(
            parts.query(x_BTD),
            parts.key(x_BTD),
            parts.value(x_BTD),
            mask,
            heads=self.heads,
            dropout=self.attention_dropout if self.training else 0.0,
        )
        x_BTD = self._add(self.attention.output, seen, x_BTD)
        return self._add(self.output, self.activation(self.intermediate.dense(x_BTD)), x_BTD)

    def _add(self, part: Any, new: Tensor, old: Tensor) -> Tensor:
        added: Tensor = part.LayerNorm(self.dropout(part.dense(new)) + old)
        return added


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, *, heads: int, dropout: float) -> Tensor:
    """Return what every token of (B, T, D) sees of the others, by heads."""
    q_BHTK, k_BHTK, v_BHTK = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    seen = F.scaled_dot_product_attention(q_BHTK, k_BHTK, v_BHTK, attn_mask=mask, dropout_p=dropout)
    return seen.transpose(1, 2).flatten(2)


def _added(inner: int, width: int, eps: float) -> nn.Module:
    part = nn.Module()
    part.dense = nn.Linear(inner, width)
    part.LayerNorm = nn.LayerNorm(width, eps=eps)
    return part
