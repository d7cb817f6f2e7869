"""BERT on plain PyTorch, with the names of the weights that transformers and NeMo's archives use.

Source: arXiv:1810.04805; names and defaults of transformers' ``BertModel`` (its encoder and pooler).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from torch import nn

from seaspeak.collections.nlp.modules.encoder import Embeddings, Encoder, Layer, Parts, initialise
from seaspeak.core.errors import ConfigError


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


class BertEncoder(Encoder):
    """BERT: embeddings, transformer layers, and the pooler, whose weights are kept though no task reads it.

    Args:
        config: transformers' configuration of it.

    Shapes: as for ``Encoder``.

    Raises:
        ConfigError: the configuration cannot be built.
    """

    encoder: Any  # a plain Module that holds `layer`, as the names of the weights want it

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        shape = BertConfig.of(config)
        self.config = dict(config)
        self.hidden_size, self.max_positions = shape.hidden_size, shape.max_position_embeddings
        self.embeddings = Embeddings(
            nn.Embedding(shape.vocab_size, shape.hidden_size, padding_idx=shape.pad_token_id),
            positions=shape.max_position_embeddings,
            types=shape.type_vocab_size,
            eps=shape.layer_norm_eps,
            dropout=shape.hidden_dropout_prob,
        )
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(BertLayer(shape) for _ in range(shape.num_hidden_layers))
        self.pooler = nn.Module()
        self.pooler.dense = nn.Linear(shape.hidden_size, shape.hidden_size)
        self.apply(lambda part: initialise(part, shape.initializer_range))

    @property
    def layers(self) -> Iterable[Layer]:
        """The layers in their order."""
        layers: nn.ModuleList = self.encoder.layer
        return layers  # type: ignore[return-value]  # a list of modules does not say of which


class BertLayer(Layer):
    """A layer with BERT's names."""

    attention: Any  # plain Modules, nested as the names of the weights want it
    intermediate: Any
    output: Any

    def __init__(self, shape: BertConfig) -> None:
        super().__init__(
            shape.num_attention_heads,
            shape.hidden_act,
            attention_dropout=shape.attention_probs_dropout_prob,
            dropout=shape.hidden_dropout_prob,
            seen_dropout=shape.hidden_dropout_prob,
        )
        width, inner, eps = shape.hidden_size, shape.intermediate_size, shape.layer_norm_eps
        self.attention = nn.Module()
        self.attention.self = nn.Module()
        for name in ("query", "key", "value"):
            self.attention.self.add_module(name, nn.Linear(width, width))
        self.attention.output = _added(width, width, eps)
        self.intermediate = nn.Module()
        self.intermediate.dense = nn.Linear(width, inner)
        self.output = _added(inner, width, eps)

    @property
    def parts(self) -> Parts:
        """The parts by what they do."""
        looks, seen, output = self.attention.self, self.attention.output, self.output
        return Parts(
            looks.query,
            looks.key,
            looks.value,
            seen.dense,
            seen.LayerNorm,
            self.intermediate.dense,
            output.dense,
            output.LayerNorm,
        )


def _added(inner: int, width: int, eps: float) -> nn.Module:
    part = nn.Module()
    part.dense = nn.Linear(inner, width)
    part.LayerNorm = nn.LayerNorm(width, eps=eps)
    return part
