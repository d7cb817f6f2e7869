"""The two heads that BERT is pretrained with."""

from __future__ import annotations

import functools

from torch import Tensor, nn

from seaspeak.collections.nlp.modules.encoder import find_activation, initialise
from seaspeak.collections.nlp.modules.token_classifier import Head, Hidden, MultiLayerPerceptron
from seaspeak.core.typing import typecheck


class BertPretrainingTokenClassifier(Head):
    """Score every word piece for every place: dropout, a transformed state, a perceptron.

    Args:
        hidden_size: width of the encoder's output.
        num_classes: pieces of the vocabulary.
        num_layers: linear layers of the perceptron.
        activation: of the transformed state.
        log_softmax: give log-probabilities instead of logits.
        dropout: share of the input that is left out in training.
        use_transformer_init: draw weights as BERT does.

    Shapes:
        hidden_states  (B, T, hidden_size)
        returns        (B, T, num_classes)
    """

    def __init__(
        self,
        hidden_size: int,
        num_classes: int,
        num_layers: int = 1,
        activation: str = "gelu",
        log_softmax: bool = True,
        dropout: float = 0.0,
        use_transformer_init: bool = True,
    ) -> None:
        super().__init__()
        self.log_softmax = log_softmax
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.activation = find_activation(activation)
        self.norm = nn.LayerNorm(hidden_size, eps=1e-12)
        self.mlp = MultiLayerPerceptron(hidden_size, num_classes, num_layers, "relu", log_softmax)
        self.dropout = nn.Dropout(dropout)
        if use_transformer_init:
            self.apply(functools.partial(initialise, std=0.02))

    @typecheck()
    def forward(self, hidden_states: Hidden) -> Tensor:
        """Score every piece for every place."""
        scores: Tensor = self.mlp(self.norm(self.activation(self.dense(self.dropout(hidden_states)))))
        return scores


class SequenceClassifier(Head):
    """Score the classes of a whole sequence by one of its places.

    Args:
        hidden_size: width of the encoder's output.
        num_classes: how many classes there are.
        num_layers: linear layers.
        activation: between them.
        log_softmax: give log-probabilities instead of logits.
        dropout: share of the input that is left out in training.
        use_transformer_init: draw weights as BERT does.
        idx_conditioned_on: the place.

    Shapes:
        hidden_states  (B, T, hidden_size)
        returns        (B, num_classes)
    """

    axes = "B D"

    def __init__(
        self,
        hidden_size: int,
        num_classes: int,
        num_layers: int = 2,
        activation: str = "relu",
        log_softmax: bool = True,
        dropout: float = 0.0,
        use_transformer_init: bool = True,
        idx_conditioned_on: int = 0,
    ) -> None:
        super().__init__()
        self.log_softmax, self.place = log_softmax, idx_conditioned_on
        self.mlp = MultiLayerPerceptron(hidden_size, num_classes, num_layers, activation, log_softmax)
        self.dropout = nn.Dropout(dropout)
        if use_transformer_init:
            self.apply(functools.partial(initialise, std=0.02))

    @typecheck()
    def forward(self, hidden_states: Hidden) -> Tensor:
        """Score the classes of every sequence."""
        scores: Tensor = self.mlp(self.dropout(hidden_states)[:, self.place])
        return scores
