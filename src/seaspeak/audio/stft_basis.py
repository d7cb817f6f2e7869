"""The buffers of the convolutional Fourier transform that NeMo's first recipes used."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seaspeak.core.errors import ConfigError

WINDOWS = {
    "hann": torch.hann_window,
    "hamming": torch.hamming_window,
    "blackman": torch.blackman_window,
    "bartlett": torch.bartlett_window,
}


class StftBasis(nn.Module):
    """Windowed sines and cosines as archives hold them, from which the window is read back.

    The transform itself is computed by FFT with that window, which is the same numbers in a tenth of the time.

    Buffers: ``forward_basis`` and ``inverse_basis``, (n_fft + 2, 1, n_fft): real parts of the n_fft // 2 + 1
    frequencies, then their imaginary parts.

    Source: behaviour of the package torch_stft, which NeMo 0.11 and 1.0 put under ``featurizer.stft``. The window is
    periodic there.
    """

    forward_basis: Tensor
    inverse_basis: Tensor

    def __init__(self, n_fft: int, hop_length: int, win_length: int, window: str = "hann") -> None:
        super().__init__()
        if window not in WINDOWS:
            raise ConfigError(
                "stft_conv does not know this window", got=repr(window), expected=", ".join(map(repr, WINDOWS))
            )
        self.n_fft, self.hop_length, self.win_length, self.window_name = n_fft, hop_length, win_length, window
        device = torch.empty(0).device
        for name in ("forward_basis", "inverse_basis"):
            self.register_buffer(name, torch.empty(n_fft // 2 * 2 + 2, 1, n_fft, device=device))
        if device.type != "meta":
            self.reset_buffers()

    def reset_buffers(self) -> None:
        """Compute both bases anew, on the CPU if they were on the meta device."""
        device = torch.device("cpu") if self.forward_basis.is_meta else self.forward_basis.device
        n_fft, bins = self.n_fft, self.n_fft // 2 + 1
        window = torch.zeros(n_fft, dtype=torch.float64, device=device)
        left = (n_fft - self.win_length) // 2
        window[left : left + self.win_length] = WINDOWS[self.window_name](
            self.win_length, periodic=True, dtype=torch.float64, device=device
        )
        steps = torch.arange(bins, device=device)[:, None] * torch.arange(n_fft, device=device) % n_fft
        angles = steps * (2 * math.pi / n_fft)
        basis = torch.cat([angles.cos(), -angles.sin()])
        # The pseudo-inverse of a real Fourier basis: every frequency but the first and last stands for two.
        share = torch.full((bins,), 2.0, dtype=torch.float64, device=device)
        share[0] = 1.0
        if n_fft % 2 == 0:
            share[-1] = 1.0
        inverse = basis * share.repeat(2)[:, None] * (self.hop_length / n_fft**2)
        self.forward_basis = (basis * window)[:, None].float()
        self.inverse_basis = (inverse * window)[:, None].float()

    def window(self) -> Tensor:
        """The analysis window, (n_fft,): the frequency 0 has cosine 1 and sine 0."""
        return self.forward_basis[0, 0].float()
