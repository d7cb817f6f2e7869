"""Pretrain a small BERT on plain text, and write it as a folder that other models start from.

python examples/nlp/bert_pretraining.py \
    model.tokenizer.vocab_file=vocab.txt model.train_ds.data_file=train.txt model.validation_ds.data_file=dev.txt
"""

import pytorch_lightning as pl
from omegaconf import DictConfig

from seaspeak.collections.nlp.models import BERTLMModel
from seaspeak.training import exp_manager, hydra_runner


@hydra_runner(config_path="conf", config_name="bert_pretraining")
def main(cfg: DictConfig) -> None:
    trainer = pl.Trainer(**cfg.trainer)
    exp_manager(trainer, cfg.get("exp_manager"))
    pl.seed_everything(cfg.seed)
    model = BERTLMModel(cfg=cfg.model, trainer=trainer)
    trainer.fit(model)
    model.save_encoder("encoder")


if __name__ == "__main__":
    main()
