"""A voice of no size: real classes with random weights, which murmur but speak every word in its time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

BANDS = 24


def mel_section(**changes: Any) -> dict[str, Any]:
    """The front end of both models."""
    section = {
        "_target_": "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor",
        "features": BANDS,
        "lowfreq": 0,
        "highfreq": 8000,
        "n_fft": 1024,
        "n_window_size": 1024,
        "window_size": False,
        "n_window_stride": 256,
        "window_stride": False,
        "pad_to": 1,
        "sample_rate": 22050,
        "window": "hann",
        "normalize": None,
        "preemph": None,
        "dither": 0.0,
        "log": True,
        "log_zero_guard_type": "add",
        "log_zero_guard_value": 1e-05,
        "mag_power": 1.0,
    }
    return section | changes


def generator(**front_end: Any) -> Any:
    """A FastPitch that reads English in letters; every letter lasts a few frames."""
    from seaspeak.collections.tts.models import FastPitchModel

    bands = front_end.get("features", BANDS)
    layers = {"n_layer": 1, "n_head": 1, "d_model": 16, "d_head": 8, "d_inner": 16, "kernel_size": 3}
    layers |= {"dropout": 0.0, "dropatt": 0.0, "dropemb": 0.0}
    predictor = {"_target_": "nemo.collections.tts.modules.fastpitch.TemporalPredictor"}
    predictor |= {"input_size": 16, "kernel_size": 3, "filter_size": 8, "dropout": 0.0, "n_layers": 2}
    transformer = "nemo.collections.tts.modules.transformer.FFTransformer"
    cfg = {
        "learn_alignment": False,
        "n_speakers": 1,
        "symbols_embedding_dim": 16,
        "max_token_duration": 75,
        "n_mel_channels": bands,
        "pitch_embedding_kernel_size": 3,
        "pitch_fmin": 65.4,
        "pitch_fmax": 2093.0,
        "pitch_mean": 200.0,
        "pitch_std": 60.0,
        "preprocessor": mel_section(**front_end),
        "text_tokenizer": {
            "_target_": "nemo.collections.common.tokenizers.text_to_speech.tts_tokenizers.EnglishCharsTokenizer",
            "punct": True,
            "apostrophe": True,
            "pad_with_space": True,
        },
        "input_fft": {"_target_": f"{transformer}Encoder", **layers, "d_embed": 16, "n_embed": 64, "padding_idx": 0},
        "output_fft": {"_target_": f"{transformer}Decoder", **layers},
        "duration_predictor": predictor,
        "pitch_predictor": predictor,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = FastPitchModel(OmegaConf.create(cfg)).eval()
    with torch.no_grad():
        model.fastpitch.duration_predictor.fc.bias.fill_(1.8)  # log(1 + 5 frames)
    return model


def vocoder(**front_end: Any) -> Any:
    """A HiFi-GAN of the third kind, narrow."""
    from seaspeak.collections.tts.models import HifiGanModel

    cfg = {
        "preprocessor": mel_section(**front_end),
        "generator": {
            "_target_": "nemo.collections.tts.modules.hifigan_modules.Generator",
            "initial_input_size": front_end.get("features", BANDS),
            "resblock": 2,
            "upsample_rates": [8, 8, 4],
            "upsample_kernel_sizes": [16, 16, 8],
            "upsample_initial_channel": 16,
            "resblock_kernel_sizes": [3],
            "resblock_dilation_sizes": [[1, 2]],
        },
        "discriminators": False,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return HifiGanModel(OmegaConf.create(cfg)).eval()


def archives(folder: Path) -> dict[str, Path]:
    """Write both, and return where they are, by the name of their stage."""
    found = {"tts": folder / "generator.nemo", "vocoder": folder / "vocoder.nemo"}
    for stage, make in (("tts", generator), ("vocoder", vocoder)):
        make().save_to(found[stage])
    return found
