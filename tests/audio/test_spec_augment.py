from __future__ import annotations

import copy
import pickle
import random
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seaspeak.audio.spec_augment import (
    CropOrPadSpectrogramAugmentation,
    SpecAugment,
    SpecCutout,
    SpectrogramAugmentation,
)
from seaspeak.core.errors import ConfigError
from tests.fixture import Fixture

RECIPES = {"0.11.0": "0.11", "1.0.0": "1.0", "3.0.0": "current"}


class Replayed(random.Random):
    """Gives the numbers that NeMo drew, if asked for the same ranges in the same order."""

    def __init__(self, drawn) -> None:
        super().__init__()
        self.left = [tuple(row) for row in drawn.tolist()]

    def randint(self, low, high):
        return int(self.next(low, high))

    def uniform(self, low, high):
        return self.next(low, high)

    def next(self, low, high):
        expected_low, expected_high, value = self.left.pop(0)
        assert (low, high) == (expected_low, expected_high)
        return value


@pytest.mark.parametrize(
    "name",
    ["int_width_legacy_v011", "int_width_legacy_v1", "int_width_legacy_v3", "adaptive_legacy_v1", "adaptive_legacy_v3"],
)
def test_masks_drawn_item_by_item_are_nemos(shared: Path, name: str):
    fixture = Fixture(shared / "fixtures" / "core" / "spec_augment" / name)
    rng = Replayed(fixture.io["drawn"])
    recipe = RECIPES[fixture.meta["nemo_version"]]
    augment = SpecAugment(**fixture.config, rng=rng, use_vectorized_code=False, recipe=recipe)

    masked = augment(torch.tensor(fixture.io["input_spec"]), torch.tensor(fixture.io["length"]))

    assert rng.left == []
    fixture.assert_close("augmented_spec", masked)


@pytest.mark.parametrize("name", ["int_width_vectorized_v3", "adaptive_vectorized_v3"])
def test_masks_drawn_at_once_are_nemos(shared: Path, name: str):
    fixture = Fixture(shared / "fixtures" / "core" / "spec_augment" / name)
    augment = SpecAugment(**fixture.config)

    torch.manual_seed(fixture.meta["torch_seed"])
    masked = augment(torch.tensor(fixture.io["input_spec"]), torch.tensor(fixture.io["length"]))

    fixture.assert_close("augmented_spec", masked)


@pytest.mark.parametrize("name", ["v011", "v1", "v3"])
def test_rectangles_are_nemos(shared: Path, name: str):
    fixture = Fixture(shared / "fixtures" / "core" / "spec_cutout" / name)
    rng = Replayed(fixture.io["drawn"])
    cutout = SpecCutout(**fixture.config, rng=rng, recipe=RECIPES[fixture.meta["nemo_version"]])
    spec = torch.tensor(fixture.io["input_spec"])

    cut = cutout(spec)

    assert rng.left == []
    fixture.assert_close("augmented_spec", cut)
    fixture.assert_close("input_spec", spec)  # the caller's tensor is not written to


@settings(max_examples=50, deadline=None)
@given(
    vectorized=st.booleans(),
    width=st.one_of(st.integers(0, 40), st.floats(0.0, 1.0)),
    lengths=st.lists(st.integers(0, 30), min_size=1, max_size=3),
    seed=st.integers(0, 1000),
)
def test_no_more_is_masked_than_was_asked_for(vectorized, width, lengths, seed):
    torch.manual_seed(seed)
    augment = SpecAugment(2, 3, 6, width, random.Random(seed), use_vectorized_code=vectorized)
    spec = torch.ones(len(lengths), 20, 30)

    masked = augment(spec, torch.tensor(lengths)) == 0

    for item, length in zip(masked, lengths, strict=True):
        longest = max(1, int(width * length)) if isinstance(width, float) else width
        assert item.all(dim=1).sum() <= 2 * 6 or item.all()  # whole bands
        assert item.all(dim=0).sum() <= 3 * longest
        assert set(item.flatten().tolist()) <= {False, True}


@pytest.mark.parametrize("vectorized", [False, True])
def test_small_spectrograms_get_narrower_masks(vectorized):
    augment = SpecAugment(1, 1, 30, 40, random.Random(0), use_vectorized_code=vectorized)

    assert augment(torch.ones(1, 8, 5), torch.tensor([5])).shape == (1, 8, 5)


def test_masks_are_filled_with_the_value_asked_for():
    masked = SpecAugment(2, 2, 8, 8, mask_value=-3.5)(torch.zeros(4, 32, 60), torch.tensor([60] * 4))

    assert set(masked.unique().tolist()) == {-3.5, 0.0}


@pytest.mark.parametrize("vectorized", [False, True])
def test_seeding_repeats_the_masks(vectorized):
    augment = SpectrogramAugmentation(2, 2, 8, 0.2, rect_masks=3, use_vectorized_spec_augment=vectorized)
    spec, length = torch.rand(3, 64, 90), torch.tensor([90, 50, 20])

    def run():
        random.seed(7)
        torch.manual_seed(7)
        return augment(input_spec=spec, length=length)

    assert torch.equal(run(), run())
    assert not torch.equal(run(), augment(input_spec=spec, length=length))


def test_rectangles_are_cut_before_masks():
    augment = SpectrogramAugmentation(time_masks=1, time_width=20, rect_masks=5, mask_value=9.0)
    torch.manual_seed(0)

    masked = augment(input_spec=torch.ones(1, 64, 60), length=torch.tensor([60]))

    assert set(masked.unique().tolist()) == {0.0, 1.0, 9.0}
    assert ((masked == 9.0).all(dim=1) | ~(masked == 9.0).any(dim=1)).all()  # no hole in a masked frame


def test_nothing_to_mask_changes_nothing():
    spec = torch.rand(2, 64, 60)

    assert torch.equal(SpectrogramAugmentation()(input_spec=spec, length=torch.tensor([60, 30])), spec)


def test_it_is_copied_and_pickled():
    augment = SpectrogramAugmentation(2, 2)

    assert pickle.loads(pickle.dumps(augment)).spec_augment.freq_masks == 2
    assert copy.deepcopy(augment).spec_augment.time_masks == 2


def test_a_share_above_one_is_refused():
    with pytest.raises(ConfigError, match="share of the frames"):
        SpectrogramAugmentation(time_masks=1, time_width=1.5)


@pytest.mark.parametrize(("frames", "left"), [(10, 5), (11, 4), (20, 0)])
def test_short_spectrograms_get_zeros_around_them(frames, left):
    crop = CropOrPadSpectrogramAugmentation(20)
    spec = torch.rand(2, 4, frames) + 1

    out, length = crop(input_signal=spec, length=torch.tensor([frames, 3]))

    assert out.shape == (2, 4, 20)
    assert length.tolist() == [20, 20]
    torch.testing.assert_close(out[:, :, left : left + frames], spec)
    assert (out != 0).sum() == spec.numel()


def test_long_spectrograms_are_cropped_each_at_its_own_place():
    crop = CropOrPadSpectrogramAugmentation(10)
    spec = torch.arange(500.0).expand(8, 1, 500)

    out, _ = crop(input_signal=spec, length=torch.tensor([500] * 8))

    starts = out[:, 0, 0]
    assert len(starts.unique()) > 1
    torch.testing.assert_close(out[:, 0], starts[:, None] + torch.arange(10.0))


def test_a_negative_length_is_refused():
    with pytest.raises(ConfigError, match="must not be negative"):
        CropOrPadSpectrogramAugmentation(-1)
