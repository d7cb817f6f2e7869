from __future__ import annotations

import logging

import jiwer
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seaspeak.collections.asr.metrics import (
    WER,
    word_error_rate,
    word_error_rate_detail,
    word_error_rate_per_utt,
)
from seaspeak.core.errors import DataError
from seaspeak.text.ctc import CTCDecoder

WORDS = st.lists(st.sampled_from(["a", "b", "cat", "the"]), max_size=6).map(" ".join)


@pytest.mark.parametrize(
    ("hypothesis", "reference", "rate"),
    [
        ("cat", "cot", 1.0),
        ("GPU", "G P U", 1.0),
        ("G P U", "GPU", 3.0),
        ("ducati motorcycle", "motorcycle", 1.0),
        ("ducati motorcycle", "ducuti motorcycle", 0.5),
        ("a B c", "a b c", 1 / 3),
    ],
)
def test_rates_that_nemo_pins(hypothesis: str, reference: str, rate: float) -> None:
    assert word_error_rate([hypothesis], [reference]) == pytest.approx(rate)


@given(st.lists(st.tuples(WORDS, WORDS.filter(bool)), min_size=1, max_size=5))
def test_rates_agree_with_jiwer(pairs: list[tuple[str, str]]) -> None:
    found, wanted = [h for h, _ in pairs], [r for _, r in pairs]
    oracle = jiwer.process_words(wanted, found)
    detail = word_error_rate_detail(found, wanted)
    assert detail.wer == pytest.approx(oracle.wer)
    assert detail.wer == pytest.approx(detail.ins_rate + detail.del_rate + detail.sub_rate)
    assert word_error_rate(found, wanted, use_cer=True) == pytest.approx(jiwer.cer(wanted, found))
    rates, average = word_error_rate_per_utt(found, wanted)
    assert average == pytest.approx(oracle.wer)
    assert rates == pytest.approx([jiwer.wer(r, h) for h, r in pairs])


def test_nothing_to_hear_is_an_infinite_rate_and_unequal_lists_an_error() -> None:
    assert word_error_rate(["a"], [""]) == float("inf")
    with pytest.raises(DataError, match="as many references as hypotheses"):
        word_error_rate(["a"], [])


def test_the_metric_overwrites_and_reads_frames_up_to_their_length(caplog: pytest.LogCaptureFixture) -> None:
    decoder = CTCDecoder([" ", "a", "b"])
    metric = WER(
        lambda rows, lengths: [decoder.text(row[:n]) for row, n in zip(rows.numpy(), lengths.tolist(), strict=True)],
        lambda ids: "".join(decoder.vocabulary[i] for i in ids),
        log_prediction=True,
    )
    targets, counts = torch.tensor([[1, 0, 2], [2, 9, 9]]), torch.tensor([3, 1])
    frames = torch.tensor([[1, 1, 0, 2], [2, 3, 1, 1]])
    with caplog.at_level(logging.INFO, logger="seaspeak"):
        assert metric(frames, targets, counts, torch.tensor([4, 2])) == (0.0, 0, 3)
    assert [record.message for record in caplog.records] == ["reference: a b", "predicted: a b"]
    assert metric(frames, targets, counts, torch.tensor([4, 4])) == (pytest.approx(1 / 3), 1, 3)
