"""The recipes of a voice one after the other: durations by the aligner, then FastPitch from them, interrupted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from seaspeak.cli.main import app
from seaspeak.collections.tts.models import AlignerModel, FastPitchModel
from seaspeak.core import Model
from seaspeak.data import manifest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning"),  # Lightning 2.6 on torch 2.13
]
NARROW = ["symbols_embedding_dim=16", "input_fft.n_layer=1", "output_fft.n_layer=1", "input_fft.d_inner=16"]
NARROW += ["output_fft.d_inner=16", "duration_predictor.filter_size=16", "pitch_predictor.filter_size=16"]


@pytest.fixture(scope="module")
def clips(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four short clips of a voice, whose texts with punctuation are under a key of their own."""
    lines = (shared / "data/kathleen/train.json").read_text().splitlines()[:60]
    entries = sorted((json.loads(line) for line in lines), key=lambda entry: entry["duration"])[:4]
    for entry in entries:
        entry["audio_filepath"] = str(shared / "data/kathleen" / entry["audio_filepath"])
    path = tmp_path_factory.mktemp("clips") / "four.json"
    manifest.write(path, entries)
    return path


def train(config: str, clips: Path, *overrides: str) -> Path:
    """Run the command, and return the archive that it leaves."""
    command = ["train", "--config", config, "sup_data_path=sup", "text_field=raw_text", "trainer.accelerator=cpu"]
    for name in ("train_ds", "validation_ds"):
        command += [f"model.{name}.dataset.manifest_filepath={clips}", f"model.{name}.dataloader_params.num_workers=0"]
    done = CliRunner().invoke(app, [*command, *overrides])
    assert done.exit_code == 0, done.output
    return Path(done.stdout.split("model    ")[1].splitlines()[0])


def test_aligner_then_fastpitch_interrupted_and_not(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    aligner = AlignerModel.restore_from(train("aligner", clips, "trainer.max_epochs=2"))
    entries = [json.loads(line) for line in clips.read_text().splitlines()]
    for entry in entries:
        durations = torch.load(tmp_path / "sup/durations" / f"{Path(entry['audio_filepath']).stem}.pt")
        said = aligner.text_normalizer(entry["raw_text"])
        assert len(durations) == len(aligner.vocab.encode(said)) > len(aligner.vocab.encode(entry["text"]))
        assert 0 <= int(entry["duration"] * 22050) // 256 - int(durations.sum()) <= 1

    changes = [f"model.{change}" for change in NARROW] + ["sup_data_types=[durations,pitch]"]
    changes += ["+model.optim.sched.max_steps=4", "model.listening.sentences=1"]
    straight = FastPitchModel.restore_from(
        train("fastpitch", clips, *changes, "trainer.max_steps=4", "exp_manager.name=straight")
    )
    train("fastpitch", clips, *changes, "trainer.max_steps=2")
    resumed = Model.restore_from(archive := train("fastpitch", clips, *changes, "trainer.max_steps=4"))
    assert isinstance(resumed, FastPitchModel)
    torch.testing.assert_close(resumed.state_dict(), straight.state_dict(), rtol=0, atol=0)

    folder = archive.parents[1]
    header, *rows = (line.split(",") for line in (folder / "metrics.csv").read_text().splitlines())
    misheard = [float(row[header.index("val_cer")]) for row in rows if row[header.index("val_cer")]]
    assert misheard and all(share >= 0 for share in misheard)
    events = b"".join(path.read_bytes() for path in folder.glob("events*"))
    assert all(name in events for name in (b"val_mel_target", b"val_mel_predicted"))
