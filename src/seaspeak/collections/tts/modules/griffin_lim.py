"""Sound from the magnitudes of a spectrogram, by finding phases that agree with them (Griffin and Lim 1984)."""

from __future__ import annotations

import torch
from torch import Tensor


def griffin_lim(
    magnitudes: Tensor,
    *,
    iterations: int = 60,
    hop_length: int | None = None,
    phase: Tensor | None = None,
    seed: int = 0,
) -> Tensor:
    """Return a signal whose centred transform (periodic Hann window) has nearly these magnitudes.

    Args:
        magnitudes: (..., n_fft // 2 + 1, T), linear.
        iterations: how often phases are taken from the signal that they made.
        hop_length: samples from one frame to the next; a quarter of the window by default.
        phase: to begin with, in radians, of the shape of ``magnitudes``; random by default.
        seed: of random phases, so that the same spectrogram gives the same signal.

    Returns:
        (..., (T - 1) * hop_length) samples.

    >>> griffin_lim(torch.ones(2, 513, 9), iterations=1).shape
    torch.Size([2, 2048])
    """
    n_fft = 2 * (magnitudes.shape[-2] - 1)
    hop = hop_length or n_fft // 4
    window = torch.hann_window(n_fft, device=magnitudes.device)
    if phase is None:
        draw = torch.Generator().manual_seed(seed)
        phase = 2 * torch.pi * torch.rand(magnitudes.shape, generator=draw).to(magnitudes)
    shape, frames = magnitudes.shape[:-2], magnitudes.shape[-1]
    magnitudes, phase = (part.reshape(-1, n_fft // 2 + 1, frames) for part in (magnitudes, phase))
    signal = torch.istft(torch.polar(magnitudes, phase), n_fft, hop, window=window)
    for _ in range(iterations):
        spectrum = torch.stft(signal, n_fft, hop, window=window, pad_mode="constant", return_complex=True)
        signal = torch.istft(torch.polar(magnitudes, spectrum.angle()), n_fft, hop, window=window)
    return signal.reshape(*shape, -1)
