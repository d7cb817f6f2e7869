"""The chatbot's parts."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from seaspeak.core.errors import DataError
from seaspeak.core.factory import NeuralModuleFactory
from seaspeak.tutorials import (
    DialogDataLayer,
    EncoderRNN,
    GreedyLuongAttnDecoderRNN,
    LuongAttnDecoderRNN,
    MaskedXEntropyLoss,
)
from seaspeak.tutorials.dialogs import make_batch, normalise, read_pairs, trim
from tests.core.quiet import quiet_logging  # noqa: F401  (a fixture)

DIALOGS = """Hello!\tHi there.
How are you?\tFine, thanks!
hello\thi
Où est-il?\tIl est là.
hello there\thi hello
one two three four five six seven eight nine ten\ttoo long
"""


@pytest.fixture
def dialogs(tmp_path: Path) -> Path:
    path = tmp_path / "dialogs.txt"
    path.write_text(DIALOGS, encoding="utf-8")
    return path


def test_sentences_are_cleaned() -> None:
    assert normalise("  Où est-il?  ") == "ou est il ?"
    assert normalise("It's 3 o'clock...") == "it s o clock . . ."


def test_words_are_numbered_from_three_in_order(dialogs: Path) -> None:
    voc, pairs = read_pairs(dialogs, "talk")
    assert len(pairs) == 5  # the long one is left out
    assert voc.word2index["hello"] == 3
    assert [voc.index2word[number] for number in range(4)] == ["PAD", "SOS", "EOS", "hello"]
    assert voc.counts["hello"] == 4


def test_rare_words_go_with_their_pairs(dialogs: Path) -> None:
    voc, pairs = trim(*read_pairs(dialogs, "talk"), min_count=2)
    assert pairs == [("hello !", "hi there ."), ("hello", "hi"), ("hello there", "hi hello")]
    assert next(iter(voc.word2index.items())) == ("hello", 3)
    assert "thanks" not in voc.word2index
    assert len(voc) == 3 + len(voc.word2index)


def test_a_batch_is_padded_and_sorted(dialogs: Path) -> None:
    voc, pairs = trim(*read_pairs(dialogs, "talk"), min_count=2)
    source, lengths, target, mask, longest = make_batch(voc, pairs[1:])
    assert lengths.tolist() == [3, 2]
    assert source.tolist() == [[3, 3], [voc.word2index["there"], 2], [2, 0]]
    assert target.shape == mask.shape == (3, 2)
    assert mask.tolist() == (target != 0).tolist()
    assert longest == 3


def test_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no file"):
        DialogDataLayer(1, "talk", str(tmp_path / "nothing"))
    (tmp_path / "bad.txt").write_text("a\tb\nonly one\n")
    with pytest.raises(DataError, match=r"bad\.txt:2 has 1 columns"):
        DialogDataLayer(1, "talk", str(tmp_path / "bad.txt"))


def test_batches_are_drawn_once(dialogs: Path) -> None:
    random.seed(0)
    data = DialogDataLayer(2, "talk", str(dialogs), min_count=1)
    assert len(data) == 2
    assert [batch["src"].tolist() for batch in data.batches()] == [batch["src"].tolist() for batch in data.batches()]
    assert torch.equal(data.forward().src, next(data.batches())["src"])


@pytest.mark.parametrize("attention", ["dot", "general", "concat"])
def test_the_decoder_gives_a_distribution_for_each_word(attention: str) -> None:
    torch.manual_seed(0)
    decoder = LuongAttnDecoderRNN(attention, 6, 11, 1, 0.0)
    targets = torch.randint(3, 11, (4, 2))
    outputs, hidden = decoder(targets=targets, encoder_outputs=torch.randn(5, 2, 6), max_target_len=4)
    assert (outputs.shape, hidden.shape) == ((4, 2, 11), (1, 2, 6))
    torch.testing.assert_close(outputs.sum(2), torch.ones(4, 2))


def test_another_attention_is_refused() -> None:
    with pytest.raises(ValueError, match="'cosine' is no attention method"):
        LuongAttnDecoderRNN("cosine", 6, 11, 1, 0.0)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_encoder_does_not_see_padding(bidirectional: bool) -> None:
    torch.manual_seed(0)
    encoder = EncoderRNN(11, 2, 6, 0.0, bidirectional=bidirectional).eval()
    sentences = torch.tensor([[3, 4], [5, 2], [2, 0]])
    both, _ = encoder(input_seq=sentences, input_lengths=torch.tensor([3, 2]))
    alone, _ = encoder(input_seq=sentences[:2, 1:], input_lengths=torch.tensor([2]))
    torch.testing.assert_close(both[:2, 1:], alone)


def test_the_loss_takes_probabilities_and_leaves_padding_out() -> None:
    probabilities = torch.tensor([[[0.5, 0.5]], [[0.25, 0.75]]])
    loss = MaskedXEntropyLoss()(
        predictions=probabilities, target=torch.tensor([[0], [1]]), mask=torch.tensor([[1], [0]])
    )
    assert loss == pytest.approx(0.6931472)


@pytest.mark.usefixtures("quiet_logging")
def test_a_chatbot_learns_its_dialogs_by_heart(dialogs: Path) -> None:
    random.seed(0)
    torch.manual_seed(0)
    data = DialogDataLayer(2, "talk", str(dialogs), min_count=1)
    words = len(data.voc)
    encoder = EncoderRNN(words, 1, 32, 0.0)
    decoder, greedy = (cls("dot", 32, words, 1, 0.0) for cls in (LuongAttnDecoderRNN, GreedyLuongAttnDecoderRNN))
    greedy.load_state_dict(decoder.state_dict())

    src, src_lengths, tgt, mask, longest = data()
    features, _ = encoder(input_seq=src, input_lengths=src_lengths)
    outputs, _ = decoder(targets=tgt, encoder_outputs=features, max_target_len=longest)
    loss = MaskedXEntropyLoss()(predictions=outputs, target=tgt, mask=mask)
    factory = NeuralModuleFactory()
    factory.train([loss], optimizer="adam", optimization_params={"num_epochs": 60, "lr": 0.02})
    assert max(value.item() for value in factory.infer([loss])[0]) < 0.1

    greedy.load_state_dict(decoder.state_dict())
    answers, _ = greedy(encoder_outputs=features)
    for answer, right in zip(*factory.infer([answers, tgt]), strict=True):
        rows = min(len(answer), len(right))
        assert (answer[:rows][right[:rows] != 0] == right[:rows][right[:rows] != 0]).all()
