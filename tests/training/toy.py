"""A model that is small, noisy and quick to train, for tests of what surrounds training."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
from torch.utils.data import DataLoader, TensorDataset

from seaspeak.core.model import Model

PACKAGES = ["lightning.pytorch", "pytorch_lightning"]


def toy_config(**changes: Any) -> dict[str, Any]:
    return {
        "train_ds": {"size": 24, "batch_size": 4},
        "validation_ds": {"size": 8, "batch_size": 4},
        "optim": {"name": "novograd", "lr": 0.05, "sched": {"name": "CosineAnnealing", "warmup_steps": 2}},
        **changes,
    }


class ToyModel(Model):
    """A line through noisy points; dropout makes every step depend on the random numbers drawn before."""

    def __init__(self, cfg: Any, trainer: Any = None) -> None:
        super().__init__(cfg=cfg, trainer=trainer)
        self.layers = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Dropout(0.3), torch.nn.Linear(8, 1))

    def _loader(self, section: Any, shuffle: bool) -> DataLoader:
        points = torch.linspace(-1, 1, 3 * section.size).reshape(-1, 3)
        return DataLoader(TensorDataset(points, points.sum(1, keepdim=True)), section.batch_size, shuffle=shuffle)

    def setup_training_data(self, train_data_config: Any) -> None:
        self._train_dl = self._loader(train_data_config, shuffle=True)

    def setup_validation_data(self, val_data_config: Any) -> None:
        self._validation_dl = self._loader(val_data_config, shuffle=False)

    def _loss(self, batch: Any) -> torch.Tensor:
        x, y = batch
        return torch.nn.functional.mse_loss(self.layers(x), y)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = self._loss(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> dict[str, torch.Tensor]:
        return {"val_loss": self._loss(batch)}


def make_trainer(package: str = "lightning.pytorch", **arguments: Any) -> Any:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu", "devices": 1}
    given = {"max_epochs": 2, "logger": False, "enable_checkpointing": False, "log_every_n_steps": 1, **quiet}
    return import_module(package).Trainer(**{**given, **arguments})
