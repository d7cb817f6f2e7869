"""A training that is interrupted within an epoch goes on with the batches that it has not had."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from seaspeak.data.loader import ResumableLoader, end_quietly
from seaspeak.data.speech import build_loader
from tests.data.clips import LETTERS, clips


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Lightning advises on workers and loggers
@pytest.mark.parametrize("keys", [{}, {"use_bucketing": True}, {"num_workers": 1}])
def test_lightning_goes_on_within_an_epoch(tmp_path: Path, keys):
    import lightning.pytorch as pl

    manifest = clips(tmp_path, [0.1] * 10)

    class Watching(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))
            self.had = []

        def training_step(self, batch, batch_idx):
            self.had.append((self.current_epoch, batch_idx, batch[3].tolist()))
            return self.weight.sum()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

        def on_train_batch_end(self, outputs, batch, batch_idx):
            if self.global_step == 7:  # in the middle of the second epoch of five batches
                self.trainer.save_checkpoint(tmp_path / "seven.ckpt")

    def train(checkpoint=None):
        torch.manual_seed(1)
        cfg = {"manifest_filepath": str(manifest), "sample_rate": 16000, "labels": LETTERS, "batch_size": 2, **keys}
        quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
        model, trainer = Watching(), pl.Trainer(max_epochs=3, accelerator="cpu", logger=False, **quiet)
        trainer.fit(model, build_loader(cfg, shuffle=True), ckpt_path=checkpoint)
        return model.had

    uninterrupted = train()
    torch.manual_seed(99)

    assert len(uninterrupted) == 15
    assert train(tmp_path / "seven.ckpt") == uninterrupted[7:]


@pytest.mark.parametrize(
    ("error", "said"), [(ConnectionResetError(104, "gone"), False), (EOFError(), False), (ValueError("wrong"), True)]
)
def test_a_worker_whose_reader_is_gone_says_nothing(error, said, monkeypatch):
    heard = []
    monkeypatch.setattr(sys, "excepthook", lambda *what: heard.append(what))
    end_quietly(0)
    sys.excepthook(type(error), error, None)
    assert bool(heard) is said


def test_workers_of_every_loader_end_quietly_unless_told_what_to_do():
    assert ResumableLoader([1, 2]).worker_init_fn is end_quietly
    assert ResumableLoader([1, 2], worker_init_fn=print).worker_init_fn is print
