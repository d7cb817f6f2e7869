"""Train Tacotron 2, a generator of mel spectrograms, on recordings with transcripts.

python examples/tts/tacotron2.py \
    model.train_ds.dataset.manifest_filepath=train.json model.validation_ds.dataset.manifest_filepath=dev.json
"""

import pytorch_lightning as pl
from omegaconf import DictConfig

from seaspeak.collections.tts.models import Tacotron2Model
from seaspeak.training import exp_manager, hydra_runner


@hydra_runner(config_path="conf", config_name="tacotron2")
def main(cfg: DictConfig) -> None:
    trainer = pl.Trainer(**cfg.trainer)
    exp_manager(trainer, cfg.get("exp_manager"))
    model = Tacotron2Model(cfg=cfg.model, trainer=trainer)
    trainer.fit(model)


if __name__ == "__main__":
    main()
