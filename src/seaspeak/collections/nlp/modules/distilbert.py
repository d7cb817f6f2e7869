"""DistilBERT on plain PyTorch, with the names of the weights that transformers and NeMo's archives use.

Source: arXiv:1910.01108; names and defaults of transformers' ``DistilBertModel``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from torch import nn

from seaspeak.collections.nlp.modules.encoder import Embeddings, Encoder, Layer, Parts, initialise

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


class DistilBertEncoder(Encoder):
    """DistilBERT: a BERT of half the layers, without token types and without a pooler.

    Args:
        config: transformers' configuration of it.

    Shapes: as for ``Encoder``; ``token_type_ids`` are accepted and not used.
    """

    transformer: Any  # a plain Module that holds `layer`, as the names of the weights want it

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        known = {field.name for field in fields(DistilBertConfig)}
        shape = DistilBertConfig(**{key: value for key, value in config.items() if key in known})
        self.config = dict(config)
        self.hidden_size, self.max_positions = shape.dim, shape.max_position_embeddings
        self.embeddings = Embeddings(
            nn.Embedding(shape.vocab_size, shape.dim, padding_idx=shape.pad_token_id),
            positions=shape.max_position_embeddings,
            types=0,
            eps=_EPS,
            dropout=shape.dropout,
        )
        self.transformer = nn.Module()
        self.transformer.layer = nn.ModuleList(DistilBertLayer(shape) for _ in range(shape.n_layers))
        self.apply(lambda part: initialise(part, shape.initializer_range))

    @property
    def layers(self) -> Iterable[Layer]:
        """The layers in their order."""
        layers: nn.ModuleList = self.transformer.layer
        return layers  # type: ignore[return-value]  # a list of modules does not say of which


class DistilBertLayer(Layer):
    """A layer with DistilBERT's names; what attention gives is not dropped out."""

    attention: Any  # plain Modules, nested as the names of the weights want it
    ffn: Any

    def __init__(self, shape: DistilBertConfig) -> None:
        super().__init__(
            shape.n_heads,
            shape.activation,
            attention_dropout=shape.attention_dropout,
            dropout=shape.dropout,
            seen_dropout=0.0,
        )
        self.attention = nn.Module()
        for name in ("q_lin", "k_lin", "v_lin", "out_lin"):
            self.attention.add_module(name, nn.Linear(shape.dim, shape.dim))
        self.sa_layer_norm = nn.LayerNorm(shape.dim, eps=_EPS)
        self.ffn = nn.Module()
        self.ffn.lin1 = nn.Linear(shape.dim, shape.hidden_dim)
        self.ffn.lin2 = nn.Linear(shape.hidden_dim, shape.dim)
        self.output_layer_norm = nn.LayerNorm(shape.dim, eps=_EPS)

    @property
    def parts(self) -> Parts:
        """The parts by what they do."""
        looks = self.attention
        return Parts(
            looks.q_lin,
            looks.k_lin,
            looks.v_lin,
            looks.out_lin,
            self.sa_layer_norm,
            self.ffn.lin1,
            self.ffn.lin2,
            self.output_layer_norm,
        )
