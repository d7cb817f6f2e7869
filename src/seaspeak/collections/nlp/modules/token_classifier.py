"""Heads that classify every piece of a text."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from seaspeak.collections.nlp.modules.encoder import find_activation, initialise
from seaspeak.core.module import NeuralModule
from seaspeak.core.types import ChannelType, LogitsType, LogprobsType, NeuralType
from seaspeak.core.typing import typecheck

Hidden = Annotated[Tensor, NeuralType("B T D", ChannelType())]


class MultiLayerPerceptron(nn.Module):
    """Linear layers with an activation between them; the last one gives the classes.

    Layers are numbered with the activations, as NeMo does, so linear ones have even numbers: ``layer0``, ``layer2``.

    Args:
        hidden_size: width of the input and of all layers but the last.
        num_classes: width of the output.
        num_layers: linear layers.
        activation: ``relu``, ``gelu``, ``tanh``, ...
        log_softmax: return log-probabilities instead of logits.

    Shapes:
        hidden_states  (..., hidden_size)
        returns        (..., num_classes)
    """

    def __init__(
        self,
        hidden_size: int,
        num_classes: int,
        num_layers: int = 2,
        activation: str = "relu",
        log_softmax: bool = True,
    ) -> None:
        super().__init__()
        self.names = [f"layer{2 * number}" for number in range(num_layers)]
        for name in self.names[:-1]:
            self.add_module(name, nn.Linear(hidden_size, hidden_size))
        self.add_module(self.names[-1], nn.Linear(hidden_size, num_classes))
        self.activation = find_activation(activation)
        self.log_softmax = log_softmax

    @property
    def last_linear_layer(self) -> nn.Linear:
        """The layer that gives the classes."""
        layer = getattr(self, self.names[-1])
        assert isinstance(layer, nn.Linear)
        return layer

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Score the classes."""
        for name in self.names[:-1]:
            hidden_states = self.activation(getattr(self, name)(hidden_states))
        scores: Tensor = self.last_linear_layer(hidden_states)
        return scores.log_softmax(-1) if self.log_softmax else scores


class Head(NeuralModule):
    """What scores classes: its output is called ``log_probs`` or ``logits``, after what it is.

    Attributes:
        axes: of the scores.
        log_softmax: whether they are log-probabilities.
    """

    axes = "B T D"
    log_softmax: bool

    @property
    def output_types(self) -> dict[str, NeuralType]:
        """``log_probs`` or ``logits``."""
        if self.log_softmax:
            return {"log_probs": NeuralType(self.axes, LogprobsType())}
        return {"logits": NeuralType(self.axes, LogitsType())}


class TokenClassifier(Head):
    """Score the classes of every piece: dropout, then a perceptron.

    Args:
        hidden_size: width of the encoder's output.
        num_classes: how many classes there are.
        num_layers: linear layers.
        activation: between them.
        log_softmax: give ``log_probs`` instead of ``logits``.
        dropout: share of the input that is left out in training.
        use_transformer_init: draw weights as BERT does, rather than as torch does.

    Shapes:
        hidden_states  (B, T, hidden_size)
        returns        (B, T, num_classes)
    """

    def __init__(
        self,
        hidden_size: int,
        num_classes: int,
        num_layers: int = 1,
        activation: str = "relu",
        log_softmax: bool = True,
        dropout: float = 0.0,
        use_transformer_init: bool = True,
    ) -> None:
        super().__init__()
        self.log_softmax = log_softmax
        self.mlp = MultiLayerPerceptron(hidden_size, num_classes, num_layers, activation, log_softmax)
        self.dropout = nn.Dropout(dropout)
        if use_transformer_init:
            self.apply(lambda part: initialise(part, 0.02))

    @typecheck()
    def forward(self, hidden_states: Hidden) -> Tensor:
        """Score the classes of every piece."""
        scores: Tensor = self.mlp(self.dropout(hidden_states))
        return scores
