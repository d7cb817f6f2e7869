"""The mel front end as a typed module: what a model's configuration calls its preprocessor."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from seaspeak.audio.features import FilterbankFeatures, Recipe
from seaspeak.core.errors import ConfigError
from seaspeak.core.module import NeuralModule
from seaspeak.core.types import AudioSignal, LengthsType, MelSpectrogramType, NeuralType
from seaspeak.core.typing import typecheck

logger = logging.getLogger(__name__)


def samples_of(name: str, seconds: float | None, samples: int | None, sample_rate: int) -> int:
    """Return a window or stride in samples, given in seconds or in samples.

    Raises:
        ConfigError: both are given, or neither.
    """
    if bool(seconds) == bool(samples):
        raise ConfigError(
            f"{name} and n_{name} are two ways to say the same",
            got=f"{name}={seconds}, n_{name}={samples}",
            expected="one of them, the other null",
        )
    return int(seconds * sample_rate) if seconds else int(samples or 0)


class AudioToMelSpectrogramPreprocessor(NeuralModule):
    """Turn samples into normalised log-mel features.

    Args:
        sample_rate: of the samples, in Hz.
        window_size, window_stride: in seconds; or ``n_window_size``, ``n_window_stride`` in samples.
        window: ``hann``, ``hamming``, ``blackman``, ``bartlett`` or ``none``.
        normalize: ``per_feature``, ``all_features``, a mapping with ``fixed_mean`` and ``fixed_std``, else off.
        n_fft: length of the transform; the next power of two that holds the window by default.
        preemph: coefficient of the pre-emphasis filter; None for no filter.
        features: number of mel bands, between ``lowfreq`` and ``highfreq`` (Hz; half the rate by default).
        log: whether to take the natural logarithm, after adding ``log_zero_guard_value`` (a number, ``tiny`` or
            ``eps``), or after raising to it with ``log_zero_guard_type="clamp"``.
        dither: standard deviation of the noise added in training.
        pad_to: frames are padded with ``pad_value`` to a multiple of this; 0 for no padding, ``max`` for 16.7 s.
        frame_splicing: how many times the features are repeated.
        exact_pad: pad so that L samples make L // hop frames of the transform.
        mag_power: exponent of the magnitudes: 2 for power.
        rng, nb_augmentation_prob, nb_max_freq: in training, silence everything above ``nb_max_freq`` Hz in this
            share of the items.
        mel_norm: ``slaney``, or None for triangles of equal height.
        use_torchaudio: computes by recipe ``1.0``, of which NeMo's torchaudio path was a variant.
        stft_conv, stft_exact_pad: the convolutional transform of recipes ``0.11`` and ``1.0``.
        recipe: which generation's numbers: ``0.11``, ``1.0`` or ``current`` (see `seaspeak.audio.features`).

    Shapes:
        input_signal      (B, S)                     float32, samples in [-1, 1]
        length            (B,)                       int64, samples
        processed_signal  (B, features, T)           dtype of the filters
        processed_length  (B,)                       int64, frames

    >>> preprocessor = AudioToMelSpectrogramPreprocessor(features=64, pad_to=0)
    >>> features, length = preprocessor(input_signal=torch.zeros(1, 16000), length=torch.tensor([16000]))
    >>> features.shape, length
    (torch.Size([1, 64, 101]), tensor([100]))
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        window_size: float | None = 0.02,
        window_stride: float | None = 0.01,
        n_window_size: int | None = None,
        n_window_stride: int | None = None,
        window: str = "hann",
        normalize: str | Mapping[str, Any] | None = "per_feature",
        n_fft: int | None = None,
        preemph: float | None = 0.97,
        features: int = 64,
        lowfreq: float = 0,
        highfreq: float | None = None,
        log: bool = True,
        log_zero_guard_type: str = "add",
        log_zero_guard_value: float | str = 2**-24,
        dither: float = 1e-5,
        pad_to: int | str = 16,
        frame_splicing: int = 1,
        exact_pad: bool = False,
        pad_value: float = 0,
        mag_power: float = 2.0,
        rng: random.Random | None = None,
        nb_augmentation_prob: float = 0.0,
        nb_max_freq: float = 4000,
        mel_norm: str | None = "slaney",
        use_torchaudio: bool = False,
        stft_exact_pad: bool = False,
        stft_conv: bool = False,
        *,
        recipe: Recipe = "current",
    ) -> None:
        super().__init__()
        if use_torchaudio:
            logger.warning("use_torchaudio is computed by recipe 1.0 of the mel front end, without torchaudio")
            recipe = "1.0"
        self.sample_rate = sample_rate
        self.featurizer = FilterbankFeatures(
            sample_rate=sample_rate,
            n_window_size=samples_of("window_size", window_size, n_window_size, sample_rate),
            n_window_stride=samples_of("window_stride", window_stride, n_window_stride, sample_rate),
            window=window,
            normalize=normalize,
            n_fft=n_fft,
            preemph=preemph,
            nfilt=features,
            lowfreq=lowfreq,
            highfreq=highfreq,
            log=log,
            log_zero_guard_type=log_zero_guard_type,
            log_zero_guard_value=log_zero_guard_value,
            dither=dither,
            pad_to=pad_to,
            frame_splicing=frame_splicing,
            exact_pad=exact_pad,
            pad_value=pad_value,
            mag_power=mag_power,
            rng=rng,
            nb_augmentation_prob=nb_augmentation_prob,
            nb_max_freq=nb_max_freq,
            mel_norm=mel_norm,
            stft_exact_pad=stft_exact_pad,
            stft_conv=stft_conv,
            recipe=recipe,
        )

    @property
    def input_types(self) -> dict[str, NeuralType]:
        """Samples at the module's rate, and how many of them count."""
        return {
            "input_signal": NeuralType("B T", AudioSignal(freq=self.sample_rate)),
            "length": NeuralType("B", LengthsType()),
        }

    @property
    def output_types(self) -> dict[str, NeuralType]:
        """Features, and how many frames of them count."""
        return {
            "processed_signal": NeuralType("B D T", MelSpectrogramType()),
            "processed_length": NeuralType("B", LengthsType()),
        }

    @property
    def recipe(self) -> Recipe:
        """Which generation's numbers come out."""
        return self.featurizer.recipe

    @property
    def hop_length(self) -> int:
        """Samples from one frame to the next."""
        return self.featurizer.hop_length

    @property
    def filter_banks(self) -> Tensor:
        """The mel filters, (1, features, n_fft // 2 + 1)."""
        return self.featurizer.filter_banks

    @typecheck()
    @torch.no_grad()
    def forward(self, input_signal: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``processed_signal`` and ``processed_length``."""
        features: tuple[Tensor, Tensor] = self.featurizer(input_signal, length)
        return features
