from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaspeak.audio.windows import overlapping, quiet_pieces, quietest
from seaspeak.core.errors import ConfigError


@given(st.integers(0, 3000), st.integers(0, 40), st.integers(0, 40), st.integers(1, 4), st.integers(1, 300))
def test_every_frame_is_kept_once_and_has_its_context(
    num_frames: int, left: int, right: int, multiple: int, extra: int
) -> None:
    windows = overlapping(
        num_frames, length=left + right + 3 * multiple + extra, left=left, right=right, multiple=multiple
    )
    kept = [frame for window in windows for frame in range(window.first, window.last)]
    assert kept == list(range(num_frames))
    for window in windows:
        assert window.first - window.start >= min(left, window.first)
        assert window.stop - window.last >= min(right, num_frames - window.last)
        assert window.start % multiple == window.first % multiple == 0
        assert window.stop - window.start <= left + right + 3 * multiple + extra


def test_windows_that_hold_context_alone_are_refused() -> None:
    with pytest.raises(ConfigError, match="shorter than the context"):
        overlapping(100, length=20, left=10, right=10)


@given(st.lists(st.integers(0, 4000), max_size=8), st.integers(0, 2**32 - 1))
def test_pieces_are_the_recording_and_none_is_too_long(sizes: list[int], seed: int) -> None:
    samples = np.random.default_rng(seed).standard_normal(sum(sizes)).astype(np.float32)
    blocks = np.split(samples, np.cumsum(sizes)[:-1]) if sizes else []
    pieces = list(quiet_pieces(blocks, sample_rate=1000, longest=1.0))
    np.testing.assert_array_equal(np.concatenate([np.zeros(0), *(piece.samples for piece in pieces)]), samples)
    assert [piece.start for piece in pieces] == list(np.cumsum([0, *(len(p.samples) for p in pieces)])[: len(pieces)])
    assert all(0 < len(piece.samples) <= 1000 for piece in pieces)
    assert all(len(piece.samples) >= 500 for piece in pieces[:-1])


def test_cuts_lie_in_pauses() -> None:
    rate = 1000
    samples = np.random.default_rng(0).standard_normal(10 * rate).astype(np.float32)
    pauses = [(1700, 2000), (3300, 3600), (4800, 5100), (6500, 6800), (8200, 8500)]
    for start, stop in pauses:
        samples[start:stop] *= 0.01
    pieces = list(quiet_pieces([samples], sample_rate=rate, longest=2.0, shortest=1.0))
    for piece in pieces[1:]:
        assert any(start < piece.start < stop for start, stop in pauses), piece.start


def test_the_quietest_place_is_the_middle_of_silence() -> None:
    samples = np.ones(3000, np.float32)
    samples[1000:1400] = 0.0
    assert 1100 <= quietest(samples, 1000) <= 1300
    assert quietest(np.ones(3, np.float32), 16000) == 1
