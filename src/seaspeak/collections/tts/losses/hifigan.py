"""What HiFi-GAN is trained with: least-squares adversarial losses and the distance of feature maps."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch.nn.functional as F
from torch import Tensor

from seaspeak.core.module import Loss
from seaspeak.core.types import LossType, NeuralType, VoidType
from seaspeak.core.typing import typecheck

Scores = list[Annotated[Tensor, NeuralType("B T", VoidType())]]
"""One tensor a sub-discriminator."""

LossOut = Annotated[Tensor, NeuralType(elements_type=LossType())]
Parts = list[Annotated[Tensor, NeuralType(elements_type=LossType())]]


class DiscriminatorTerms(NamedTuple):
    """The loss, and its parts for each sub-discriminator."""

    loss: LossOut
    real_losses: Parts
    fake_losses: Parts


class GeneratorTerms(NamedTuple):
    """The loss, and its part for each sub-discriminator."""

    loss: LossOut
    fake_losses: Parts


class DiscriminatorLoss(Loss):
    """Mean square of what recordings lack to a score of 1 and of what generated sound has above 0.

    >>> DiscriminatorLoss()(disc_real_outputs=[torch.ones(1, 2)], disc_generated_outputs=[torch.ones(1, 2)]).loss
    tensor(1.)
    """

    @typecheck()
    def forward(self, disc_real_outputs: Scores, disc_generated_outputs: Scores) -> DiscriminatorTerms:
        """Return the sum over sub-discriminators, and its parts."""
        real = [(1 - scores).square().mean() for scores in disc_real_outputs]
        fake = [scores.square().mean() for scores in disc_generated_outputs]
        total = sum(real[1:], real[0]) + sum(fake[1:], fake[0])
        return DiscriminatorTerms(total, [part.detach() for part in real], [part.detach() for part in fake])


class GeneratorLoss(Loss):
    """Mean square of what generated sound lacks to a score of 1."""

    @typecheck()
    def forward(self, disc_outputs: Scores) -> GeneratorTerms:
        """Return the sum over sub-discriminators, and its parts."""
        parts = [(1 - scores).square().mean() for scores in disc_outputs]
        return GeneratorTerms(sum(parts[1:], parts[0]), parts)


class FeatureMatchingLoss(Loss):
    """Twice the sum over all layers of the mean distance between feature maps of recordings and generated sound."""

    @property
    def input_types(self) -> dict[str, object]:
        """Lists of lists of feature maps: sub-discriminators, and their layers."""
        return {name: [[NeuralType(elements_type=VoidType())]] for name in ("fmap_r", "fmap_g")}

    @property
    def output_types(self) -> dict[str, object]:
        """The loss."""
        return {"loss": NeuralType(elements_type=LossType())}

    @typecheck()
    def forward(self, fmap_r: list[list[Tensor]], fmap_g: list[list[Tensor]]) -> Tensor:
        """Return the loss."""
        parts = [
            F.l1_loss(fake, real)
            for reals, fakes in zip(fmap_r, fmap_g, strict=True)
            for real, fake in zip(reals, fakes, strict=True)
        ]
        return 2 * sum(parts[1:], parts[0])
