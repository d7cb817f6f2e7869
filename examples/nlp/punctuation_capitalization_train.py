"""Train a model that restores marks and capitals, from a folder of ordinary texts or from NeMo's two files.

python examples/nlp/punctuation_capitalization_train.py \
    model.language_model.pretrained_model_name=encoder/ model.train_ds.plain_text=texts/
"""

import pytorch_lightning as pl
from omegaconf import DictConfig

from seaspeak.collections.nlp.models import PunctuationCapitalizationModel
from seaspeak.training import exp_manager, hydra_runner


@hydra_runner(config_path="conf", config_name="punctuation_capitalization")
def main(cfg: DictConfig) -> None:
    trainer = pl.Trainer(**cfg.trainer)
    exp_manager(trainer, cfg.get("exp_manager"))
    pl.seed_everything(cfg.seed)
    model = PunctuationCapitalizationModel(cfg=cfg.model, trainer=trainer)
    trainer.fit(model)


if __name__ == "__main__":
    main()
