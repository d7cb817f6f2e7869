"""The numerics of the mel front end: NeMo's numbers, and the fast path against the plain formulation."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seaspeak.audio.features import FilterbankFeatures, normalize_batch
from seaspeak.audio.stft_basis import StftBasis
from seaspeak.core.errors import ConfigError

RECIPES = ["0.11", "1.0", "current"]


def signals(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Three items of different length, with garbage in the padding on purpose."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, 9000, generator=generator) * 0.1, torch.tensor([9000, 5003, 700])


def plain(featurizer: FilterbankFeatures, x: torch.Tensor, length: torch.Tensor):
    """The batch-wise formulation, whatever the featurizer would have chosen."""
    with torch.no_grad():
        frames = featurizer.get_seq_len(length)
        return featurizer._features_by_batch(featurizer._prepared(x), length, frames), frames


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"normalize": "all_features", "pad_to": 0},
        {"normalize": None, "log_zero_guard_type": "clamp", "log_zero_guard_value": 1e-5, "preemph": None},
        {"normalize": {"fixed_mean": [0.5] * 64, "fixed_std": [2.0] * 64}},
        {"log": False, "window": "none", "pad_value": -3.0},
        {"exact_pad": True, "log_zero_guard_value": "eps"},
        {"mag_power": 1.0, "stft_conv": True, "window": "hamming"},
        {"pad_to": "max", "mag_power": 2.0, "n_fft": 400, "log_zero_guard_value": "tiny"},
    ],
    ids=str,
)
def test_the_fast_path_gives_the_plain_formulations_numbers(recipe, options):
    featurizer = FilterbankFeatures(dither=0.0, **options, recipe=recipe).eval()
    x, length = signals()

    fast, fast_length = featurizer(x, length)
    slow, slow_length = plain(featurizer, x, length)

    assert torch.equal(fast_length, slow_length)
    torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recording_longer_than_one_piece_of_the_fast_path(recipe):
    featurizer = FilterbankFeatures(dither=0.0, recipe=recipe).eval()
    x, length = torch.randn(1, 45 * 16000) * 0.1, torch.tensor([45 * 16000 - 77])

    torch.testing.assert_close(featurizer(x, length)[0], plain(featurizer, x, length)[0], rtol=1e-4, atol=5e-4)


@pytest.mark.parametrize("recipe", RECIPES)
@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(0, 2000), min_size=1, max_size=4))
def test_any_lengths_agree_on_both_paths_and_stay_finite(recipe, lengths):
    normalised = FilterbankFeatures(dither=0.0, recipe=recipe).eval()
    raw = FilterbankFeatures(
        dither=0.0, recipe=recipe, normalize=None
    ).eval()  # two frames may differ by next to nothing
    generator = torch.Generator().manual_seed(sum(lengths))
    x = torch.randn(len(lengths), max(max(lengths), 1), generator=generator)

    fast, count = raw(x, torch.tensor(lengths))
    slow, _ = plain(raw, x, torch.tensor(lengths))

    assert torch.isfinite(normalised(x, torch.tensor(lengths))[0]).all()
    assert int(count.max()) <= fast.shape[2]
    torch.testing.assert_close(fast, slow, rtol=1e-4, atol=2e-3)


def test_an_items_features_do_not_depend_on_its_neighbours():
    featurizer = FilterbankFeatures(dither=0.0).eval()  # older recipes mirror whatever lies beyond the item's end
    x, length = signals()

    together, frames = featurizer(x, length)

    for i, (n, t) in enumerate(zip(length.tolist(), frames.tolist(), strict=True)):
        alone, _ = featurizer(x[i : i + 1, :n], length[i : i + 1])
        torch.testing.assert_close(together[i, :, :t], alone[0, :, :t], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("recipe", "samples", "frames"),
    [
        ("current", [0, 1, 159, 160, 319, 320, 16000, 16001, 16160], [0, 0, 0, 1, 1, 2, 100, 100, 101]),
        ("1.0", [0, 1, 160, 16000, 16001], [0, 1, 2, 101, 101]),
        ("0.11", [0, 1, 160, 161, 16000, 16001], [0, 1, 1, 2, 100, 101]),
    ],
)
def test_reported_lengths_are_those_of_each_generation(recipe, samples, frames):
    featurizer = FilterbankFeatures(recipe=recipe)

    assert featurizer.get_seq_len(torch.tensor(samples)).tolist() == frames


@pytest.mark.parametrize(("recipe", "frames"), [("current", 61), ("1.0", 62)])
def test_exact_pad_reports_what_its_recipe_reported(recipe, frames):
    featurizer = FilterbankFeatures(n_window_size=1024, n_window_stride=256, exact_pad=True, recipe=recipe)

    assert featurizer.get_seq_len(torch.tensor([256 * 62])).tolist() == [frames]
    features, _ = featurizer(torch.zeros(1, 256 * 62), torch.tensor([256 * 62]))
    assert features.shape[2] == 64  # 62 frames of the transform, padded to a multiple of 16


def test_evaluation_of_recipe_0_11_always_pads_to_sixteen():
    featurizer = FilterbankFeatures(pad_to=0, dither=0.0, recipe="0.11")
    x, length = torch.randn(1, 4000), torch.tensor([4000])

    assert featurizer.eval()(x, length)[0].shape[2] == 32
    assert featurizer.train()(x, length)[0].shape[2] == 26


def test_dither_never_changes_the_callers_samples_and_is_off_in_evaluation():
    featurizer = FilterbankFeatures(dither=0.1)
    x, length = signals()
    before = x.clone()

    noisy = featurizer.train()(x, length)[0]
    quiet = featurizer.eval()(x, length)[0]

    assert torch.equal(x, before)
    assert not torch.allclose(noisy, quiet, atol=1e-2)
    assert torch.equal(quiet, featurizer(x, length)[0])


@pytest.mark.parametrize("recipe", ["0.11", "1.0"])
def test_stft_conv_is_a_convolution_with_its_basis(recipe):
    featurizer = FilterbankFeatures(stft_conv=True, dither=0.0, recipe=recipe).eval()
    x, length = signals()

    spectrum, _ = featurizer(x, length, linear_spec=True)

    emphasised = torch.cat([x[:, :1], x[:, 1:] - 0.97 * x[:, :-1]], 1)
    padded = torch.nn.functional.pad(emphasised[:, None], (256, 256), mode="reflect")
    real, imaginary = torch.nn.functional.conv1d(padded, featurizer.stft.forward_basis, stride=160).chunk(2, 1)
    torch.testing.assert_close(spectrum, real.square() + imaginary.square(), rtol=1e-3, atol=1e-4)


def test_the_convolutional_basis_is_the_one_that_archives_hold():
    """torch_stft's recipe, with numpy's transform and pseudo-inverse as the oracle."""
    n_fft, hop, width = 64, 16, 40
    basis = StftBasis(n_fft, hop, width, "hann")

    fourier = np.fft.fft(np.eye(n_fft))[: n_fft // 2 + 1]
    stacked = np.vstack([fourier.real, fourier.imag])
    window = np.zeros(n_fft)
    window[(n_fft - width) // 2 :][:width] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(width) / width)
    np.testing.assert_allclose(basis.forward_basis[:, 0].numpy(), stacked * window, atol=1e-6)
    inverse = np.linalg.pinv(n_fft / hop * stacked).T * window
    np.testing.assert_allclose(basis.inverse_basis[:, 0].numpy(), inverse, atol=1e-6)


def test_the_archives_window_is_used_not_the_computed_one():
    featurizer = FilterbankFeatures(dither=0.0).eval()
    x, length = signals()
    before = featurizer(x, length)[0]

    featurizer.load_state_dict({"window": torch.ones(320), "fb": featurizer.fb})

    assert not torch.allclose(featurizer(x, length)[0], before, atol=1e-2)


@pytest.mark.parametrize("stft_conv", [False, True])
def test_on_the_meta_device_nothing_is_computed_until_asked(stft_conv):
    with torch.device("meta"):
        featurizer = FilterbankFeatures(stft_conv=stft_conv, recipe="1.0")
    assert all(buffer.is_meta for buffer in featurizer.buffers())

    featurizer.reset_buffers()

    real = FilterbankFeatures(stft_conv=stft_conv, recipe="1.0").state_dict()
    assert featurizer.state_dict().keys() == real.keys()
    assert all(torch.equal(featurizer.state_dict()[key], real[key]) for key in real)


def test_state_dict_keys_are_nemos():
    assert set(FilterbankFeatures().state_dict()) == {"window", "fb"}
    conv = FilterbankFeatures(stft_conv=True, recipe="1.0").state_dict()
    assert set(conv) == {"fb", "stft.forward_basis", "stft.inverse_basis"}
    assert conv["stft.forward_basis"].shape == conv["stft.inverse_basis"].shape == (514, 1, 512)


def test_the_convolutional_transform_is_ignored_by_the_current_recipe_with_a_notice(caplog):
    featurizer = FilterbankFeatures(stft_conv=True)

    assert "ignored" in caplog.text
    assert set(featurizer.state_dict()) == {"window", "fb"}


@pytest.mark.parametrize("mag_power", [1.0, 2.0])
def test_gradients_reach_the_samples_when_asked(mag_power):
    featurizer = FilterbankFeatures(use_grads=True, normalize=None, mag_power=mag_power, dither=0.0)
    x = torch.zeros(1, 4000, requires_grad=True)

    featurizer(x, torch.tensor([4000]))[0].sum().backward()

    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_narrow_band_items_have_nothing_above_the_limit():
    featurizer = FilterbankFeatures(
        nb_augmentation_prob=1.0, nb_max_freq=4000, normalize=None, log=False, dither=0.0, rng=random.Random(0)
    )
    x, length = signals()

    narrow, wide = featurizer.train()(x, length)[0], featurizer.eval()(x, length)[0]

    top = featurizer.fb[0, :, :128].sum(1) == 0  # bands that lie above 4 kHz altogether
    assert top.any()
    assert (narrow[:, top] == 0).all()
    assert (wide[0, top, :50] > 0).all()


def test_splicing_repeats_the_features():
    x, length = signals()
    once = FilterbankFeatures(dither=0.0).eval()(x, length)[0]
    thrice = FilterbankFeatures(dither=0.0, frame_splicing=3).eval()(x, length)[0]

    torch.testing.assert_close(thrice, once.repeat(1, 3, 1), rtol=1e-4, atol=1e-4)


def test_half_precision_models_get_half_precision_features():
    x, length = signals()
    full = FilterbankFeatures(dither=0.0).eval()
    half = FilterbankFeatures(dither=0.0).eval().half()

    features = half(x.half(), length)[0]

    assert features.dtype == torch.float16
    assert (features - full(x, length)[0]).abs().mean() < 0.02


def test_normalising_uses_only_frames_that_count():
    x = torch.randn(2, 5, 30) * 3 + 1
    lengths = torch.tensor([30, 12])
    x[1, :, 12:] = 1e6

    y = normalize_batch(x, lengths, "per_feature")

    for i, n in enumerate(lengths.tolist()):
        torch.testing.assert_close(y[i, :, :n].mean(1), torch.zeros(5), atol=1e-5, rtol=0)
        torch.testing.assert_close(y[i, :, :n].std(1), torch.ones(5), atol=1e-4, rtol=0)


def test_it_exports_as_the_plain_formulation():
    featurizer = FilterbankFeatures(dither=0.0).eval()
    x, length = signals()
    expected = featurizer(x, length)[0]

    exported = torch.export.export(featurizer, (x, length)).module()

    torch.testing.assert_close(exported(x, length)[0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": "han"}, "window of the mel front end is not known"),
        ({"n_window_size": 0}, "n_window_size .* positive number of samples"),
        ({"n_window_stride": 0.01}, "n_window_stride .* positive number of samples"),
        ({"exact_pad": True, "n_window_stride": 161}, "exact_pad needs an even hop"),
        ({"log_zero_guard_type": "floor"}, "log_zero_guard_type is not known"),
        ({"log_zero_guard_value": "small"}, "log_zero_guard_value is not known"),
        ({"normalize": {"fixed_mean": [0.0]}}, "normalize.fixed_mean .* one number a band"),
        ({"recipe": "2.0"}, "recipe of the mel front end is not known"),
        ({"stft_conv": True, "window": "none", "recipe": "1.0"}, "stft_conv does not know this window"),
    ],
)
def test_options_that_cannot_be_are_refused_by_name(options, message):
    with pytest.raises(ConfigError, match=message):
        FilterbankFeatures(**options)
