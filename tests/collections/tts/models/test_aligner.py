from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from seaspeak.collections.tts.models.aligner import AlignerModel
from seaspeak.core.errors import NeuralTypeError
from seaspeak.data import manifest

CONFIG = {
    "symbols_embedding_dim": 16,
    "text_tokenizer": {
        "_target_": "nemo.collections.common.tokenizers.text_to_speech.tts_tokenizers.EnglishCharsTokenizer",
        "pad_with_space": True,
    },
    "preprocessor": {
        "_target_": "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor",
        "sample_rate": 22050,
        "features": 20,
        "n_fft": 1024,
        "window_size": None,
        "n_window_size": 1024,
        "window_stride": None,
        "n_window_stride": 256,
        "normalize": None,
        "dither": 0.0,
        "pad_to": 1,
        "exact_pad": True,
        "mag_power": 1.0,
    },
    "alignment_encoder": {
        "_target_": "nemo.collections.tts.modules.aligner.AlignmentEncoder",
        "n_text_channels": 16,
        "n_mel_channels": 20,
        "n_att_channels": 16,
    },
}


@pytest.mark.slow
def test_alignment_is_learnt_and_durations_fill_the_recording(shared: Path, tmp_path: Path) -> None:
    lines = (shared / "data/kathleen/train.json").read_text().splitlines()[:60]
    entries = sorted((json.loads(line) for line in lines), key=lambda entry: entry["duration"])[:4]
    for entry in entries:
        entry["audio_filepath"] = str(shared / "data/kathleen" / entry["audio_filepath"])
    manifest.write(tmp_path / "few.json", entries)
    section = {
        "dataset": {"manifest_filepath": str(tmp_path / "few.json"), "sample_rate": 22050},
        "dataloader_params": {"batch_size": 4},
    }
    torch.manual_seed(0)
    model = AlignerModel(CONFIG)
    model.setup_training_data(section)
    batch = next(iter(model.train_dataloader()))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(60):
        loss = model.training_step(batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]
    assert model.write_durations(section, tmp_path) == 4
    for entry in entries:
        durations = torch.load(tmp_path / "durations" / f"{Path(entry['audio_filepath']).stem}.pt")
        assert len(durations) == len(model.vocab.encode(entry["text"])) and durations.min() >= 1
        assert 0 <= int(entry["duration"] * 22050) // 256 - int(durations.sum()) <= 1  # of an exact_pad front end


def test_ports_say_what_goes_in_and_out() -> None:
    model = AlignerModel(CONFIG)
    assert list(model.input_types) == ["spec", "spec_len", "text", "text_len", "attn_prior"]
    assert list(model.output_types) == ["attn_soft", "attn_logprob"]
    lengths = torch.tensor([7]), torch.tensor([3])
    attention = model(
        spec=torch.randn(1, 20, 7), spec_len=lengths[0], text=torch.ones(1, 3).long(), text_len=lengths[1]
    )
    assert attention.attn_soft.shape == attention.attn_logprob.shape == (1, 1, 7, 3)
    with pytest.raises(NeuralTypeError, match="'text' of AlignerModel"):
        model(spec=attention.attn_soft[:, 0], spec_len=lengths[0], text=attention.attn_soft, text_len=lengths[1])
