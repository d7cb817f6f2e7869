"""Pictures of matrices, and what happens to them without a logger."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from seaspeak.collections.tts.pictures import log_picture, picture


def test_low_rows_are_at_the_bottom_and_more_is_brighter() -> None:
    image = picture(torch.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]))
    assert image.shape == (3, 2, 3)
    brightness = image.sum(0).flip(0).flatten()
    assert brightness.argmin() == 0 and brightness.argmax() == 5


def test_a_matrix_of_one_value_is_a_picture_too() -> None:
    assert torch.isfinite(picture(torch.full((2, 2), 7.0))).all()


def test_pictures_go_to_the_loggers_that_take_them() -> None:
    shown = []
    takes = SimpleNamespace(experiment=SimpleNamespace(add_image=lambda *given: shown.append(given)))
    plain = SimpleNamespace()
    log_picture(SimpleNamespace(trainer=None), "a", torch.zeros(2, 2))
    log_picture(SimpleNamespace(trainer=SimpleNamespace(loggers=[plain, takes], global_step=3)), "b", torch.eye(2))
    assert [(name, image.shape, step) for name, image, step in shown] == [("b", (3, 2, 2), 3)]
