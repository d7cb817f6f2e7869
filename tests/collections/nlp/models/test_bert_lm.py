from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from seaspeak.collections.nlp.data.masked_lm import MaskedTextDataset
from seaspeak.collections.nlp.losses.smoothed_cross_entropy import SmoothedCrossEntropyLoss
from seaspeak.collections.nlp.models.bert_lm import BERTLMModel
from seaspeak.collections.nlp.modules.huggingface import get_lm_model
from seaspeak.core import Model
from seaspeak.core.errors import ConfigError, DataError, FileMissingError
from seaspeak.text.tokenizers import WordPieceTokenizer
from seaspeak.text.wordpiece import SPECIAL, train
from tests.fixture import Fixture

SENTENCES = ["the cat sat on the mat", "a dog ran in the park", "the sun is warm", "it was late at night"]


@pytest.fixture(scope="module")
def fixture(shared: Path) -> Fixture:
    return Fixture(shared / "fixtures/nlp/bert_lm_tiny")


@pytest.fixture(scope="module")
def restored(fixture: Fixture) -> BERTLMModel:
    model = Model.restore_from(fixture.archive)
    assert isinstance(model, BERTLMModel)
    return model.eval()


def config(folder: Path, **more: Any) -> dict[str, Any]:
    """A model of no size for the sentences, whose text and vocabulary lie in ``folder``."""
    (folder / "text.txt").write_text("\n".join(SENTENCES * 8))
    (folder / "vocab.txt").write_text("\n".join(train(SENTENCES, 70)))
    encoder = {"vocab_size": 70, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    encoder |= {"intermediate_size": 64, "max_position_embeddings": 32}
    encoder["vocab_size"] = len((folder / "vocab.txt").read_text().split("\n"))
    return {
        "tokenizer": {"tokenizer_name": "ours", "vocab_file": str(folder / "vocab.txt")},
        "language_model": {"pretrained_model_name": "ours", "config": encoder},
        "max_seq_length": 24,
        "train_ds": {"data_file": str(folder / "text.txt"), "batch_size": 16},
        "validation_ds": {"data_file": str(folder / "text.txt"), "batch_size": 16},
        "optim": {"name": "adamw", "lr": 3e-3},
        **more,
    }


def test_an_archive_of_nemo_gives_nemos_numbers(fixture: Fixture, restored: BERTLMModel) -> None:
    inputs = {key: torch.from_numpy(fixture.io[key]) for key in ("input_ids", "attention_mask", "token_type_ids")}
    with torch.no_grad():
        guesses = restored(**inputs)
    fixture.assert_close("mlm_log_probs", guesses.mlm_log_probs)
    fixture.assert_close("nsp_logits", guesses.nsp_logits)
    labels, mask, follows = (torch.from_numpy(fixture.io[key]) for key in ("output_ids", "output_mask", "nsp_labels"))
    mlm = restored.mlm_loss(log_probs=guesses.mlm_log_probs, labels=labels, output_mask=mask)
    nsp = restored.nsp_loss(logits=guesses.nsp_logits, labels=follows)
    fixture.assert_close("mlm_loss", mlm)
    fixture.assert_close("nsp_loss", nsp)
    fixture.assert_close("loss", mlm + nsp)


def test_keys_are_nemos_and_the_output_layer_stays_the_embeddings(
    fixture: Fixture, restored: BERTLMModel, tmp_path: Path
) -> None:
    from seaspeak.core.archive import Archive

    restored.save_to(tmp_path / "again.nemo")
    with Archive.open(fixture.archive) as first, Archive.open(tmp_path / "again.nemo") as second:
        nemos = {name for name in first.state_dict() if not name.endswith("position_ids")}
        assert set(second.state_dict()) == nemos
    again = BERTLMModel.restore_from(tmp_path / "again.nemo")
    table = again.bert_model.embeddings.word_embeddings.weight
    assert again.mlm_classifier.mlp.layer0.weight is table
    assert torch.equal(table, restored.bert_model.embeddings.word_embeddings.weight)


def test_only_mlm_has_no_second_head(tmp_path: Path) -> None:
    model = BERTLMModel(config(tmp_path, only_mlm_loss=True))
    assert not any("nsp" in name for name in model.state_dict())
    assert model(input_ids=torch.tensor([[2, 6, 3]])).nsp_logits is None
    assert torch.isfinite(model.training_step(next(iter(model.train_dataloader())))["loss"])


@pytest.mark.slow
def test_the_loss_falls_and_hidden_pieces_are_found(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = BERTLMModel(config(tmp_path))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    before = evaluate(model)
    for _ in range(50):
        for number, batch in enumerate(model.train_dataloader()):
            optimizer.zero_grad()
            model.training_step(batch, number)["loss"].backward()
            optimizer.step()
    after = evaluate(model)
    assert before["val_perplexity"] > 40  # any piece is as good as another
    assert after["val_perplexity"] < 0.4 * before["val_perplexity"]
    assert after["val_loss"] < before["val_loss"] - 0.9


def evaluate(model: BERTLMModel) -> dict[str, torch.Tensor]:
    model.eval()
    with torch.no_grad():
        outputs = [model.validation_step(batch) for batch in model.val_dataloader()]
    model.train()
    log: dict[str, torch.Tensor] = model.multi_validation_epoch_end(outputs)["log"]
    return log


def test_an_encoder_that_was_saved_is_one_to_start_from(tmp_path: Path) -> None:
    model = BERTLMModel(config(tmp_path)).eval()
    model.save_encoder(tmp_path / "encoder")
    encoder = get_lm_model(str(tmp_path / "encoder")).eval()
    ids = torch.tensor([[2, 6, 7, 3]])
    with torch.no_grad():
        again = encoder(input_ids=ids).last_hidden_states
        assert torch.equal(again, model.bert_model(input_ids=ids).last_hidden_states)
    assert (tmp_path / "encoder/vocab.txt").read_text() == (tmp_path / "vocab.txt").read_text() + "\n"


# --- data -----------------------------------------------------------------------------------------------------------


def dataset(folder: Path, *, lines: int = 400, **more: Any) -> MaskedTextDataset:
    """Lines of five words each; the words of a line are its number."""
    words = [f"w{chr(97 + number // 26 % 26)}{chr(97 + number % 26)}" for number in range(lines)]
    (folder / "lines.txt").write_text("\n\n".join(" ".join([word] * 5) for word in words))
    tokenizer = WordPieceTokenizer([*SPECIAL, *sorted(set(words))])
    return MaskedTextDataset(folder / "lines.txt", tokenizer, max_seq_length=32, **more)


def test_an_example_is_two_segments_with_some_pieces_hidden(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    torch.manual_seed(0)
    counts = torch.zeros(4)  # guessed, hidden, changed, all
    following = 0
    for index in range(300):
        hidden, types, ids, guessed, follows = data[index]
        assert len(ids) <= 32 and ids[0] == 2 and ids[-1] == 3 and (ids == 3).sum() == 2
        assert (types == (ids == 3).cumsum() - (ids == 3)).all()
        assert ((hidden == ids) | guessed).all()
        assert not guessed[(ids == 2) | (ids == 3)].any()
        place = list(ids).index(3)
        if follows:
            following += 1
            assert ids[place + 1] - ids[place - 1] in (0, 1)  # the same line cut, or the next
        counts += torch.tensor(
            [guessed.sum(), (hidden == 4).sum(), ((hidden != ids) & (hidden != 4)).sum(), len(ids) - 3.0]
        )
    assert counts[0] / counts[3] == pytest.approx(0.15, abs=0.02)
    assert counts[1] / counts[0] == pytest.approx(0.8, abs=0.05)
    assert counts[2] / counts[0] == pytest.approx(0.1, abs=0.04)
    assert 110 < following < 190


def test_examples_for_validation_are_always_the_same(tmp_path: Path) -> None:
    fixed, drawn = dataset(tmp_path, fixed=True), dataset(tmp_path)
    assert all((a == b).all() for a, b in zip(fixed[3][:4], fixed[3][:4], strict=True))
    torch.manual_seed(0)
    assert any(drawn[3][2].tolist() != drawn[3][2].tolist() for _ in range(5))


def test_a_batch_is_filled_up_behind_its_shorter_examples(tmp_path: Path) -> None:
    data = dataset(tmp_path, short_seq_prob=1.0, fixed=True)
    batch = data.collate([data[index] for index in range(8)])
    real = batch.attention_mask.bool()
    assert len(set(real.sum(1).tolist())) > 1
    assert (batch.input_ids[~real] == 0).all() and not batch.output_mask[~real].any()
    assert batch.nsp_labels.shape == (8,)


def test_what_data_lacks_is_named(tmp_path: Path) -> None:
    tokenizer = WordPieceTokenizer([*SPECIAL, "a"])
    with pytest.raises(FileMissingError, match=r"the text file .*gone\.txt does not exist"):
        MaskedTextDataset(tmp_path / "gone.txt", tokenizer)
    (tmp_path / "one.txt").write_text("a\n\n")
    with pytest.raises(DataError, match="at least two lines with text are needed"):
        MaskedTextDataset(tmp_path / "one.txt", tokenizer)
    (tmp_path / "two.txt").write_text("a\na\n")
    with pytest.raises(DataError, match="the tokenizer has no mask_token"):
        MaskedTextDataset([tmp_path / "two.txt"], WordPieceTokenizer(["[UNK]", "[CLS]", "[SEP]", "a"]))


def test_smoothed_loss_counts_what_is_masked_or_not_padding() -> None:
    torch.manual_seed(0)
    log_probs = torch.randn(2, 5, 7).log_softmax(-1)
    labels = torch.randint(1, 7, (2, 5))
    labels[0, 3:] = 0
    plain = torch.nn.functional.nll_loss(log_probs.flatten(0, 1), labels.flatten(), ignore_index=0)
    torch.testing.assert_close(SmoothedCrossEntropyLoss(pad_id=0)(log_probs=log_probs, labels=labels), plain)
    smooth = SmoothedCrossEntropyLoss(label_smoothing=0.1)
    everywhere = smooth(log_probs=log_probs, labels=labels, output_mask=torch.ones(2, 5))
    expected = torch.nn.functional.cross_entropy(log_probs.flatten(0, 1), labels.flatten(), reduction="none")
    share = 7 * 0.1 / 6
    by_hand = ((1 - share) * expected - share * log_probs.mean(-1).flatten()).mean()
    torch.testing.assert_close(everywhere, by_hand, rtol=1e-5, atol=1e-5)
    none = smooth(log_probs=log_probs, labels=labels, output_mask=torch.zeros(2, 5))
    assert none == 0
    with pytest.raises(ConfigError, match="which places count is not known"):
        SmoothedCrossEntropyLoss()(log_probs=log_probs, labels=labels)
