"""Train a recogniser that scores characters (QuartzNet, Jasper, ...) on your own recordings.

python examples/asr/speech_to_text_ctc.py \
    model.train_ds.manifest_filepath=train.json model.validation_ds.manifest_filepath=dev.json trainer.max_epochs=50

``--config-name`` takes a file in ``conf`` or a packaged configuration: quartznet_5x5, quartznet_10x5, quartznet_15x5,
jasper_10x5dr. With ``pytorch_lightning`` in place of ``lightning.pytorch`` the program is the same.
"""

import pytorch_lightning as pl
from seaspeak.collections.asr.models import EncDecCTCModel
from seaspeak.training import hydra_runner, exp_manager

@hydra_runner(config_path="conf", config_name="quartznet_15x5")
def main(cfg):
    trainer = pl.Trainer(**cfg.trainer)
    exp_manager(trainer, cfg.get("exp_manager"))
    model = EncDecCTCModel(cfg=cfg.model, trainer=trainer)
    trainer.fit(model)

if __name__ == "__main__":
    main()
