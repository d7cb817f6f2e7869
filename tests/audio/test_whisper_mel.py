"""Whisper's log-mel front end."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seaspeak.audio.whisper_mel import WhisperMelPreprocessor


def reference(samples: np.ndarray) -> np.ndarray:
    """The published steps in numpy, with librosa's filters."""
    import librosa

    padded = np.pad(samples.astype(np.float64), 200, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    frames = np.stack([padded[start : start + 400] * window for start in range(0, len(samples) // 160 * 160, 160)])
    power = np.abs(np.fft.rfft(frames)) ** 2
    bands = librosa.filters.mel(sr=16000, n_fft=400, n_mels=80) @ power.T
    log = np.log10(np.maximum(bands, 1e-10))
    return (np.maximum(log, log.max() - 8) + 4) / 4


def test_features_are_the_published_ones() -> None:
    samples = np.random.default_rng(1).normal(scale=0.1, size=8123).astype(np.float32)
    samples[3000:] *= 1e-5  # below the floor
    features, length = WhisperMelPreprocessor()(
        input_signal=torch.from_numpy(samples)[None], length=torch.tensor([8123])
    )
    assert length.tolist() == [50]
    np.testing.assert_allclose(features[0], reference(samples), atol=2e-5)


@pytest.mark.parametrize("samples", [1, 159, 200, 201, 1600, 4001])
def test_features_of_a_clip_do_not_depend_on_its_neighbours(samples: int) -> None:
    preprocessor = WhisperMelPreprocessor()
    clip, loud = torch.randn(samples) * 0.01, torch.randn(4001)
    padded = torch.nn.functional.pad(clip, (0, 4001 - samples), value=7.0)  # padding is garbage on purpose

    alone, n_alone = preprocessor(input_signal=clip[None], length=torch.tensor([samples]))
    batch, n_batch = preprocessor(input_signal=torch.stack([padded, loud]), length=torch.tensor([samples, 4001]))

    assert n_alone[0] == n_batch[0] == max(1, samples // 160)
    torch.testing.assert_close(batch[0, :, : n_batch[0]], alone[0])
    assert not batch[0, :, n_batch[0] :].any()


def test_silence_has_finite_features() -> None:
    features, _ = WhisperMelPreprocessor()(input_signal=torch.zeros(1, 1600), length=torch.tensor([1600]))
    assert features.unique().tolist() == [-1.5]
