"""WhisperModel: recognition, training, archives; and the recogniser that ships."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from seaspeak.collections.asr.models import ASRModel, WhisperModel
from seaspeak.core.errors import ConfigError, DataError
from seaspeak.text.bytepair import ALPHABET, SPECIAL, BytePairTokenizer

TOKENIZER = BytePairTokenizer(
    [*SPECIAL, *ALPHABET, " a", "th", "the", " the"], [(" ", "a"), ("t", "h"), ("th", "e"), (" ", "the")]
)
WIDTH = 32


def config(folder: Path, **changes: Any) -> dict[str, Any]:
    (folder / "bytepair.json").write_bytes(TOKENIZER.to_bytes())
    modules = "seaspeak.collections.asr.modules"
    blocks = {"d_model": WIDTH, "num_heads": 2, "num_layers": 2}
    return {
        "sample_rate": 16000,
        "tokenizer": {"model_path": str(folder / "bytepair.json")},
        "preprocessor": {"_target_": f"{modules}.WhisperMelPreprocessor", "features": 20},
        "encoder": {"_target_": f"{modules}.WhisperEncoder", "feat_in": 20, "max_frames": 200, **blocks},
        "decoder": {"_target_": f"{modules}.WhisperDecoder", "max_tokens": 64, **blocks},
        "decoding": {"alignment_heads": [[0, 1], [1, 0]]},
        "max_seconds": 4.0,
        **changes,
    }


@pytest.fixture
def model(tmp_path: Path) -> WhisperModel:
    torch.manual_seed(5)
    made = WhisperModel(config(tmp_path)).eval()
    torch.nn.init.normal_(made.decoder.positions, std=0.5)
    return made


def tone(pitch: float, seconds: float) -> np.ndarray:
    time = np.arange(int(16000 * seconds)) / 16000
    return (0.3 * np.sin(2 * np.pi * pitch * time)).astype(np.float32)


def test_a_batch_gives_what_each_clip_gives_alone(model: WhisperModel) -> None:
    signals = [tone(300, 1.5), tone(900, 0.2), np.zeros(8000, np.float32), tone(2000, 3.9), tone(50, 0.001)]

    together, alone = model.recognise(signals), [model.recognise([signal])[0] for signal in signals]

    assert [transcript.text for transcript in together] == [transcript.text for transcript in alone]
    for one, other in zip(together, alone, strict=True):
        assert [word.text for word in one.words] == [word.text for word in other.words]
        assert one.word_confidence == pytest.approx(other.word_confidence, rel=1e-4)


def test_words_have_times_in_order_within_the_clip_and_the_text_is_theirs(model: WhisperModel) -> None:
    for transcript in model.recognise([tone(300, 1.5), tone(1900, 3.2)]):
        assert transcript.text == " ".join(word.text for word in transcript.words) != ""
        for word in transcript.words:
            assert 0 <= word.start <= word.end <= transcript.duration
            assert "".join(token.text for token in word.tokens).strip() == word.text
            assert 0 < word.confidence <= 1
        starts = [word.start for word in transcript.words]
        assert starts == sorted(starts)


def test_silence_is_not_even_listened_to(model: WhisperModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "encode", None)
    quiet = 1e-5 * np.random.default_rng(0).standard_normal(9000).astype(np.float32)
    assert [str(t) for t in model.recognise([np.zeros(16000, np.float32), quiet])] == ["", ""]
    assert model.recognise([quiet])[0].duration == 9000 / 16000


def test_where_nothing_is_written_the_transcript_is_empty(model: WhisperModel) -> None:
    with torch.no_grad():  # the end mark is always the likeliest
        model.decoder.norm.weight.zero_()
        model.decoder.norm.bias.copy_(model.decoder.embedding.weight[model.end])
    transcript = model.recognise([tone(300, 1.0)])[0]
    assert (transcript.text, transcript.segments, transcript.duration) == ("", (), 1.0)


def test_teaching_shifts_the_text_by_one_and_forgets_the_padding(model: WhisperModel) -> None:
    end, start, plain = 0, 1, 2
    inputs, targets = model.teaching(torch.tensor([[7, 8, 9], [6, 5, 5]]), torch.tensor([3, 1]))
    assert inputs.tolist() == [[start, plain, 7, 8, 9], [start, plain, 6, end, end]]
    assert targets.tolist() == [[-100, 7, 8, 9, end], [-100, 6, end, -100, -100]]


def test_forward_scores_the_piece_after_each(model: WhisperModel) -> None:
    signal, length = torch.from_numpy(tone(300, 1.0))[None], torch.tensor([16000])
    logits = model(input_signal=signal, input_signal_length=length, tokens=torch.tensor([[1, 2, 7, 8]]))
    assert logits.shape == (1, 4, len(TOKENIZER))


def test_it_learns_two_clips_by_heart_by_its_own_training_step(model: WhisperModel) -> None:
    signals, texts = [tone(300, 0.6), tone(1500, 0.8)], ["the cat", "a nut then"]
    pieces = [torch.tensor(TOKENIZER.ids(text)) for text in texts]
    batch = (
        torch.nn.utils.rnn.pad_sequence([torch.from_numpy(signal) for signal in signals], batch_first=True),
        torch.tensor([len(signal) for signal in signals]),
        torch.nn.utils.rnn.pad_sequence(pieces, batch_first=True, padding_value=-1),
        torch.tensor([len(ids) for ids in pieces]),
    )
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=3e-3)
    for step in range(80):
        loss = model.training_step(batch, step)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    assert [str(transcript) for transcript in model.eval().recognise(signals)] == texts
    results = model.multi_validation_epoch_end([model.validation_step(batch)])["log"]
    assert results["val_wer"] == 0 and results["val_loss"] < 0.3


def test_it_trains_from_a_manifest_with_augmentation(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "clip.wav", tone(300, 1.0), 16000)
    lines = [{"audio_filepath": "clip.wav", "duration": 1.0, "text": text} for text in ("the cat", "a nut")]
    (tmp_path / "train.json").write_text("\n".join(map(json.dumps, lines)))
    section = {"manifest_filepath": str(tmp_path / "train.json"), "sample_rate": 16000, "batch_size": 2}
    augment = {
        "_target_": "nemo.collections.asr.modules.SpectrogramAugmentation",
        "freq_masks": 2, "freq_width": 4, "time_masks": 2, "time_width": 9,
    }  # fmt: skip
    model = WhisperModel(config(tmp_path, train_ds=section, spec_augment=augment)).train()

    batch = next(iter(model.train_dataloader()))
    loss = model.training_step(batch)["loss"]
    loss.backward()

    assert torch.isfinite(loss) and model.logged["train_loss"] == loss
    assert all(weight.grad is not None for weight in model.parameters())


@pytest.mark.parametrize("storage", ["float32", "int8"])
def test_an_archive_gives_the_same_model(model: WhisperModel, tmp_path: Path, storage: Any) -> None:
    model.save_to(tmp_path / "model.nemo", storage=storage)
    (tmp_path / "bytepair.json").unlink()  # the archive has its own

    again = ASRModel.restore_from(tmp_path / "model.nemo", map_location="cpu").eval()

    assert isinstance(again, WhisperModel)
    assert again.tokenizer.pieces == TOKENIZER.pieces
    for name, weight in model.state_dict().items():
        step = 0.0 if storage == "float32" else float(weight.abs().max()) / 127
        assert torch.allclose(again.state_dict()[name], weight, atol=step + 1e-3 * step, rtol=1e-3 if step else 0.0)
    if storage == "float32":
        assert again.recognise([tone(300, 1.0)])[0] == model.recognise([tone(300, 1.0)])[0]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    wrong = config(tmp_path)
    del wrong["decoder"], wrong["tokenizer"]
    with pytest.raises(ConfigError, match="lacks decoder, tokenizer"):
        WhisperModel(wrong)


def test_training_data_with_other_characters_is_refused(tmp_path: Path, model: WhisperModel) -> None:
    soundfile.write(tmp_path / "clip.wav", tone(300, 1.0), 16000)
    line = {"audio_filepath": str(tmp_path / "clip.wav"), "duration": 1.0, "text": "room 101"}
    (tmp_path / "train.json").write_text(json.dumps(line))
    section = {"manifest_filepath": str(tmp_path / "train.json"), "sample_rate": 16000, "batch_size": 1}
    with pytest.raises(DataError, match="cannot spell '1'"):
        model.setup_training_data(section)
        next(iter(model.train_dataloader()))
