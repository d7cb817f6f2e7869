from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seaspeak.collections.asr.models.scorer import TorchScorer
from seaspeak.collections.asr.recognition import FrameRecogniser, Moments
from tests.collections.asr.nets import tiny_config, tiny_model

RATE = 16000


def noise(seconds: float, *, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    samples = (
        generator.standard_normal(round(seconds * RATE))
        * np.repeat(generator.uniform(0.01, 0.5, 1 + round(seconds * 10)), RATE // 10)[: round(seconds * RATE)]
    )
    return samples.astype(np.float32)


def cut(samples: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    edges = [0, *itertools.accumulate(sizes)]
    return [samples[a:b] for a, b in itertools.pairwise([*[e for e in edges if e < len(samples)], len(samples)])]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=6), st.integers(0, 9))
def test_moments_of_parts_are_those_of_the_whole(sizes: list[int], seed: int) -> None:
    features = np.random.default_rng(seed).standard_normal((3, sum(sizes))).astype(np.float32) * 7 + 2
    for kind in ("per_feature", "all_features"):
        moments = None
        for part in np.split(features, np.cumsum(sizes)[:-1], axis=1):
            new = Moments.of(part, kind)
            moments = new if moments is None else moments.plus(new)
        axes = 1 if kind == "per_feature" else None
        if sum(sizes) > 1:
            deviation = features.std(axis=axes, ddof=1, keepdims=True, dtype=np.float64)
            expected = (features - features.mean(axis=axes, keepdims=True, dtype=np.float64)) / (deviation + 1e-5)
            np.testing.assert_allclose(moments.normalise(features), expected, atol=1e-4)


@pytest.mark.parametrize("recipe", ["0.11", "1.0", "current"])
@pytest.mark.parametrize("normalize", ["per_feature", "all_features", None])
def test_windows_give_the_frames_of_one_pass(recipe: str, normalize: str | None) -> None:
    config = tiny_config()
    config["preprocessor"] |= {"normalize": normalize}
    model = tiny_model(preprocessor=config["preprocessor"])
    model.cfg.seaspeak.recipe = recipe
    model.preprocessor = model._build_front_end()
    recogniser = FrameRecogniser(TorchScorer(model), model.decoding, window_seconds=2.0, keep=True)
    for length in (9.0, 9.005, 4.0):
        samples = noise(length)
        whole = recogniser.recognise([samples])[0]
        by_windows = recogniser.recognise_long(lambda samples=samples: cut(samples, [7000, 333, 20011, 90, 16000]))
        np.testing.assert_allclose(by_windows.y_sequence, whole.y_sequence, atol=2e-3)
        assert len(by_windows.text) > 20
        assert by_windows.text == whole.text
        assert by_windows.duration == whole.duration
        assert [w.start for w in by_windows.words] == [w.start for w in whole.words]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 30000), min_size=1, max_size=8))
def test_blocks_of_any_size_give_the_same_text(sizes: list[int]) -> None:
    model = tiny_model()
    recogniser = FrameRecogniser(TorchScorer(model), model.decoding, window_seconds=2.0)
    samples = noise(4.0)
    assert recogniser.recognise_long(lambda: cut(samples, sizes)).text == recogniser.recognise([samples])[0].text


def test_what_the_model_says_is_what_the_recogniser_says() -> None:
    import torch

    model = tiny_model()
    samples = noise(3.0)
    with torch.no_grad():
        found = model(input_signal=torch.from_numpy(samples)[None], input_signal_length=torch.tensor([len(samples)]))
    heard = FrameRecogniser(TorchScorer(model), model.decoding, keep=True).recognise([samples])[0]
    count = int(found.encoded_lengths[0])
    np.testing.assert_allclose(heard.y_sequence, found.outputs[0, :count].numpy(), atol=1e-3)


def test_a_recording_shorter_than_a_frame_is_silence() -> None:
    model = tiny_model()
    recogniser = FrameRecogniser(TorchScorer(model), model.decoding)
    short, long = recogniser.recognise([noise(0.003), noise(1.0)])
    assert (short.text, short.words, short.duration) == ("", (), 0.003)
    assert long.text
    assert recogniser.recognise_long(lambda: [noise(0.003)]).text == ""
