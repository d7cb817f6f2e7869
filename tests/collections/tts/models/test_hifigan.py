from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from seaspeak.audio.io import read
from seaspeak.collections.tts.models import HifiGanModel
from seaspeak.core import Model
from seaspeak.core.errors import ConfigError, ModelError
from seaspeak.training.hydra import compose
from tests.fixture import Fixture

FIXTURES = ("hifigan_v1_tiny", "hifigan_v3_tiny")


def small(config: str = "hifigan_v1", **model: Any) -> Any:
    """A packaged configuration with a small network and without data."""
    cfg = compose(config)
    cfg.model.generator.upsample_initial_channel = 32
    cfg.model.n_mels = 24
    cfg.model.train_ds = cfg.model.validation_ds = None
    cfg.model.debug = True
    OmegaConf.set_struct(cfg, False)
    return OmegaConf.create(OmegaConf.to_container(OmegaConf.merge(cfg, {"model": model}), resolve=True)).model


def make(config: str = "hifigan_v1", **changes: Any) -> HifiGanModel:
    torch.manual_seed(0)
    return HifiGanModel(cfg=small(config, **changes)).eval()


@pytest.mark.parametrize("name", FIXTURES)
def test_sound_and_spectrograms_are_nemos(shared: Path, name: str) -> None:
    fixture = Fixture(shared / "fixtures/tts" / name)
    model = Model.restore_from(fixture.archive)
    assert isinstance(model, HifiGanModel)
    model.eval()
    spec = torch.from_numpy(fixture.io["spec"])
    fixture.assert_close("audio_from_convert_spectrogram_to_audio", model.convert_spectrogram_to_audio(spec=spec))
    fixture.assert_close("audio", model.generator.plain(spec).squeeze(1))
    wave, length = (torch.from_numpy(fixture.io[key]) for key in ("wave", "wave_length"))
    mel, frames = model.audio_to_melspec_precessor(wave, length)
    fixture.assert_close("mel_of_wave", mel)
    fixture.assert_close("mel_of_wave_length", frames)
    fixture.assert_close("loss_mel_of_wave", model.trg_melspec_fn(wave, length)[0])


def test_gradients_reach_the_generator_through_the_loss_spectrogram() -> None:
    model = make()
    made = torch.randn(1, 4096, requires_grad=True)
    model.trg_melspec_fn(made, torch.tensor([4096]))[0].sum().backward()
    assert made.grad is not None and bool(made.grad.isfinite().all())
    assert float(made.grad.abs().max()) > 0


@pytest.mark.parametrize("frames", [1, 5, 31, 64])
def test_streamed_chunks_make_up_the_whole(frames: int) -> None:
    model = make()
    spec = torch.randn(2, 24, frames)
    whole = model.convert_spectrogram_to_audio(spec=spec)
    chunks = list(model.stream(spec, first=4, largest=16))
    assert len(chunks) > (frames > 6)
    torch.testing.assert_close(torch.cat(chunks, dim=1), whole, rtol=0, atol=1e-6)


def test_a_batch_is_what_its_items_are_alone() -> None:
    model = make()
    spec = torch.randn(2, 24, 9)
    both = model.convert_spectrogram_to_audio(spec=spec)
    for item, together in zip(spec, both, strict=True):
        torch.testing.assert_close(model.convert_spectrogram_to_audio(spec=item[None])[0], together, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "fix"), [((1, 80, 9), "24 bands"), ((24, 9), r"spec\[None\]"), ((1, 9, 24), r"transpose\(1, 2\)")]
)
def test_a_spectrogram_of_another_shape_is_refused(shape: tuple[int, ...], fix: str) -> None:
    with pytest.raises(ModelError, match=fix):
        make().convert_spectrogram_to_audio(spec=torch.zeros(shape))


def test_a_configuration_without_generator_is_refused() -> None:
    with pytest.raises(ConfigError, match="lacks generator"):
        HifiGanModel(cfg={"preprocessor": small().preprocessor})


# --- archives -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_what_is_saved_is_what_is_restored(tmp_path: Path, storage: Any) -> None:
    model, path = make(), tmp_path / "model.nemo"
    model.save_to(path, storage=storage)
    again = HifiGanModel.restore_from(path).eval()
    spec = torch.randn(1, 24, 9)
    expected = model.convert_spectrogram_to_audio(spec=spec)
    tolerance = 1e-6 if storage == "float32" else 1e-2
    assert float((again.convert_spectrogram_to_audio(spec=spec) - expected).abs().max()) <= tolerance * float(
        expected.abs().max()
    )
    assert list(again.state_dict()) == list(model.state_dict())
    assert again.cfg.train_ds.dataset._target_  # NeMo's class looks for it


def adapted(state: dict[str, torch.Tensor], config: Any) -> HifiGanModel:
    config.target = "nemo.collections.tts.models.hifigan.HifiGanModel"
    config.seaspeak = {"recipe": "current", "nemo_version": config.get("nemo_version")}
    model = HifiGanModel._around(config, state, "cpu", True, "the test", None)
    return model.eval()


def flat(name: str) -> str:
    """A key as NeMo's first archives and the authors have it: residual blocks counted through."""
    parts = name.split(".")
    if "resblocks" in parts:
        at = parts.index("resblocks") + 1
        parts[at : at + 2] = [str(3 * int(parts[at]) + int(parts[at + 1]))]
    return ".".join(parts)


@pytest.mark.parametrize("config", ["hifigan_v1", "hifigan_v3"])
def test_the_authors_generator_alone_makes_a_model_that_speaks(config: str) -> None:
    model = make(config)
    state = {flat(name): tensor for name, tensor in model.generator.state_dict().items()}
    assert "resblocks.7.convs1.0.weight_g" in state or "resblocks.7.convs.0.weight_g" in state
    again = adapted(state, small(config))
    spec = torch.randn(1, 24, 5)
    torch.testing.assert_close(
        again.convert_spectrogram_to_audio(spec=spec), model.convert_spectrogram_to_audio(spec=spec)
    )
    assert not hasattr(again, "mpd")
    torch.testing.assert_close(again.audio_to_melspec_precessor.fb, model.audio_to_melspec_precessor.fb)


def test_old_archives_with_blocks_counted_through_load_with_their_discriminators() -> None:
    model = make()
    again = adapted({flat(name): tensor for name, tensor in model.state_dict().items()}, small())
    assert list(again.state_dict()) == list(model.state_dict())
    for name, tensor in again.state_dict().items():
        torch.testing.assert_close(tensor, model.state_dict()[name])


def test_keys_are_nemos() -> None:
    keys = set(make().state_dict())
    assert {
        "generator.conv_pre.bias",
        "generator.ups.3.weight_v",
        "generator.resblocks.3.2.convs2.2.weight_g",
        "mpd.discriminators.4.convs.4.weight_v",
        "msd.discriminators.0.convs.6.weight_orig",
        "msd.discriminators.0.conv_post.weight_u",
        "msd.discriminators.2.conv_post.weight_g",
        "audio_to_melspec_precessor.window",
        "trg_melspec_fn.fb",
    } <= keys


# --- training -------------------------------------------------------------------------------------------------------


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """A manifest of four tones that glide, with the spectrogram of each."""
    import soundfile

    model = make()
    lines = []
    for number in range(4):
        time = np.arange(16384) / 22050
        tone = 0.4 * np.sin(2 * np.pi * (150 + 60 * number + 90 * time) * time) * (1 + 0.3 * np.sin(40 * time))
        soundfile.write(tmp_path / f"{number}.wav", tone, 22050)
        samples = torch.from_numpy(tone.astype(np.float32))[None]
        mel, _ = model.audio_to_melspec_precessor(samples, torch.tensor([samples.shape[1]]))
        np.save(tmp_path / f"{number}.npy", mel[0].numpy())
        lines.append({"audio_filepath": f"{number}.wav", "duration": 16384 / 22050, "mel_filepath": f"{number}.npy"})
    path = tmp_path / "manifest.json"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def section(manifest: Path, *, mels: bool = False, batch: int = 4) -> dict[str, Any]:
    return {
        "dataset": {
            "_target_": "nemo.collections.tts.data.dataset.VocoderDataset",
            "manifest_filepath": str(manifest),
            "sample_rate": 22050,
            "n_segments": 2048,
            "load_precomputed_mel": mels,
            "hop_length": 256,
        },
        "dataloader_params": {"batch_size": batch, "shuffle": True, "seed": 1},
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning")  # Lightning 2.6 on torch 2.13
@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
def test_a_small_model_learns(recordings: Path, tmp_path: Path) -> None:
    import lightning.pytorch as pl

    torch.manual_seed(1)
    data = section(recordings)
    changes = {"max_steps": 20, "train_ds": data, "validation_ds": data, "optim": {"lr": 0.002}}
    trainer = pl.Trainer(
        max_epochs=20,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        check_val_every_n_epoch=20,
        log_every_n_steps=1,
    )
    model = HifiGanModel(cfg=small(**changes), trainer=trainer)
    before = distance(model, recordings)
    trainer.fit(model)
    assert distance(model, recordings) < 0.7 * before
    assert {"val_loss", "g_l1_loss", "d_loss_mpd", "d_loss_msd", "g_loss_fm_mpd", "lr"} <= set(model.logged) | set(
        trainer.callback_metrics
    )
    model.save_to(tmp_path / "trained.nemo")
    again = HifiGanModel.restore_from(tmp_path / "trained.nemo")
    assert hasattr(again, "mpd") and again.cfg.train_ds is not None


@torch.no_grad()
def distance(model: HifiGanModel, recordings: Path) -> float:
    """Mean distance of log-mel values between a recording and what is made of its spectrogram."""
    samples = torch.from_numpy(read(recordings.parent / "0.wav").samples)[None]
    length = torch.tensor([samples.shape[1]])
    mel, _ = model.audio_to_melspec_precessor(samples, length)
    made = model.generator.plain(mel).squeeze(1)
    return float((model.audio_to_melspec_precessor(made, length)[0] - mel).abs().mean())


def test_a_model_that_only_speaks_gets_discriminators_when_it_is_trained() -> None:
    model = make(discriminators=False)
    assert not hasattr(model, "mpd")
    generator, judges = model.configure_optimizers()[0]
    assert hasattr(model, "mpd") and model.cfg.discriminators
    counts = [sum(p.numel() for group in one.param_groups for p in group["params"]) for one in (generator, judges)]
    assert counts == [
        sum(p.numel() for p in part.parameters())
        for part in (model.generator, torch.nn.ModuleList([model.mpd, model.msd]))
    ]
