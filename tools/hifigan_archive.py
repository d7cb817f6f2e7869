"""Make the archive of a vocoder that ships from the authors' generator.

python tools/hifigan_archive.py generator_universal.pth.tar seaspeak_en_hifigan.nemo
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from seaspeak.collections.tts.models import HifiGanModel
from seaspeak.core import archive
from seaspeak.training.hydra import compose

_KEPT = ("preprocessor", "generator", "sample_rate", "l1_loss_factor", "optim", "max_steps")


def vocoder(generator: Path) -> HifiGanModel:
    """Return the model around a generator's file, with the front end that it was trained with."""
    section: Any = OmegaConf.to_container(compose("hifigan_v1").model, resolve=False)
    values = OmegaConf.to_container(OmegaConf.create({"model": section}), resolve=True, throw_on_missing=False)["model"]
    config = OmegaConf.create({key: values[key] for key in _KEPT})
    config.nemo_version = "3.0.0"
    config.seaspeak = {"recipe": "1.0", "nemo_version": "3.0.0"}  # mirrored edges, every frame
    config.discriminators = False
    model = HifiGanModel(cfg=config)
    state = torch.load(generator, map_location="cpu", weights_only=True)["generator"]
    _, state = HifiGanModel.adapt(model.cfg, state)
    model.load_state_dict(state)
    return model


def main() -> None:
    """Write the archive, without what can be computed."""
    source, target = map(Path, sys.argv[1:])
    model = vocoder(source)
    state = {name: tensor for name, tensor in model.state_dict().items() if name.startswith("generator.")}
    archive.write(target, model._config_to_save(), state, {}, "int8")


if __name__ == "__main__":
    main()
