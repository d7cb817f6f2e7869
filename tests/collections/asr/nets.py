"""A recogniser small enough for tests: random weights, varied output, every part of a real one."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from seaspeak.collections.asr.models import EncDecCTCModel

LABELS = [" ", *"abcdefghijklmnopqrstuvwxyz", "'"]


def tiny_config(**changes: Any) -> dict[str, Any]:
    common = {"dilation": [1], "dropout": 0.0, "separable": True}
    config: dict[str, Any] = {
        "sample_rate": 16000,
        "labels": LABELS,
        "preprocessor": {
            "_target_": "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor",
            "features": 16,
            "n_fft": 512,
            "dither": 1e-5,
            "pad_to": 16,
        },
        "encoder": {
            "_target_": "nemo.collections.asr.modules.ConvASREncoder",
            "feat_in": 16,
            "activation": "relu",
            "jasper": [
                {"filters": 16, "repeat": 1, "kernel": [11], "stride": [2], "residual": False, **common},
                {"filters": 16, "repeat": 2, "kernel": [13], "stride": [1], "residual": True, **common},
                {"filters": 24, "repeat": 1, "kernel": [1], "stride": [1], "residual": False, **common},
            ],
        },
        "decoder": {
            "_target_": "nemo.collections.asr.modules.ConvASRDecoder",
            "feat_in": None,
            "num_classes": 28,
            "vocabulary": LABELS,
        },
        "optim": {"name": "adamw", "lr": 0.01},
    }
    return config | changes


def tiny_model(*, seed: int = 0, **changes: Any) -> EncDecCTCModel:
    torch.manual_seed(seed)
    model = EncDecCTCModel(cfg=tiny_config(**changes)).eval()
    for layer in model.encoder.modules():
        if isinstance(layer, nn.BatchNorm1d):
            nn.init.normal_(layer.running_mean, 0.0, 0.3)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
    nn.init.normal_(model.decoder.decoder_layers[0].weight, 0.0, 1.0)
    return model
