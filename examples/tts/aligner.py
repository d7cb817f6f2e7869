"""Train an aligner on recordings with transcripts; in the end it writes the durations that FastPitch can learn from.

python examples/tts/aligner.py sup_data_path=sup \
    model.train_ds.dataset.manifest_filepath=train.json model.validation_ds.dataset.manifest_filepath=dev.json
"""

import pytorch_lightning as pl
from omegaconf import DictConfig

from seaspeak.collections.tts.models import AlignerModel
from seaspeak.training import exp_manager, hydra_runner


@hydra_runner(config_path="conf", config_name="aligner")
def main(cfg: DictConfig) -> None:
    trainer = pl.Trainer(**cfg.trainer)
    exp_manager(trainer, cfg.get("exp_manager"))
    model = AlignerModel(cfg=cfg.model, trainer=trainer)
    trainer.fit(model)


if __name__ == "__main__":
    main()
