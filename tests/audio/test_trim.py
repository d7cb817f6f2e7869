from __future__ import annotations

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seaspeak.audio.trim import trim_silence


@settings(max_examples=50, deadline=None)
@given(
    before=st.integers(0, 9000),
    loud=st.integers(0, 9000),
    after=st.integers(0, 9000),
    top_db=st.sampled_from([20.0, 40.0, 60.0]),
    ref=st.sampled_from([None, 0.1, 1.0]),
)
def test_it_cuts_where_librosa_cuts(before, loud, after, top_db, ref):
    rng = np.random.default_rng(before + loud + after)
    samples = np.concatenate([rng.standard_normal(n) * a for n, a in ((before, 1e-5), (loud, 0.3), (after, 3e-4))])
    samples = samples.astype(np.float32)

    ours = trim_silence(samples, top_db=top_db, ref=ref)

    theirs, _ = librosa.effects.trim(samples, top_db=top_db, ref=np.max if ref is None else ref)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("length", [1, 500, 5000])
def test_nothing_but_silence_is_kept(length):
    assert len(trim_silence(np.zeros(length, dtype=np.float32))) == length
