from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seaspeak.core.errors import DataError
from seaspeak.data.sampler import DurationBatchSampler, ShuffledSampler

DURATIONS = st.lists(st.floats(0.0, 40.0), max_size=60)
SIZES = st.one_of(
    st.fixed_dictionaries({"batch_size": st.integers(1, 9)}),
    st.fixed_dictionaries({"batch_duration": st.floats(0.1, 100.0)}),
    st.fixed_dictionaries({"batch_size": st.integers(1, 9), "batch_duration": st.floats(0.1, 100.0)}),
)


@settings(deadline=None)
@given(durations=DURATIONS, sizes=SIZES, shuffle=st.booleans(), seed=st.integers(-(2**63), 2**63))
def test_every_example_comes_once_an_epoch_in_batches_that_fit(durations, sizes, shuffle, seed):
    sampler = DurationBatchSampler(durations, **sizes, shuffle=shuffle, seed=seed)

    for _ in range(3):
        announced = len(sampler)
        batches = list(sampler)
        assert len(batches) == announced
        assert sorted(place for batch in batches for place in batch) == list(range(len(durations)))
        for batch in batches:
            assert len(batch) <= sizes.get("batch_size", len(batch))
            longest = max(durations[place] for place in batch)
            assert len(batch) == 1 or len(batch) * longest <= sizes.get("batch_duration", np.inf) * (1 + 1e-9)


@pytest.mark.parametrize(
    "make", [lambda: ShuffledSampler(40, seed=3), lambda: DurationBatchSampler(range(40), batch_size=4, seed=3)]
)
@settings(max_examples=30, deadline=None)
@given(epochs=st.integers(0, 2), taken=st.integers(0, 40))
def test_a_resumed_order_is_the_rest_of_the_uninterrupted_one(make, epochs, taken):
    whole = make()
    uninterrupted = [list(whole) for _ in range(epochs + 2)]
    taken = min(taken, len(uninterrupted[epochs]))

    resumed = make()
    resumed.resume(epochs, taken)
    first = list(resumed)

    if taken == len(uninterrupted[epochs]):  # nothing was left of it
        assert first == uninterrupted[epochs + 1]
    else:
        assert first == uninterrupted[epochs][taken:]
        assert (resumed.epoch, resumed.skipped) == (epochs, taken)
        assert list(resumed) == uninterrupted[epochs + 1]


@pytest.mark.parametrize(
    "make",
    [lambda seed: ShuffledSampler(40, seed), lambda seed: DurationBatchSampler([1.0] * 40, batch_size=4, seed=seed)],
)
def test_the_order_changes_with_the_epoch_and_the_seed_and_with_nothing_else(make):
    sampler = make(1)
    epochs = [list(sampler) for _ in range(3)]

    assert epochs[0] != epochs[1] != epochs[2]
    again = make(1)
    assert [list(again) for _ in range(3)] == epochs
    assert list(make(2)) != epochs[0]
    sampler.set_epoch(1)
    assert list(sampler) == epochs[1]
    assert list(sampler) == epochs[2]


def test_announcing_the_epoch_that_is_resumed_does_not_start_it_anew():
    sampler = ShuffledSampler(10, seed=0)
    sampler.resume(2, 4)

    sampler.sampler.set_epoch(2)  # where Lightning looks
    assert len(list(sampler)) == 6

    sampler.resume(2, 4)
    sampler.set_epoch(3)
    assert len(list(sampler)) == 10


def test_similar_durations_come_together():
    durations = np.random.default_rng(0).uniform(1, 16, 2000)
    sampler = DurationBatchSampler(durations, batch_size=16, seed=0)

    def padding(batches):
        padded = sum(len(batch) * durations[batch].max() for batch in batches)
        return 1 - durations.sum() / padded

    in_order = [list(range(start, start + 16)) for start in range(0, 2000, 16)]
    assert padding(list(sampler)) < 0.05 < 0.4 < padding(in_order)


def test_small_batches_can_be_left_out():
    sampler = DurationBatchSampler(range(10), batch_size=4, drop_last=True, seed=0)

    assert [len(batch) for batch in sampler] == [4, 4]
    assert len(sampler) == 2


def test_sizes_and_durations_must_be_known():
    with pytest.raises(DataError, match="need a size"):
        DurationBatchSampler([1.0])
    with pytest.raises(DataError, match=r"need the duration of every utterance, and 2 have none"):
        DurationBatchSampler([1.0, np.nan, np.nan], batch_size=2)
