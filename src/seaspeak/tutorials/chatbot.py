"""A chatbot: sequence to sequence with Luong's attention, on pairs of sentences.

Shape letters: T words of the source, S words of the target, B pairs in a batch, H hidden size, V size of the
vocabulary, L layers.

Source: Luong, Pham and Manning, "Effective Approaches to Attention-based Neural Machine Translation"
(arXiv:1508.04025), equations 5 and 6; ports and weights are named as in NeMo 0.11.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch
from torch import Tensor, nn

from seaspeak.core.data_layer import DataLayer
from seaspeak.core.errors import ConfigError
from seaspeak.core.module import Loss, NeuralModule
from seaspeak.core.types import ChannelType, LabelsType, LengthsType, LossType, NeuralType
from seaspeak.core.typing import typecheck
from seaspeak.tutorials.dialogs import SOS, make_batch, read_pairs, sample_pairs, trim

Words = Annotated[Tensor, NeuralType("T B", ChannelType())]
Targets = Annotated[Tensor, NeuralType("T B", LabelsType())]
Features = Annotated[Tensor, NeuralType("T B D", ChannelType())]
Hidden = Annotated[Tensor, NeuralType("Any B D", ChannelType())]


class DialogDataLayerOutput(NamedTuple):
    """A batch of ``DialogDataLayer``."""

    src: Words
    src_lengths: Annotated[Tensor, NeuralType("B", LengthsType())]
    tgt: Targets
    mask: Words
    max_tgt_lengths: Annotated[int, NeuralType()]


class EncoderRNNOutput(NamedTuple):
    """What the encoder gives."""

    outputs: Features
    hidden: Hidden


class LuongAttnDecoderRNNOutput(NamedTuple):
    """What the decoder gives."""

    outputs: Features
    hidden: Hidden


class GreedyLuongAttnDecoderRNNOutput(NamedTuple):
    """What the greedy decoder gives."""

    outputs: Words
    hidden: Hidden


class DialogDataLayer(DataLayer):
    """Batches of random pairs of sentences, drawn once.

    Args:
        batch_size: pairs in a batch.
        corpus_name: what the corpus is called.
        datafile: text file with a pair a line, separated by a tab.
        min_count: words that occur less often are left out, and the pairs that hold them.

    Attributes:
        voc: the vocabulary.
        pairs: pairs of sentences that are left.
    """

    def __init__(self, batch_size: int, corpus_name: str, datafile: str, min_count: int = 3) -> None:
        super().__init__()
        self.batch_size = batch_size
        voc, pairs = read_pairs(datafile, corpus_name)
        self.voc, self.pairs = trim(voc, pairs, min_count)
        self.data_iterator = [make_batch(self.voc, sample_pairs(self.pairs, batch_size)) for _ in range(len(self))]

    def __len__(self) -> int:
        """How many batches there are."""
        return len(self.pairs) // self.batch_size

    def forward(self) -> DialogDataLayerOutput:
        """Return the first batch."""
        return DialogDataLayerOutput(*next(iter(self.data_iterator or ())))


class EncoderRNN(NeuralModule):
    """Reads a sentence with gated recurrent units, the two directions summed.

    Shapes:
        input_seq  (T, B)     int64, padded with 0, longest sentence first
        outputs    (T, B, H)
        hidden     (L * directions, B, H)
    """

    def __init__(
        self, voc_size: int, encoder_n_layers: int, hidden_size: int, dropout: float, bidirectional: bool = True
    ) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.embedding = nn.Embedding(voc_size, hidden_size)
        self.embedding_dropout = nn.Dropout(dropout)
        between_layers = 0.0 if encoder_n_layers == 1 else dropout
        self.gru = nn.GRU(
            hidden_size, hidden_size, encoder_n_layers, dropout=between_layers, bidirectional=bidirectional
        )

    @typecheck()
    def forward(
        self, input_seq: Words, input_lengths: Annotated[Tensor, NeuralType("B", LengthsType())]
    ) -> EncoderRNNOutput:
        """Return features of each word, and the last state."""
        embedded = self.embedding_dropout(self.embedding(input_seq))
        packed = nn.utils.rnn.pack_padded_sequence(embedded, input_lengths.cpu())
        outputs, hidden = self.gru(packed)
        features, _ = nn.utils.rnn.pad_packed_sequence(outputs)
        if self.gru.bidirectional:
            features = features[..., : self.hidden_size] + features[..., self.hidden_size :]
        return EncoderRNNOutput(features, hidden)


class LuongAttention(nn.Module):
    """How much each word of the source matters now.

    Args:
        method: ``dot``, ``general`` or ``concat``.
        hidden_size: of both sequences.

    Raises:
        ConfigError: another method (also a ``ValueError``).
    """

    def __init__(self, method: str, hidden_size: int) -> None:
        super().__init__()
        if method not in ("dot", "general", "concat"):
            raise ConfigError(f"{method!r} is no attention method", expected="dot, general or concat")
        self.method = method
        if method != "dot":
            self.attn = nn.Linear(hidden_size * (2 if method == "concat" else 1), hidden_size)
        if method == "concat":
            self.v = nn.Parameter(torch.randn(hidden_size) / hidden_size**0.5)

    def forward(self, hidden: Tensor, encoder_outputs: Tensor) -> Tensor:
        """Return weights (B, 1, T) that sum to one, from the state (1, B, H) and the source (T, B, H)."""
        if self.method == "concat":
            both = torch.cat((hidden.expand_as(encoder_outputs), encoder_outputs), dim=2)
            scores = (self.v * torch.tanh(self.attn(both))).sum(dim=2)
        else:
            keys = encoder_outputs if self.method == "dot" else self.attn(encoder_outputs)
            scores = (hidden * keys).sum(dim=2)
        return scores.t().softmax(dim=1).unsqueeze(1)


class _LuongDecoder(NeuralModule):
    """What both decoders share: one step."""

    def __init__(self, attn_model: str, hidden_size: int, voc_size: int, decoder_n_layers: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(voc_size, hidden_size)
        self.embedding_dropout = nn.Dropout(dropout)
        between_layers = 0.0 if decoder_n_layers == 1 else dropout
        self.gru = nn.GRU(hidden_size, hidden_size, decoder_n_layers, dropout=between_layers)
        self.concat = nn.Linear(hidden_size * 2, hidden_size)
        self.out = nn.Linear(hidden_size, voc_size)
        self.attn = LuongAttention(attn_model, hidden_size)

    def _start(self, encoder_outputs: Tensor) -> Tensor:
        return torch.full((1, encoder_outputs.shape[1]), SOS, device=encoder_outputs.device)

    def _step(self, words: Tensor, hidden: Tensor | None, encoder_outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the distribution of the next word (B, V) and the new state, from the last word (1, B)."""
        features, hidden = self.gru(self.embedding_dropout(self.embedding(words)), hidden)
        weights = self.attn(features, encoder_outputs)
        context = weights.bmm(encoder_outputs.transpose(0, 1)).squeeze(1)
        attended = torch.tanh(self.concat(torch.cat((features.squeeze(0), context), dim=1)))
        return self.out(attended).softmax(dim=1), hidden


class LuongAttnDecoderRNN(_LuongDecoder):
    """Writes the answer, each word after the right one before it (teacher forcing).

    Shapes:
        targets          (S, B)     int64
        encoder_outputs  (T, B, H)
        outputs          (S, B, V)  probabilities
    """

    @typecheck()
    def forward(
        self, targets: Targets, encoder_outputs: Features, max_target_len: Annotated[int, NeuralType()]
    ) -> LuongAttnDecoderRNNOutput:
        """Return a distribution for each word of the answer, and the last state."""
        words, hidden, outputs = self._start(encoder_outputs), None, []
        for step in range(max_target_len):
            output, hidden = self._step(words, hidden, encoder_outputs)
            outputs.append(output)
            words = targets[step].view(1, -1)
        return LuongAttnDecoderRNNOutput(torch.stack(outputs), hidden)  # type: ignore[arg-type]  # one step at least


class GreedyLuongAttnDecoderRNN(_LuongDecoder):
    """Writes an answer of ``max_dec_steps`` words, the likeliest word each time."""

    def __init__(
        self,
        attn_model: str,
        hidden_size: int,
        voc_size: int,
        decoder_n_layers: int,
        dropout: float,
        max_dec_steps: int = 10,
    ) -> None:
        super().__init__(attn_model, hidden_size, voc_size, decoder_n_layers, dropout)
        self.max_dec_steps = max_dec_steps

    @typecheck()
    def forward(self, encoder_outputs: Features) -> GreedyLuongAttnDecoderRNNOutput:
        """Return the numbers of the words (S, B), and the last state."""
        words, hidden, outputs = self._start(encoder_outputs), None, []
        for _ in range(self.max_dec_steps):
            output, hidden = self._step(words, hidden, encoder_outputs)
            words = output.argmax(dim=1).view(1, -1)
            outputs.append(words)
        return GreedyLuongAttnDecoderRNNOutput(torch.cat(outputs), hidden)  # type: ignore[arg-type]  # steps > 0


class MaskedXEntropyLoss(Loss):
    """Mean of ``-log p(right word)`` over the words that are no padding; takes probabilities, not their logarithms."""

    def __init__(self) -> None:
        super().__init__()

    @typecheck()
    def forward(
        self, predictions: Features, target: Targets, mask: Words
    ) -> Annotated[Tensor, NeuralType(elements_type=LossType()), "loss"]:
        """Return the loss."""
        right = predictions.gather(2, target.unsqueeze(2)).squeeze(2)
        return right[mask.bool()].log().mean().neg()
