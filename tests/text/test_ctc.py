from __future__ import annotations

import json
import subprocess
import sys
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaspeak.core.errors import ConfigError
from seaspeak.text.confidence import ConfidenceMethod
from seaspeak.text.ctc import CTCDecoder, CTCOptions, Frames, collapse
from tests.fixture import Fixture

LETTERS = [" ", "a", "b", "c", "'"]


def log_probs_of(labels: list[int], *, symbols: int = 6, peak: float = 0.9) -> np.ndarray:
    matrix = np.full((len(labels), symbols), (1 - peak) / (symbols - 1))
    matrix[np.arange(len(labels)), labels] = peak
    return np.log(matrix).astype(np.float32)


@given(st.lists(st.integers(0, 3)))
def test_collapse_keeps_what_a_run_by_run_reading_keeps(labels: list[int]) -> None:
    expected = [symbol for symbol, _ in groupby(labels) if symbol != 3]
    runs = collapse(np.array(labels, dtype=np.int64), blank=3)
    assert runs.symbols.tolist() == expected
    for symbol, start, end in zip(*runs, strict=True):
        assert set(labels[start:end]) == {symbol}
        assert start == 0 or labels[start - 1] != symbol
        assert end == len(labels) or labels[end] != symbol


@pytest.mark.parametrize("generation", ["v011", "v1", "v3"])
def test_greedy_text_is_nemos(shared, generation: str) -> None:
    fixture = Fixture(shared / "fixtures" / "core" / "ctc_greedy_decode" / generation)
    decoder = CTCDecoder(fixture.config["labels"])
    rows, lengths = fixture.io["predictions"], fixture.io["lengths"]
    assert [decoder.text(row) for row in rows] == fixture.meta["text_outputs"]["text_no_lengths"]
    if generation != "v011":  # 0.11 decodes the padding too
        texts = [decoder.text(row[:length]) for row, length in zip(rows, lengths, strict=True)]
        assert texts == fixture.meta["text_outputs"]["text"]


def without_seconds(stamp: int | dict) -> int | dict:
    return {k: v for k, v in stamp.items() if k not in ("start", "end")} if isinstance(stamp, dict) else stamp


def fixture_cases(shared) -> list[tuple[Fixture, dict]]:
    fixture = Fixture(shared / "fixtures" / "asr" / "timestamps_ctc")
    results = fixture.meta["results"]
    return [(fixture, result) for name, result in results.items() if name.startswith("greedy")]


def test_timestamps_scores_and_confidences_are_nemos(shared) -> None:
    for fixture, result in fixture_cases(shared):
        decoder = CTCDecoder(fixture.config["labels"], CTCOptions.from_config(result["decoding_config"]))
        for log_probs, length, expected in zip(
            fixture.io["log_probs"], fixture.io["encoded_length"], result["hypotheses"], strict=True
        ):
            found = decoder.decode(decoder.frames(log_probs[:length]))
            assert found.text == expected["text"]
            np.testing.assert_allclose(found.frame_confidence, expected["frame_confidence"], atol=1e-5)
            tokens = [token.confidence for token in decoder.tokens(decoder.frames(log_probs[:length]))]
            np.testing.assert_allclose(tokens, expected["token_confidence"], atol=1e-5)
            if "score" in expected:
                assert found.score == pytest.approx(expected["score"], rel=1e-4)
            for kind, stamps in expected.get("timestamp", {}).items():
                assert [without_seconds(stamp) for stamp in found.timestamp[kind]] == stamps, kind


def test_every_token_of_a_word_lies_in_it_and_words_in_the_recording() -> None:
    decoder = CTCDecoder(LETTERS, frame_seconds=0.5)
    found = decoder.decode(decoder.frames(log_probs_of([5, 1, 1, 5, 2, 0, 3, 3, 5, 5])), duration=3.9)
    assert found.text == "ab c"
    assert [(w.text, w.start, w.end) for w in found.words] == [("ab", 0.5, 2.5), ("c", 3.0, 3.9)]
    assert [(t.text, t.start, t.end) for t in found.words[0].tokens] == [("a", 0.5, 1.5), ("b", 2.0, 2.5)]


def test_word_confidence_is_the_mean_of_its_frames_highest_probability() -> None:
    decoder = CTCDecoder(LETTERS)
    log_probs = log_probs_of([1, 1, 5, 2])
    log_probs[1] = log_probs_of([1], peak=0.5)
    log_probs[2] = log_probs_of([5], peak=0.3)  # a blank between its letters does not count
    assert decoder.decode(decoder.frames(log_probs)).words[0].confidence == pytest.approx((0.9 + 0.5 + 0.9) / 3)


@given(st.lists(st.integers(0, 5), max_size=40))
def test_the_words_spell_the_text(labels: list[int]) -> None:
    decoder = CTCDecoder(LETTERS)
    found = decoder.decode(decoder.frames(log_probs_of(labels)))
    assert [word.text for word in found.words] == found.text.split()
    edges = [edge for word in found.words for edge in (word.start, word.end)]
    assert edges == sorted(edges)


def test_frames_joined_from_parts_decode_as_the_whole() -> None:
    decoder = CTCDecoder(LETTERS)
    matrix = log_probs_of([1, 1, 5, 1, 0, 2, 2, 3, 5, 4, 0, 1])
    parts = [decoder.frames(matrix[a:b], keep=True) for a, b in ((0, 1), (1, 6), (6, 12))]
    whole = decoder.decode(decoder.frames(matrix, keep=True))
    joined = decoder.decode(Frames.joined(parts))
    assert joined == whole
    np.testing.assert_array_equal(joined.y_sequence, whole.y_sequence)


@pytest.mark.parametrize("kind", ["gibbs", "tsallis", "renyi"])
@pytest.mark.parametrize("norm", ["lin", "exp"])
@pytest.mark.parametrize("alpha", [0.33, 0.5, 1.0])
def test_confidence_is_one_for_certainty_and_zero_for_a_guess(kind: str, norm: str, alpha: float) -> None:
    method = ConfidenceMethod(name="entropy", entropy_type=kind, entropy_norm=norm, alpha=alpha)
    with np.errstate(divide="ignore"):
        certain = np.log(np.eye(1, 29))
    guess = np.full((1, 29), -np.log(29.0))
    assert method(certain)[0] == pytest.approx(1.0, abs=1e-6)
    assert method(guess)[0] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"strategy": "gredy"}, r"strategy 'gredy' is unknown[\s\S]*did you mean 'greedy'"),
        ({"confidence_cfg": {"preserve_word_confidence": True, "aggregation": "median"}}, "aggregation 'median'"),
        (
            {"confidence_cfg": {"preserve_word_confidence": True, "method_cfg": {"name": "entrpy"}}},
            r"method_cfg.name 'entrpy' is unknown[\s\S]*did you mean 'entropy'",
        ),
        (
            {"confidence_cfg": {"preserve_word_confidence": True, "method_cfg": {"name": "entropy", "alpha": 0}}},
            "alpha has to be above 0",
        ),
    ],
)
def test_unknown_settings_are_named(config: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CTCOptions.from_config(config)


def test_no_frames_give_an_empty_transcript() -> None:
    decoder = CTCDecoder(LETTERS)
    found = decoder.decode(decoder.frames(np.zeros((0, 6), np.float32)), duration=0.004)
    assert (found.text, found.segments, found.duration) == ("", (), 0.004)


def test_decoding_imports_no_torch() -> None:
    code = "import sys, json; import seaspeak.text.ctc, seaspeak.text.writers;print(json.dumps('torch' in sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(out.stdout) is False


def test_a_gap_that_ends_a_segment_is_nemos(shared) -> None:
    fixture = Fixture(shared / "fixtures" / "asr" / "timestamps_ctc")
    decoder = CTCDecoder(fixture.config["labels"], CTCOptions.from_config({"segment_gap_threshold": 2}))
    rows = zip(fixture.io["log_probs"], fixture.io["encoded_length"], strict=True)
    found = [decoder.decode(decoder.frames(row[:length])).timestamp["segment"] for row, length in rows]
    expected = fixture.meta["results"]["segment_gap_threshold_2"]
    assert [[without_seconds(stamp) for stamp in stamps] for stamps in found] == expected
