"""``seaspeak train --config`` for every packaged configuration of a vocoder, and of Tacotron 2, made narrow."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner

from seaspeak.cli.main import app
from seaspeak.collections.tts.models import HifiGanModel, Tacotron2Model, Vocoder, WaveGlowModel
from seaspeak.core import Model

HIFIGAN = ["debug=true", "generator.upsample_initial_channel=16"]
TACOTRON2 = ["embedding_dim=16", "postnet.postnet_embedding_dim=16", "decoder.max_decoder_steps=40"]
TACOTRON2 += [f"decoder.{key}=16" for key in ("prenet_dim", "attention_rnn_dim", "decoder_rnn_dim")]
WAVEGLOW = ["waveglow.n_wn_channels=8", "waveglow.n_wn_layers=2", "waveglow.n_flows=4", "waveglow.n_early_every=2"]
RECIPES: dict[str, tuple[type[Model], list[str]]] = {
    **{f"hifigan_v{version}": (HifiGanModel, HIFIGAN) for version in (1, 2, 3)},
    "tacotron2": (Tacotron2Model, TACOTRON2),
    "waveglow": (WaveGlowModel, WAVEGLOW),
}
SETS = ("train_ds", "validation_ds")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four tones that glide, with words."""
    folder = tmp_path_factory.mktemp("tones")
    lines = []
    for number in range(4):
        time = np.arange(8192) / 22050
        soundfile.write(
            folder / f"{number}.wav", 0.4 * np.sin(2 * np.pi * (150 + 60 * number + 90 * time) * time), 22050
        )
        lines.append({"audio_filepath": f"{number}.wav", "duration": 8192 / 22050, "text": "a tone"})
    path = folder / "manifest.json"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning")  # Lightning 2.6 on torch 2.13
@pytest.mark.parametrize("config", RECIPES)
def test_a_recipe_trains_goes_on_and_leaves_an_archive_that_loads(
    config: str, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kind, changes = RECIPES[config]
    changes = [*changes, *(f"{name}.dataset.manifest_filepath={manifest}" for name in SETS)]
    changes += [f"{name}.dataloader_params={{batch_size: 2}}" for name in SETS]
    if issubclass(kind, Vocoder):
        changes += [f"++{name}.dataset.{key}" for name in SETS for key in ("n_segments=2048", "min_duration=0")]
    overrides = ["++model." + one[2:] if one.startswith("++") else f"model.{one}" for one in changes]
    command = ["train", "--config", config, *overrides, "trainer.accelerator=cpu"]
    command += ["exp_manager.create_tensorboard_logger=false"]
    a_batch = 2 if kind is HifiGanModel else 1  # optimisers take a step each

    for batches in (2, 4):
        done = CliRunner().invoke(app, [*command, f"trainer.max_steps={batches * a_batch}"])
        assert done.exit_code == 0, done.output
    assert f"step_{2 * a_batch}-last.ckpt" in done.stderr.splitlines()[0]
    archive = tmp_path / "seaspeak_experiments" / config / "checkpoints" / f"{config}.nemo"
    assert isinstance(Model.restore_from(archive), kind)
    part = "vocoder" if issubclass(kind, Vocoder) else "tts"
    assert done.stdout.endswith(f'speak "Hello." -o hello.wav --{part} {archive.relative_to(tmp_path)}\n')
    (checkpoint,) = archive.parent.glob("*-last.ckpt")
    kept = torch.load(checkpoint, map_location="cpu", weights_only=False)
    assert [int(state["state"][0]["step"]) for state in kept["optimizer_states"]] == [4] * a_batch
