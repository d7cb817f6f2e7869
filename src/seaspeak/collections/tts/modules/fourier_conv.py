"""Convolutions of many channels with long kernels, by way of short Fourier transforms: the same sums, fewer products.

N steps of the signal, transformed, times the transformed kernel of K taps, and back, are N - K + 1 steps of output. In
between lies one product of matrices over the channels for each of P real numbers, where the plain sum has K for every
step: 47 in place of 242 if N = 32 and K = 11. A product of two complex numbers is made of three of real ones (Gauss);
the sums before and after it are part of the transforms, which so are three real matrices, made once.

Shape letters in this file:
    B  batch size    C, D  channels before and after    S  steps    K  taps    N  steps of a tile    M = N - K + 1
    P  real numbers that stand for the frequencies of a tile: 1 for the lowest and the highest, 3 for each between
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

_SIZE = 32
_BLOCK = 1 << 19  # values of a signal that are computed at once, by measurement


def pays(weight_DCK: Tensor) -> bool:
    """Whether this is faster than the plain sum, by measurement: transforms cost the same however many channels."""
    _, channels, taps = weight_DCK.shape
    return 7 <= taps <= _SIZE // 2 and channels * taps >= 700


@cache
def _transforms(taps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Matrices of tiles (P, N), of kernels (P, K), and back (M, P)."""
    steps = torch.arange(_SIZE, dtype=torch.float64, device="cpu")
    angle = 2 * math.pi / _SIZE * steps[1 : _SIZE // 2, None] * steps
    ends = torch.stack([steps**0, 1 - 2 * (steps % 2)])
    cos, sin = angle.cos(), angle.sin()
    tiles = torch.cat([ends, cos - sin, cos, -sin])
    kernels = torch.cat([ends, cos, sin - cos, cos + sin])[:, :taps]
    back = torch.cat([ends, 2 * (cos - sin), -2 * sin, -2 * cos])[:, : _SIZE - taps + 1].T / _SIZE
    return tiles.float(), kernels.float(), back.float().contiguous()


@dataclass(frozen=True, slots=True)
class FourierConv:
    """A dilated convolution that keeps the length, over images (B, C, 1, S) whose channels lie last in memory."""

    weight_PDC: Tensor
    bias: Tensor | None
    taps: int
    dilation: int

    @classmethod
    def of(cls, weight_DCK: Tensor, bias: Tensor | None, dilation: int) -> FourierConv:
        """Transform the weight of ``nn.Conv1d``."""
        outer, inner, taps = weight_DCK.shape
        spectrum = _transforms(taps)[1] @ weight_DCK.flatten(0, 1).T
        return cls(spectrum.view(-1, outer, inner), bias, taps, dilation)

    @property
    def reach(self) -> int:
        """Steps on either side that an output depends on."""
        return self.dilation * (self.taps - 1) // 2

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, 1, S) -> (B, D, 1, S)."""
        steps, made = x.shape[3], _SIZE - self.taps + 1
        count = math.ceil(steps / (made * self.dilation))
        out = x.new_empty(len(x), count, made, self.dilation, self.weight_PDC.shape[1])
        for signal, target in zip(x.squeeze(2).transpose(1, 2), out, strict=True):
            self._convolve(signal, target)
        return out.flatten(1, 3)[:, None, :steps].permute(0, 3, 1, 2)

    def _convolve(self, x_SC: Tensor, out: Tensor) -> None:
        """(S, C) -> (tiles, M, dilation, D): each of ``dilation`` signals, which lie interleaved, for itself."""
        tiles_PN, _, back_MP = _transforms(self.taps)
        (steps, channels), (count, made, apart, _) = x_SC.shape, out.shape
        x_SC = F.pad(x_SC, (0, 0, self.reach, ((count - 1) * made + _SIZE) * apart - steps - self.reach))
        row, tile = apart * channels, made * apart * channels
        block = max(1, _BLOCK // tile)
        for first in range(0, count, block):
            some = out[first : first + block]
            taken = x_SC.as_strided((_SIZE, len(some), row), (row, tile, 1), first * tile)
            spectrum = (tiles_PN @ taken.reshape(_SIZE, -1)).view(len(tiles_PN), -1, channels)
            product = torch.bmm(spectrum, self.weight_PDC.transpose(1, 2))
            result = (back_MP @ product.flatten(1)).view(made, len(some), apart, -1).transpose(0, 1)
            torch.add(result, 0 if self.bias is None else self.bias, out=some)
