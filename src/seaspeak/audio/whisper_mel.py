"""Whisper's log-mel front end, one clip at a time, so that a clip gives the same alone and in a batch."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from seaspeak.audio.filterbank import mel_filters
from seaspeak.core.module import NeuralModule
from seaspeak.core.types import AudioSignal, LengthsType, MelSpectrogramType, NeuralType
from seaspeak.core.typing import typecheck

# The floor of a clip: so many powers of ten below its loudest band, and never below the first number.
_LOWEST, _RANGE = 1e-10, 8.0
# Bands are brought to about [-1, 1] for speech: (log10 + 4) / 4.
_CENTRE = 4.0


class LogMel(NamedTuple):
    """What the front end gives."""

    processed_signal: Annotated[Tensor, NeuralType("B D T", MelSpectrogramType())]
    processed_length: Annotated[Tensor, NeuralType("B", LengthsType())]


class WhisperMelPreprocessor(NeuralModule):
    """Turn samples into the features that Whisper's encoder was trained on.

    Power spectrum of periodic Hann windows, mel bands of equal area on Slaney's scale, log10, a floor 8 below the
    clip's maximum, then (x + 4) / 4. The frame centred on the last sample is dropped, as in the original.

    Args:
        sample_rate: of the samples, in Hz.
        features: number of mel bands between 0 Hz and half the sample rate.
        n_fft: length of window and transform, in samples.
        hop_length: samples from one frame to the next.

    Shapes:
        input_signal      (B, S)            float32, samples in [-1, 1]
        length            (B,)              int64, samples, at least 1
        processed_signal  (B, features, T)  float32; 0 beyond an item's length
        processed_length  (B,)              int64, frames: max(1, samples // hop_length)

    Source: arXiv:2212.04356, section 2.2.

    >>> features, length = WhisperMelPreprocessor()(input_signal=torch.zeros(1, 16000), length=torch.tensor([16000]))
    >>> features.shape, length
    (torch.Size([1, 80, 100]), tensor([100]))
    """

    window: Tensor
    filters: Tensor

    def __init__(self, sample_rate: int = 16000, features: int = 80, n_fft: int = 400, hop_length: int = 160) -> None:
        super().__init__()
        self.sample_rate, self.features, self.n_fft, self.hop_length = sample_rate, features, n_fft, hop_length
        filters = mel_filters(sample_rate=sample_rate, n_fft=n_fft, num_bands=features)
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
        self.register_buffer("window", torch.from_numpy(window.astype(np.float32)), persistent=False)
        self.register_buffer("filters", torch.from_numpy(filters.copy()), persistent=False)

    @typecheck()
    @torch.no_grad()
    def forward(
        self,
        input_signal: Annotated[Tensor, NeuralType("B T", AudioSignal())],
        length: Annotated[Tensor, NeuralType("B", LengthsType())],
    ) -> LogMel:
        """Return the features of a batch."""
        clips = [self.log_mel(row[: int(samples)]) for row, samples in zip(input_signal, length, strict=True)]
        lengths = torch.tensor([clip.shape[-1] for clip in clips], device=length.device)
        longest = int(lengths.max())
        padded = [functional.pad(clip, (0, longest - clip.shape[-1])) for clip in clips]
        return LogMel(torch.stack(padded), lengths)

    def log_mel(self, samples: Tensor) -> Tensor:
        """Return the features (features, T) of one clip (S,)."""
        short = self.n_fft // 2 + 1 - samples.shape[-1]
        if short > 0:  # the edges are mirrored, which takes half a window
            samples = functional.pad(samples, (0, short))
        spectrum = torch.stft(samples, self.n_fft, self.hop_length, window=self.window, return_complex=True)
        power = spectrum[:, :-1].abs().square()
        log = (self.filters @ power).clamp_min(_LOWEST).log10()
        return (log.maximum(log.max() - _RANGE) + _CENTRE) / _CENTRE
