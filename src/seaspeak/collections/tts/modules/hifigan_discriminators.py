"""HiFi-GAN's discriminators: they look at sound folded to several periods and at several sampling rates.

Shape letters in this file:
    B  batch size    S  samples    P  a period, in samples    C  channels
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seaspeak.collections.tts.modules.hifigan_fast import SLOPE
from seaspeak.collections.tts.modules.weight_norm import NormedConv1d, NormedConv2d

Scored = tuple[Tensor, list[Tensor]]
"""A score for each place of the signal (B, places), and the outputs of all layers."""

PERIODS = (2, 3, 5, 7, 11)


class Judged(NamedTuple):
    """Scores and feature maps of every sub-discriminator, for the recordings and for what was generated."""

    real_scores: list[Tensor]
    fake_scores: list[Tensor]
    real_feature_maps: list[list[Tensor]]
    fake_feature_maps: list[list[Tensor]]


def _scored(convs: Sequence[nn.Module], post: nn.Module, x: Tensor) -> Scored:
    maps = []
    for conv in convs:
        x = F.leaky_relu(conv(x), SLOPE)
        maps.append(x)
    x = post(x)
    return x.flatten(1), [*maps, x]


class DiscriminatorP(nn.Module):
    """Looks at a signal folded into rows of one period, so that its columns are what repeats.

    Args:
        period: in samples.
        kernel_size, stride: of the convolutions along the columns.
        debug: narrow layers.

    Shapes:
        x        (B, 1, S), mirrored at its end to a multiple of the period
        returns  `Scored`; feature maps are (B, C, rows, period)
    """

    def __init__(self, period: int, kernel_size: int = 5, stride: int = 3, debug: bool = False) -> None:
        super().__init__()
        self.period = period
        widths = [1, *((8, 12, 32, 64) if debug else (32, 128, 512, 1024))]
        shapes = [*zip(widths[:-1], widths[1:], [stride] * 4, strict=True), (widths[-1], widths[-1], 1)]
        self.convs = nn.ModuleList(
            NormedConv2d(wide, narrow, (kernel_size, 1), (step, 1), padding=(2, 0)) for wide, narrow, step in shapes
        )
        self.conv_post = NormedConv2d(widths[-1], 1, (3, 1), padding=(1, 0))

    def forward(self, x: Tensor) -> Scored:
        """Return scores and feature maps."""
        x = F.pad(x, (0, -x.shape[-1] % self.period), mode="reflect")
        return _scored(list(self.convs), self.conv_post, x.unflatten(2, (-1, self.period)))


class SpectralConv1d(nn.Conv1d):
    """``nn.Conv1d`` under spectral normalisation; keys ``weight_orig``, ``weight_u``, ``weight_v`` as in NeMo.

    Source: arXiv:1802.05957; one step of the power iteration a call in training, none in evaluation.
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(self, *args: int, **kwargs: int) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        weight = self._parameters.pop("weight")
        assert weight is not None
        self.weight_orig = weight
        rows = weight.detach().flatten(1)
        for name, size in (("weight_u", rows.shape[0]), ("weight_v", rows.shape[1])):
            self.register_buffer(name, F.normalize(rows.new_empty(size).normal_(), dim=0))

    def forward(self, input: Tensor) -> Tensor:
        """(B, C_in, S) -> (B, C_out, S')."""
        rows = self.weight_orig.flatten(1)
        if self.training:
            with torch.no_grad():
                self.weight_v.copy_(F.normalize(rows.t() @ self.weight_u, dim=0))
                self.weight_u.copy_(F.normalize(rows @ self.weight_v, dim=0))
        # copies: a later call in the same step writes to the buffers that this one's gradient needs
        norm = torch.dot(self.weight_u.clone(), rows @ self.weight_v.clone())
        return self._conv_forward(input, self.weight_orig / norm, self.bias)


class DiscriminatorS(nn.Module):
    """Looks at a signal at one sampling rate through grouped convolutions.

    Args:
        use_spectral_norm: spectral instead of weight normalisation.
        debug: narrow layers.

    Shapes:
        x        (B, 1, S)
        returns  `Scored`; feature maps are (B, C, steps)
    """

    def __init__(self, use_spectral_norm: bool = False, debug: bool = False) -> None:
        super().__init__()
        conv = SpectralConv1d if use_spectral_norm else NormedConv1d
        first, second, third, last = (16, 32, 32, 64) if debug else (128, 256, 512, 1024)
        self.convs = nn.ModuleList(
            conv(wide, narrow, kernel, stride, groups=groups, padding=kernel // 2)
            for wide, narrow, kernel, stride, groups in (
                (1, first, 15, 1, 1),
                (first, first, 41, 2, 4),
                (first, second, 41, 2, 16),
                (second, third, 41, 4, 16),
                (third, last, 41, 4, 16),
                (last, last, 41, 1, 16),
                (last, last, 5, 1, 1),
            )
        )
        self.conv_post = conv(last, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Scored:
        """Return scores and feature maps."""
        return _scored(list(self.convs), self.conv_post, x)


class MultiPeriodDiscriminator(nn.Module):
    """Five `DiscriminatorP`, of periods 2 to 11.

    Shapes:
        y, y_hat  (B, 1, S) recordings and what was generated for them
    """

    def __init__(self, debug: bool = False) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(DiscriminatorP(period, debug=debug) for period in PERIODS)

    def forward(self, y: Tensor, y_hat: Tensor) -> Judged:
        """Return what every sub-discriminator makes of both."""
        return _judged([(part(y), part(y_hat)) for part in self.discriminators])


class MultiScaleDiscriminator(nn.Module):
    """Three `DiscriminatorS`: of the signal, of its averages over four samples two apart, and of the averages of those.

    Shapes:
        y, y_hat  (B, 1, S) recordings and what was generated for them
    """

    def __init__(self, debug: bool = False) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(DiscriminatorS(number == 0, debug=debug) for number in range(3))

    def forward(self, y: Tensor, y_hat: Tensor) -> Judged:
        """Return what every sub-discriminator makes of both."""
        pairs = []
        for number, part in enumerate(self.discriminators):
            if number:
                y, y_hat = (F.avg_pool1d(signal, 4, 2, padding=2) for signal in (y, y_hat))
            pairs.append((part(y), part(y_hat)))
        return _judged(pairs)


def _judged(pairs: list[tuple[Scored, Scored]]) -> Judged:
    real, fake = zip(*pairs, strict=True)
    return Judged(
        [score for score, _ in real],
        [score for score, _ in fake],
        [maps for _, maps in real],
        [maps for _, maps in fake],
    )
