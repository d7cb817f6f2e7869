"""Train WaveGlow, a vocoder, on recordings.

python examples/tts/waveglow.py \
    model.train_ds.dataset.manifest_filepath=train.json model.validation_ds.dataset.manifest_filepath=dev.json
"""

import pytorch_lightning as pl
from omegaconf import DictConfig

from seaspeak.collections.tts.models import WaveGlowModel
from seaspeak.training import exp_manager, hydra_runner


@hydra_runner(config_path="conf", config_name="waveglow")
def main(cfg: DictConfig) -> None:
    trainer = pl.Trainer(**cfg.trainer)
    exp_manager(trainer, cfg.get("exp_manager"))
    model = WaveGlowModel(cfg=cfg.model, trainer=trainer)
    trainer.fit(model)


if __name__ == "__main__":
    main()
