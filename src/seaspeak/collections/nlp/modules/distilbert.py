"""DistilBERT on plain PyTorch, with the names of the weights that transformers and NeMo's archives use.

Source: arXiv:1910.01108; names and defaults of transformers' ``DistilBertModel``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor, nn

from seaspeak.collections.nlp.modules.bert import (
    Encoded,
    Ids,
    OptionalIds,
    OptionalMask,
    activation,
    attend,
    attention_bias,
    check_length,
    initialise,
)
from seaspeak.core.module import NeuralModule
from seaspeak.core.typing import typecheck

_EPS = 1e-12


@dataclass(frozen=True, kw_only=True)
class DistilBertConfig:
    """What shapes the network, under transformers' names."""

    vocab_size: int = 30522
    max_position_embeddings: int = 512
    n_layers: int = 6
    n_heads: int = 12
    dim: int = 768
    hidden_dim: int = 3072
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation: str = "gelu"
    initializer_range: float = 0.02
    pad_token_id: int | None = 0


class DistilBertEncoder(NeuralModule):
    """DistilBERT: a BERT of half the layers, without token types and without a pooler.

    Args:
        config: transformers' configuration of it.

    Shapes: as for ``BertEncoder``; ``token_type_ids`` are accepted and not used.
    """

    transformer: Any  # a plain Module that holds `layer`, as the names of the weights want it

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        known = {field.name for field in fields(DistilBertConfig)}
        shape = DistilBertConfig(**{key: value for key, value in config.items() if key in known})
        self.config = dict(config)
        self.hidden_size, self.max_positions = shape.dim, shape.max_position_embeddings
        self.embeddings = _Embeddings(shape)
        self.transformer = nn.Module()
        self.transformer.layer = nn.ModuleList(DistilBertLayer(shape) for _ in range(shape.n_layers))
        self.apply(lambda part: initialise(part, shape.initializer_range))

    @typecheck()
    def forward(
        self, input_ids: Ids, attention_mask: OptionalMask = None, token_type_ids: OptionalIds = None
    ) -> Encoded:
        """Encode a batch of token ids."""
        x_BTD = self.embeddings(input_ids)
        mask = attention_bias(attention_mask, x_BTD.dtype)
        for layer in self.transformer.layer:
            x_BTD = layer(x_BTD, mask)
        return Encoded(x_BTD)


class _Embeddings(nn.Module):
    def __init__(self, shape: DistilBertConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(shape.vocab_size, shape.dim, padding_idx=shape.pad_token_id)
        self.position_embeddings = nn.Embedding(shape.max_position_embeddings, shape.dim)
        self.LayerNorm = nn.LayerNorm(shape.dim, eps=_EPS)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, ids: Tensor) -> Tensor:
        check_length(ids.shape[1], self.position_embeddings.num_embeddings)
        x = self.word_embeddings(ids) + self.position_embeddings.weight[: ids.shape[1]]
        return self.dropout(self.LayerNorm(x))


class DistilBertLayer(nn.Module):
    """Attention and a feed-forward network, each added to what it read and normalised."""

    attention: Any  # plain Modules, nested as the names of the weights want it
    ffn: Any

    def __init__(self, shape: DistilBertConfig) -> None:
        super().__init__()
        self.heads, self.attention_dropout = shape.n_heads, shape.attention_dropout
        self.attention = nn.Module()
        for name in ("q_lin", "k_lin", "v_lin", "out_lin"):
            self.attention.add_module(name, nn.Linear(shape.dim, shape.dim))
        self.sa_layer_norm = nn.LayerNorm(shape.dim, eps=_EPS)
        self.ffn = nn.Module()
        self.ffn.lin1 = nn.Linear(shape.dim, shape.hidden_dim)
        self.ffn.lin2 = nn.Linear(shape.hidden_dim, shape.dim)
        self.output_layer_norm = nn.LayerNorm(shape.dim, eps=_EPS)
        self.activation = activation(shape.activation)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, x_BTD: Tensor, mask: Tensor | None) -> Tensor:
        """Return (B, T, D) for (B, T, D)."""
        parts = self.attention
        dropout = self.attention_dropout if self.training else 0.0
        seen = attend(
            parts.q_lin(x_BTD), parts.k_lin(x_BTD), parts.v_lin(x_BTD), mask, heads=self.heads, dropout=dropout
        )
        x_BTD = self.sa_layer_norm(parts.out_lin(seen) + x_BTD)
        fed = self.dropout(self.ffn.lin2(self.activation(self.ffn.lin1(x_BTD))))
        normed: Tensor = self.output_layer_norm(fed + x_BTD)
        return normed
