"""Mel-frequency cepstral coefficients, with torchaudio's numbers and without torchaudio.

Shape letters in this file:
    B  batch size      S  samples      T  frames      M  mel bands      K  coefficients
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seaspeak.audio.filterbank import mel_filters
from seaspeak.audio.mel import samples_of
from seaspeak.audio.stft_basis import WINDOWS
from seaspeak.core.errors import ConfigError
from seaspeak.core.module import NeuralModule
from seaspeak.core.types import AudioSignal, LengthsType, MFCCSpectrogramType, NeuralType
from seaspeak.core.typing import typecheck

_LOG_GUARD = 1e-6
_SMALLEST_POWER = 1e-10
_DECIBEL_RANGE = 80.0


class _Spectrogram(nn.Module):
    """Power spectra (B, bins, T) with a periodic window, edges mirrored."""

    window: Tensor

    def __init__(self, window: str | None, win_length: int, hop_length: int, n_fft: int) -> None:
        super().__init__()
        if window not in (None, "ones", *WINDOWS):
            raise ConfigError(
                "the window of the MFCC front end is not known",
                got=repr(window),
                expected=", ".join(map(repr, [*WINDOWS, "ones", None])),
            )
        self.hop_length, self.n_fft = hop_length, n_fft
        made = torch.ones(win_length) if window in (None, "ones") else WINDOWS[str(window)](win_length)
        self.register_buffer("window", made)

    def forward(self, signal: Tensor) -> Tensor:
        edge = self.n_fft // 2
        if signal.shape[1] <= edge:  # too short to be mirrored
            signal = nn.functional.pad(signal, (0, edge + 1 - signal.shape[1]))
        window = self.window.float()
        spectrum = torch.stft(
            signal, self.n_fft, self.hop_length, len(window), window, pad_mode="reflect", return_complex=True
        )
        return torch.view_as_real(spectrum).square().sum(-1)


class _MelScale(nn.Module):
    """Sums spectra into bands; the filters lie the other way round than the mel front end's, as in torchaudio."""

    fb: Tensor

    def __init__(self, filters: Tensor) -> None:
        super().__init__()
        self.register_buffer("fb", filters)

    def forward(self, spectrum: Tensor) -> Tensor:
        return torch.matmul(self.fb.float().t(), spectrum)


class _MelSpectrogram(nn.Module):
    def __init__(self, spectrogram: _Spectrogram, mel_scale: _MelScale) -> None:
        super().__init__()
        self.spectrogram, self.mel_scale = spectrogram, mel_scale

    def forward(self, signal: Tensor) -> Tensor:
        mel: Tensor = self.mel_scale(self.spectrogram(signal))
        return mel


class Mfcc(nn.Module):
    """Cepstra (B, K, T) of signals (B, S), all frames, padding included.

    State-dict keys are torchaudio's: ``dct_mat`` (M, K), ``MelSpectrogram.spectrogram.window``,
    ``MelSpectrogram.mel_scale.fb`` (bins, M).
    """

    dct_mat: Tensor

    def __init__(self, mel_spectrogram: nn.Module, dct: Tensor, *, log: bool) -> None:
        super().__init__()
        self.MelSpectrogram = mel_spectrogram
        self.register_buffer("dct_mat", dct)
        self.log = log

    def forward(self, signal: Tensor) -> Tensor:
        """Return the cepstra, in single precision."""
        mel = self.MelSpectrogram(signal)
        mel = torch.log(mel + _LOG_GUARD) if self.log else decibels(mel)
        return torch.matmul(self.dct_mat.float().t(), mel)


def decibels(power: Tensor) -> Tensor:
    """Return power (B, M, T) in dB, no lower than 80 dB under the loudest value of the batch.

    The batch, not the item: so does torchaudio, whose numbers models of this kind were trained with.
    """
    db = 10.0 * power.clamp(min=_SMALLEST_POWER).log10()
    return torch.maximum(db, db.amax() - _DECIBEL_RANGE)


def cosine_transform(num_coefficients: int, num_bands: int, norm: str | None) -> Tensor:
    """Return the DCT-II matrix (num_bands, num_coefficients), orthonormal with ``norm="ortho"``."""
    band = torch.arange(num_bands, dtype=torch.float64)
    order = torch.arange(num_coefficients, dtype=torch.float64)
    dct = torch.cos(math.pi / num_bands * (band[:, None] + 0.5) * order)
    if norm is None:
        return (2.0 * dct).float()
    if norm != "ortho":
        raise ConfigError("norm of the cosine transform is not known", got=repr(norm), expected="'ortho' or None")
    dct[:, 0] *= 1.0 / math.sqrt(2.0)
    return (dct * math.sqrt(2.0 / num_bands)).float()


class AudioToMFCCPreprocessor(NeuralModule):
    """Turn samples into mel-frequency cepstral coefficients.

    Args:
        sample_rate: of the samples, in Hz.
        window_size, window_stride: in seconds; or ``n_window_size``, ``n_window_stride`` in samples.
        window: ``hann``, ``hamming``, ``blackman``, ``bartlett``, or ``ones`` or None for none; periodic.
        n_fft: length of the transform; the next power of two that holds the window by default.
        lowfreq, highfreq: edges of the ``n_mels`` bands, in Hz; HTK's mel scale, triangles of equal height.
        n_mfcc: number of coefficients.
        dct_type: only 2 exists.
        norm: ``ortho``, or None for the plain cosine transform.
        log: natural logarithm of the bands; otherwise decibels.

    Shapes:
        input_signal      (B, S)          float32, samples in [-1, 1]
        length            (B,)            int64, samples
        processed_signal  (B, n_mfcc, T)  T = S // stride + 1
        processed_length  (B,)            int64, ceil(samples / stride)

    Source: behaviour of NeMo 1.0.0 (on torchaudio) and 3.0.0.
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        window_size: float | None = 0.02,
        window_stride: float | None = 0.01,
        n_window_size: int | None = None,
        n_window_stride: int | None = None,
        window: str | None = "hann",
        n_fft: int | None = None,
        lowfreq: float = 0.0,
        highfreq: float | None = None,
        n_mels: int = 64,
        n_mfcc: int = 64,
        dct_type: int = 2,
        norm: str | None = "ortho",
        log: bool = True,
    ) -> None:
        super().__init__()
        if dct_type != 2:
            raise ConfigError("dct_type is not supported", got=str(dct_type), expected="2")
        if n_mfcc > n_mels:
            raise ConfigError("n_mfcc is greater than n_mels", got=f"{n_mfcc} coefficients of {n_mels} bands")
        self.sample_rate = sample_rate
        width = samples_of("window_size", window_size, n_window_size, sample_rate)
        self.hop_length = samples_of("window_stride", window_stride, n_window_stride, sample_rate)
        n_fft = n_fft or 2 ** math.ceil(math.log2(width))
        filters = mel_filters(
            sample_rate=sample_rate, n_fft=n_fft, num_bands=n_mels, low=lowfreq, high=highfreq, norm=None, scale="htk"
        )
        mel = _MelSpectrogram(
            _Spectrogram(window, width, self.hop_length, n_fft), _MelScale(torch.tensor(filters.T.copy()))
        )
        self.featurizer = Mfcc(mel, cosine_transform(n_mfcc, n_mels, norm), log=log)

    @property
    def input_types(self) -> dict[str, NeuralType]:
        """Samples at the module's rate, and how many of them count."""
        return {
            "input_signal": NeuralType("B T", AudioSignal(freq=self.sample_rate)),
            "length": NeuralType("B", LengthsType()),
        }

    @property
    def output_types(self) -> dict[str, NeuralType]:
        """Coefficients, and how many frames of them count."""
        return {
            "processed_signal": NeuralType("B D T", MFCCSpectrogramType()),
            "processed_length": NeuralType("B", LengthsType()),
        }

    @typecheck()
    @torch.no_grad()
    def forward(self, input_signal: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``processed_signal`` and ``processed_length``."""
        with torch.autocast(input_signal.device.type, enabled=False):
            cepstra = self.featurizer(input_signal.float())
        frames = (length + self.hop_length - 1).div(self.hop_length, rounding_mode="floor").long()
        return cepstra.to(self.featurizer.dct_mat.dtype), frames
