"""Train FastPitch, a generator of mel spectrograms, on recordings with transcripts.

python examples/tts/fastpitch.py sup_data_path=sup \
    model.train_ds.dataset.manifest_filepath=train.json model.validation_ds.dataset.manifest_filepath=dev.json
"""

import pytorch_lightning as pl
from omegaconf import DictConfig

from seaspeak.collections.tts.models import FastPitchModel
from seaspeak.training import exp_manager, hydra_runner


@hydra_runner(config_path="conf", config_name="fastpitch")
def main(cfg: DictConfig) -> None:
    trainer = pl.Trainer(**cfg.trainer)
    exp_manager(trainer, cfg.get("exp_manager"))
    model = FastPitchModel(cfg=cfg.model, trainer=trainer)
    trainer.fit(model)


if __name__ == "__main__":
    main()
