"""Marks and capitals: NeMo's results, texts of any length, archives, learning, errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seaspeak.collections.nlp.models import PunctuationCapitalizationModel
from seaspeak.core import Model
from seaspeak.core.errors import ConfigError, DataError
from seaspeak.text.transcript import Segment, Transcript, Word
from tests.fixture import Fixture

FIXTURES = ("punctuation_capitalization_tiny", "punctuation_capitalization_windows_v123")
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghij", *(f"##{letter}" for letter in "abcdefghij")]


def tiny(folder: Path, **sections: object) -> PunctuationCapitalizationModel:
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(PIECES) + "\n")
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    encoder = {"model_type": "bert", "vocab_size": len(PIECES), "max_position_embeddings": 64, **size}
    torch.manual_seed(0)
    return PunctuationCapitalizationModel(
        {
            "tokenizer": {"tokenizer_name": "tiny", "vocab_file": str(vocabulary)},
            "language_model": {"pretrained_model_name": "tiny", "config": encoder},
            **sections,
        }
    ).eval()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> PunctuationCapitalizationModel:
    return tiny(tmp_path_factory.mktemp("tiny"))


@pytest.mark.parametrize("name", FIXTURES)
def test_logits_and_losses_are_nemos(shared: Path, name: str) -> None:
    fixture = Fixture(shared / "fixtures/nlp" / name)
    model = Model.restore_from(fixture.archive).eval()
    io = {key: torch.from_numpy(array) for key, array in fixture.io.items()}
    scored = model(**{key: io[key] for key in ("input_ids", "attention_mask", "token_type_ids")})
    fixture.assert_close("punct_logits", scored.punct_logits)
    fixture.assert_close("capit_logits", scored.capit_logits)
    losses = {}
    for number, head in enumerate(("punct", "capit"), 1):
        logits = getattr(scored, f"{head}_logits")
        loss = model.loss(logits=logits, labels=io[f"{head}_labels"], loss_mask=io["loss_mask"])
        fixture.assert_close(f"{head}_loss", loss)
        losses[f"loss_{number}"] = loss
    fixture.assert_close("loss", model.agg_loss(**losses))


def test_windows_of_a_given_size_give_nemos_texts(shared: Path) -> None:
    fixture = Fixture(shared / "fixtures/nlp/punctuation_capitalization_windows_v123")
    model = PunctuationCapitalizationModel.restore_from(fixture.archive)
    outputs = fixture.meta["text_outputs"]
    for arguments, expected in outputs["results"].items():
        assert model.add_punctuation_capitalization(outputs["texts"], **json.loads(arguments)) == expected


def test_texts_of_one_window_are_those_of_nemo_1_0(shared: Path) -> None:
    fixture = Fixture(shared / "fixtures/nlp/punctuation_capitalization_tiny")
    model = PunctuationCapitalizationModel.restore_from(fixture.archive)
    outputs = fixture.meta["text_outputs"]
    for size in (None, 2):
        expected = outputs["results"][f"batch_size={size}, max_seq_length=64"]
        assert model.add_punctuation_capitalization(outputs["texts"], batch_size=size) == expected


WORDS = st.lists(st.text("abcXY1é漢-'", min_size=1, max_size=9), max_size=120)


@settings(deadline=None, max_examples=15)
@given(words=WORDS, size=st.sampled_from([None, 3, 8, 20]), margin=st.integers(0, 2))
def test_no_word_is_dropped_or_changed(
    model: PunctuationCapitalizationModel, words: list[str], size: int | None, margin: int
) -> None:
    margin = 0 if size == 3 else margin
    kept = {} if size is None else {"max_seq_length": size, "margin": margin, "step": 2}
    (written,) = model.add_punctuation_capitalization([" ".join(words)], **kept)
    assert [word.rstrip(",.?").casefold() for word in written.split(" ") if word] == [w.casefold() for w in words]
    (labels,) = model.add_punctuation_capitalization([" ".join(words)], return_labels=True, **kept)
    assert len(labels.split()) == len(words)


def test_a_hundred_thousand_words_keep_their_number(model: PunctuationCapitalizationModel) -> None:
    assert len(model.add_punctuation_capitalization(["a b " * 50_000])[0].split()) == 100_000


def test_texts_do_not_depend_on_their_neighbours(model: PunctuationCapitalizationModel) -> None:
    texts = ["", "a", "abc de f " * 60, "  ghij  a "]
    together = model.add_punctuation_capitalization(texts, batch_size=3)
    assert together == [model.add_punctuation_capitalization([text])[0] for text in texts]
    assert model.add_punctuation_capitalization([]) == []


def test_capitals_inside_words_stay(model: PunctuationCapitalizationModel) -> None:
    (written,) = model.add_punctuation_capitalization(["iPhone NASA"])
    assert [word.strip(",.?")[1:] for word in written.split()] == ["Phone", "ASA"]


def test_transcripts_keep_their_times(model: PunctuationCapitalizationModel) -> None:
    words = tuple(Word(text, place, place + 0.5) for place, text in enumerate(["abc", "de", "f"]))
    before = Transcript("abc de f", (Segment("abc de", 0, 1.5, words[:2]), Segment("f", 2, 2.5, words[2:])), 3.0)
    (after,) = model.punctuate([before])
    assert after.text == model.add_punctuation_capitalization(["abc de f"])[0]
    times = [[(word.start, word.end) for word in segment.words] for segment in after.segments]
    assert times == [[(0, 0.5), (1, 1.5)], [(2, 2.5)]]


def test_an_archive_is_enough_to_restore(tmp_path: Path) -> None:
    model = tiny(tmp_path)
    model.save_to(tmp_path / "model.nemo")
    (tmp_path / "vocab.txt").unlink()
    again = PunctuationCapitalizationModel.restore_from(tmp_path / "model.nemo").eval()
    ids = torch.tensor([[2, 5, 6, 3]])
    assert torch.equal(again(input_ids=ids).punct_logits, model(input_ids=ids).punct_logits)
    assert again.artifact_bytes("class_labels.punct_labels_file") == b"O\n,\n.\n?"
    assert {name.split(".")[0] for name in again.state_dict()} == {"bert_model", "punct_classifier", "capit_classifier"}


def test_an_archive_without_tokenizer_says_so(tmp_path: Path) -> None:
    model = tiny(tmp_path)
    model.save_to(tmp_path / "model.nemo")
    config = PunctuationCapitalizationModel.restore_from(tmp_path / "model.nemo", return_config=True)
    config.tokenizer.vocab_file = None
    with pytest.raises(ConfigError, match="holds no tokenizer"):
        PunctuationCapitalizationModel.restore_from(tmp_path / "model.nemo", override_config_path=config)


def test_windows_without_middle_are_refused(model: PunctuationCapitalizationModel) -> None:
    for wrong in ({"max_seq_length": 2}, {"max_seq_length": 10, "margin": 4}, {"step": 0}):
        with pytest.raises(ConfigError):
            model.add_punctuation_capitalization(["abc"], **wrong)


def test_it_learns_from_plain_text(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "one.txt").write_text("Abc de, f. Gh ij?\n" * 60)
    data = {"plain_text": str(tmp_path / "texts"), "batch_size": 16, "seed": 0, "longest": 24}
    model = tiny(tmp_path, train_ds=data, validation_ds={**data, "window_words": 10}).train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(12):
        for batch in model.train_dataloader():
            optimizer.zero_grad()
            model.training_step(batch)["loss"].backward()
            optimizer.step()
    model.eval()
    log = model.multi_validation_epoch_end([model.validation_step(batch) for batch in model.val_dataloader()])["log"]
    assert log["punct_f1"] > 95
    assert log["capit_f1"] > 95
    assert {f"punct_f1_{mark}" for mark in "O,.?"} <= log.keys()


def test_two_files_with_an_unknown_label_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("abc de\n")
    (tmp_path / "labels.txt").write_text("OU !O\n")
    data = {"ds_item": str(tmp_path), "text_file": "text.txt", "labels_file": "labels.txt"}
    with pytest.raises(DataError, match="'!'"):
        tiny(tmp_path, train_ds=data)
    (tmp_path / "labels.txt").write_text("OU\n")
    with pytest.raises(DataError, match=r"labels\.txt:1"):
        tiny(tmp_path, train_ds=data)
