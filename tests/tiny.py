"""A model that is small enough to be trained in a test: one linear layer on numbers of its own making."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor, nn

from seaspeak.core import ChannelType, LossType, Model, NeuralModule, NeuralType, typecheck


class Layer(NeuralModule):
    """A linear layer with a scale that is computed, not stored."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.register_buffer("scale", torch.arange(outputs) + 1.0, persistent=False)

    @typecheck()
    def forward(
        self, x: Annotated[Tensor, NeuralType("B D", ChannelType())]
    ) -> Annotated[Tensor, NeuralType("B D", ChannelType())]:
        return self.linear(x) * self.scale


class TinyModel(Model):
    """Learns to add up its inputs."""

    def __init__(self, cfg: Any, trainer: Any = None) -> None:
        super().__init__(cfg=cfg, trainer=trainer)
        self.layer = self.build(self.cfg.layer)

    @typecheck()
    def forward(
        self, x: Annotated[Tensor, NeuralType("B D", ChannelType())]
    ) -> Annotated[Tensor, NeuralType("B D", ChannelType())]:
        return self.layer(x=x)

    def loss(self, batch: Any) -> Annotated[Tensor, NeuralType(None, LossType())]:
        x, y = batch
        return nn.functional.mse_loss(self.layer(x=x), y)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = self.loss(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        return {"val_loss": self.loss(batch)}

    def _loader(self, section: Any) -> torch.utils.data.DataLoader:
        generator = torch.Generator().manual_seed(section.get("seed", 0))
        x = torch.randn(section.get("items", 16), 3, generator=generator)
        data = torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True).expand(-1, 2))
        return torch.utils.data.DataLoader(data, batch_size=4)

    def setup_training_data(self, train_data_config: Any) -> None:
        self._train_dl = self._loader(train_data_config)

    def setup_validation_data(self, val_data_config: Any) -> None:
        self._validation_dl = self._loader(val_data_config)


def tiny_config(**sections: Any) -> dict[str, Any]:
    """A configuration of TinyModel."""
    return {"layer": {"_target_": "tests.tiny.Layer", "inputs": 3, "outputs": 2}, **sections}
