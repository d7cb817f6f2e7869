"""Spectrograms and alignments as pictures in the logger of a training run."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_STOPS = ((0.27, 0.0, 0.33), (0.23, 0.32, 0.55), (0.13, 0.57, 0.55), (0.37, 0.79, 0.38), (0.99, 0.91, 0.14))


def picture(matrix: Tensor) -> Tensor:
    """Return a matrix (H, W) as colours (3, H, W) in [0, 1], from dark (its least) to bright, row 0 at the bottom.

    >>> picture(torch.tensor([[0.0, 1.0]]))[:, 0, 1].tolist() == torch.tensor(_STOPS[-1]).tolist()
    True
    """
    values = matrix.detach().float().cpu().flip(0)
    low, high = values.min(), values.max()
    place = (values - low) / (high - low).clamp(min=1e-9) * (len(_STOPS) - 1)
    left = place.long().clamp(max=len(_STOPS) - 2)
    stops = torch.tensor(_STOPS)
    colours = torch.lerp(stops[left], stops[left + 1], (place - left)[..., None])
    return colours.permute(2, 0, 1)


def log_picture(model: Any, name: str, matrix: Tensor) -> None:
    """Show a matrix (H, W) in every logger of the model's trainer that takes pictures; without one nothing happens."""
    trainer = model.trainer
    for logger in getattr(trainer, "loggers", None) or []:
        add_image = getattr(getattr(logger, "experiment", None), "add_image", None)
        if add_image is not None:
            add_image(name, picture(matrix), trainer.global_step)
