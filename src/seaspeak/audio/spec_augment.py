"""Augmentation of spectrograms in training: masked bands, frames and rectangles.

Shape letters in this file:
    B  batch size      D  bands      T  frames      M  masks an item
"""

from __future__ import annotations

import random
from types import ModuleType

import torch
from torch import Tensor, nn

from seaspeak.audio.features import Recipe, check_recipe
from seaspeak.core.errors import ConfigError
from seaspeak.core.module import NeuralModule
from seaspeak.core.types import LengthsType, NeuralType, SpectrogramType
from seaspeak.core.typing import typecheck

Generator = random.Random | ModuleType


class _Drawn(nn.Module):
    """Draws from ``rng``, or from Python's global generator, which training seeds and restores."""

    def __init__(self, rng: random.Random | None) -> None:
        super().__init__()
        self._given_rng = rng

    @property
    def _rng(self) -> Generator:
        return self._given_rng or random


class SpecAugment(_Drawn):
    """Fill some bands and some stretches of frames of each item.

    Args:
        freq_masks, time_masks: how many of each.
        freq_width: most bands in a mask.
        time_width: most frames in a mask; a float from 0 to 1 is a share of the item's frames.
        rng: where the item-wise form draws from; Python's global generator by default.
        mask_value: what is filled in.
        use_vectorized_code: draw all masks at once with torch's generator, on the tensor's device. Otherwise item by
            item with ``rng``, in the order of NeMo 1.1.
        recipe: ``0.11`` and ``1.0`` place masks item by item anywhere in the padded frames, as those releases did.

    Shapes:
        input_spec (B, D, T), length (B,) int64 frames -> (B, D, T)

    Source: SpecAugment, arXiv:1904.08779; adaptive widths, arXiv:1912.05533. An item with fewer bands or frames than
    a mask's width gets narrower masks (NeMo's item-wise form raises).
    """

    def __init__(
        self,
        freq_masks: int = 0,
        time_masks: int = 0,
        freq_width: int = 10,
        time_width: int | float = 10,
        rng: random.Random | None = None,
        mask_value: float = 0.0,
        use_vectorized_code: bool = True,
        *,
        recipe: Recipe = "current",
    ) -> None:
        super().__init__(rng)
        if isinstance(time_width, float) and not 0 <= time_width <= 1:
            raise ConfigError(
                "time_width of SpecAugment, if a float, is a share of the frames",
                got=str(time_width),
                expected="a float from 0 to 1, or a whole number of frames",
            )
        self.freq_masks, self.time_masks = freq_masks, time_masks
        self.freq_width, self.time_width = freq_width, time_width
        self.mask_value = mask_value
        self.recipe = check_recipe(recipe)
        self.use_vectorized_code = use_vectorized_code and recipe == "current"

    @torch.no_grad()
    def forward(self, input_spec: Tensor, length: Tensor) -> Tensor:
        """Return a copy with masks."""
        mask = self._at_once(input_spec, length) if self.use_vectorized_code else self._by_item(input_spec, length)
        return input_spec.masked_fill(mask, self.mask_value)

    def _at_once(self, spec: Tensor, length: Tensor) -> Tensor:
        bands, frames = spec.shape[1:]
        limits = length[:, None]
        widths: Tensor | int = self.time_width  # type: ignore[assignment]  # time_width is int or float here
        if isinstance(self.time_width, float):
            widths = (self.time_width * limits).clamp(max=frames)
        in_time = self._spans(spec, self.time_masks, widths, limits, frames)
        in_freq = self._spans(spec, self.freq_masks, self.freq_width, bands, bands)
        return in_time[:, None, :] | in_freq[:, :, None]

    @staticmethod
    def _spans(spec: Tensor, masks: int, widths: Tensor | int, limits: Tensor | int, size: int) -> Tensor:
        """Return (B, size) booleans, true within ``masks`` stretches of up to ``widths`` that end before ``limits``."""
        width = (torch.rand(len(spec), masks, device=spec.device) * widths).long()
        start = (torch.rand(len(spec), masks, device=spec.device) * (limits - width)).clamp(min=0).long()
        position = torch.arange(size, device=spec.device)
        return ((position >= start[..., None]) & (position < (start + width)[..., None])).any(dim=1)

    def _by_item(self, spec: Tensor, length: Tensor) -> Tensor:
        _, bands, padded = spec.shape
        mask = torch.zeros(spec.shape, dtype=torch.bool)
        for item, count in zip(mask, length.tolist(), strict=True):
            for _ in range(self.freq_masks):
                start, width = self._draw(bands - self.freq_width), self._draw(self.freq_width)
                item[start : start + width] = True
            frames = count if self.recipe == "current" else padded
            longest = self.time_width
            if isinstance(longest, float):
                longest = max(1, int(frames * longest))
            last = max(1, frames - longest) if self.recipe == "current" else frames - longest
            for _ in range(self.time_masks):
                start, width = self._draw(last), self._draw(longest)
                item[:, start : start + width] = True
        return mask.to(spec.device)

    def _draw(self, high: int) -> int:
        high = max(0, high)
        return int(self._rng.uniform(0, high)) if self.recipe == "0.11" else self._rng.randint(0, high)


class SpecCutout(_Drawn):
    """Set some rectangles of each item to zero.

    Args:
        rect_masks: how many rectangles.
        rect_time, rect_freq: most frames and most bands of one.
        rng: where to draw from; Python's global generator by default.
        recipe: ``0.11`` takes the extents the wrong way round, as that release did.

    Shapes:
        input_spec (B, D, T) -> (B, D, T)

    Source: Cutout, arXiv:1708.04552.
    """

    def __init__(
        self,
        rect_masks: int = 0,
        rect_time: int = 5,
        rect_freq: int = 20,
        rng: random.Random | None = None,
        *,
        recipe: Recipe = "current",
    ) -> None:
        super().__init__(rng)
        self.rect_masks, self.rect_time, self.rect_freq = rect_masks, rect_time, rect_freq
        self.recipe = check_recipe(recipe)

    @torch.no_grad()
    def forward(self, input_spec: Tensor) -> Tensor:
        """Return a copy with rectangles of zeros."""
        _, bands, frames = input_spec.shape
        spec = input_spec.clone()
        extents = (self.rect_freq, self.rect_time)
        if self.recipe == "0.11":
            extents = (self.rect_time, self.rect_freq)
        for item in spec:
            for _ in range(self.rect_masks):
                band, frame = self._draw(bands - self.rect_freq), self._draw(frames - self.rect_time)
                height, width = self._draw(extents[0]), self._draw(extents[1])
                item[band : band + height, frame : frame + width] = 0.0
        return spec

    def _draw(self, high: int) -> int:
        high = max(0, high)
        return int(self._rng.uniform(0, high)) if self.recipe == "0.11" else self._rng.randint(0, high)


class SpectrogramAugmentation(NeuralModule):
    """Cut rectangles out of spectrograms (`SpecCutout`), then mask bands and frames (`SpecAugment`).

    Args:
        freq_masks, time_masks, freq_width, time_width, mask_value: as for `SpecAugment`.
        rect_masks, rect_time, rect_freq: as for `SpecCutout`.
        rng: as for both.
        use_vectorized_spec_augment: as ``use_vectorized_code`` of `SpecAugment`.
        use_numba_spec_augment: accepted for the sake of NeMo's configurations; the vectorised form does its work.
        recipe: as for both.

    >>> spec, length = torch.ones(2, 64, 100), torch.tensor([100, 80])
    >>> masked = SpectrogramAugmentation(freq_masks=2, time_masks=2)(input_spec=spec, length=length)
    >>> masked.shape, bool((masked[1, 0, 80:] != 0).any())
    (torch.Size([2, 64, 100]), True)
    """

    def __init__(
        self,
        freq_masks: int = 0,
        time_masks: int = 0,
        freq_width: int = 10,
        time_width: int | float = 10,
        rect_masks: int = 0,
        rect_time: int = 5,
        rect_freq: int = 20,
        rng: random.Random | None = None,
        mask_value: float = 0.0,
        use_vectorized_spec_augment: bool = True,
        use_numba_spec_augment: bool = False,
        *,
        recipe: Recipe = "current",
    ) -> None:
        super().__init__()
        self.spec_cutout = SpecCutout(rect_masks, rect_time, rect_freq, rng, recipe=recipe)
        self.spec_augment = SpecAugment(
            freq_masks,
            time_masks,
            freq_width,
            time_width,
            rng,
            mask_value,
            use_vectorized_spec_augment,
            recipe=recipe,
        )

    @property
    def input_types(self) -> dict[str, NeuralType]:
        """A batch of spectrograms, and how many frames of each count."""
        return {"input_spec": NeuralType("B D T", SpectrogramType()), "length": NeuralType("B", LengthsType())}

    @property
    def output_types(self) -> dict[str, NeuralType]:
        """The batch with masks."""
        return {"augmented_spec": NeuralType("B D T", SpectrogramType())}

    @typecheck()
    def forward(self, input_spec: Tensor, length: Tensor) -> Tensor:
        """Return ``augmented_spec``."""
        spec = input_spec
        if self.spec_cutout.rect_masks > 0:
            spec = self.spec_cutout(spec)
        if self.spec_augment.freq_masks + self.spec_augment.time_masks > 0:
            spec = self.spec_augment(spec, length)
        return spec


class CropOrPadSpectrogramAugmentation(NeuralModule):
    """Bring a batch to ``audio_length`` frames: a random stretch of a longer one, zeros around a shorter one.

    Applied in evaluation too, where the stretch is random as well; seed torch to repeat it.

    Shapes:
        input_signal (B, D, T), length (B,) int64 -> (B, D, audio_length), (B,) all ``audio_length``
    """

    def __init__(self, audio_length: int) -> None:
        super().__init__()
        if audio_length < 0:
            raise ConfigError("audio_length must not be negative", got=str(audio_length))
        self.audio_length = audio_length

    @property
    def input_types(self) -> dict[str, NeuralType]:
        """A batch of spectrograms, and how many frames of each count."""
        return {"input_signal": NeuralType("B D T", SpectrogramType()), "length": NeuralType("B", LengthsType())}

    @property
    def output_types(self) -> dict[str, NeuralType]:
        """The batch of one length."""
        return {
            "processed_signal": NeuralType("B D T", SpectrogramType()),
            "processed_length": NeuralType("B", LengthsType()),
        }

    @typecheck()
    @torch.no_grad()
    def forward(self, input_signal: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``processed_signal`` and ``processed_length``."""
        batch, _, frames = input_signal.shape
        if frames > self.audio_length:
            offsets = torch.randint(frames - self.audio_length + 1, (batch,)).tolist()
            spec = torch.stack(
                [item[:, at : at + self.audio_length] for item, at in zip(input_signal, offsets, strict=True)]
            )
        else:
            missing = self.audio_length - frames
            spec = nn.functional.pad(input_signal, (missing // 2, missing - missing // 2))
        return spec, torch.full_like(length, self.audio_length)
