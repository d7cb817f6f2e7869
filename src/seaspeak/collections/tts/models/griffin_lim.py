"""A vocoder that was never trained: good enough to hear whether a spectrogram says what it should."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seaspeak.audio.filterbank import mel_filters
from seaspeak.collections.tts.models.base import Vocoder
from seaspeak.collections.tts.modules.griffin_lim import griffin_lim
from seaspeak.core.config import Configuration
from seaspeak.core.errors import ConfigError


class GriffinLimModel(Vocoder):
    """Mel or linear spectrograms to sound by Griffin and Lim's iteration.

    Sections and keys of the configuration: ``preprocessor``, as in the model that makes the spectrograms; optional
    ``n_iters`` (60), ``seed`` of the first phases (0).

    >>> section = {"sample_rate": 22050, "n_window_size": 1024, "n_window_stride": 256, "n_fft": 1024, "nfilt": 80}
    >>> vocoder = GriffinLimModel(cfg={"preprocessor": {**section, "mag_power": 1.0, "normalize": None}, "n_iters": 2})
    >>> vocoder.convert_spectrogram_to_audio(spec=torch.full((1, 80, 5), -11.5)).shape
    torch.Size([1, 1280])

    Raises:
        ConfigError: spectrograms that cannot be turned back, because they are normalised.
    """

    def __init__(self, cfg: Configuration, trainer: Any = None) -> None:
        super().__init__(cfg=cfg, trainer=trainer)
        recipe = self.mel_recipe
        if recipe.normalize != "none" or recipe.win_length != recipe.n_fft:
            raise ConfigError(
                "Griffin-Lim cannot turn these spectrograms back",
                got=f"normalize {recipe.normalize}, window {recipe.win_length}, transform {recipe.n_fft}",
                expected="normalize none, a window as long as the transform",
            )
        bank = mel_filters(
            sample_rate=recipe.sample_rate,
            n_fft=recipe.n_fft,
            num_bands=recipe.n_mels,
            low=recipe.fmin,
            high=recipe.fmax,
            norm=None if recipe.norm == "none" else recipe.norm,
        )
        self._inverse = torch.linalg.pinv(torch.tensor(bank, device="cpu"))

    def to_linear(self, spec: Tensor) -> Tensor:
        """Return magnitudes (B, n_fft // 2 + 1, T) that mel spectrograms (B, n_mels, T) may have come from."""
        recipe = self.mel_recipe
        mel = spec.exp() if recipe.log == "natural" else spec
        return (self._inverse.to(mel) @ mel).clamp(min=1e-8).pow(1 / recipe.mag_power)

    def convert_linear_spectrogram_to_audio(self, spec: Tensor) -> Tensor:
        """Return the sound (B, samples) of magnitudes (B, n_fft // 2 + 1, T): as many samples as T frames take."""
        return griffin_lim(
            F.pad(spec, (0, 1), mode="replicate"),
            hop_length=self.mel_recipe.hop_length,
            iterations=int(self.cfg.get("n_iters", 60)),
            seed=int(self.cfg.get("seed", 0)),
        )

    @torch.no_grad()
    def convert_spectrogram_to_audio(self, spec: Tensor, **kwargs: Any) -> Tensor:
        """Return the sound (B, samples) of mel spectrograms (B, n_mels, T).

        Raises:
            ModelError: the spectrogram has not the bands of this vocoder.
        """
        self.check_spectrogram(spec)
        return self.convert_linear_spectrogram_to_audio(self.to_linear(spec))
