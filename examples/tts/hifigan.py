"""Train a HiFi-GAN vocoder on recordings; no transcripts are needed.

python examples/tts/hifigan.py \
    model.train_ds.dataset.manifest_filepath=train.json model.validation_ds.dataset.manifest_filepath=dev.json

``--config-name`` takes hifigan_v1, hifigan_v2 or hifigan_v3, or a file in ``conf``. For fine-tuning on the spectrograms
of a generator see the comment at the top of those configurations.
"""

import pytorch_lightning as pl
from omegaconf import DictConfig

from seaspeak.collections.tts.models import HifiGanModel
from seaspeak.training import exp_manager, hydra_runner


@hydra_runner(config_path="conf", config_name="hifigan_v1")
def main(cfg: DictConfig) -> None:
    trainer = pl.Trainer(**cfg.trainer)
    exp_manager(trainer, cfg.get("exp_manager"))
    model = HifiGanModel(cfg=cfg.model, trainer=trainer)
    trainer.fit(model)


if __name__ == "__main__":
    main()
