"""NVIDIA's own QuartzNet 15x5 on real speech."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from seaspeak.audio.io import read
from seaspeak.collections.asr.metrics.wer import count_edits
from seaspeak.collections.asr.models import ASRModel, EncDecCTCModel
from seaspeak.collections.asr.models.scorer import TorchScorer
from seaspeak.collections.asr.recognition import FrameRecogniser

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(shared: Path) -> EncDecCTCModel:
    found = ASRModel.restore_from(next((shared / "data" / "weights").glob("*.nemo")), map_location="cpu").eval()
    assert isinstance(found, EncDecCTCModel) and found.recipe == "1.0"
    return found


@pytest.fixture(scope="module")
def utterances(shared: Path) -> list[dict]:
    folder = shared / "data" / "librispeech" / "dev"
    lines = [json.loads(line) for line in (folder / "dev.json").read_text().splitlines()]
    return [line | {"path": folder / line["audio_filepath"]} for line in lines]


def test_errors_are_those_that_others_published(shared: Path, model: EncDecCTCModel, utterances: list[dict]) -> None:
    with (shared / "data" / "librispeech" / "nemo_published_wer.tsv").open() as file:
        known = {row["utterance"]: float(row["QuartzNet15x5Base-En"]) for row in csv.DictReader(file, delimiter="\t")}
    some = [line for line in utterances if line["path"].stem in known and line["duration"] < 6][:10]
    assert len(some) == 10
    texts = model.transcribe([line["path"] for line in some])
    ours = [count_edits(text, line["text"]) for text, line in zip(texts, some, strict=True)]
    theirs = [known[line["path"].stem] * count.units for line, count in zip(some, ours, strict=True)]
    # the recordings have been through a codec since: a word here and there differs
    assert abs(sum(count.errors for count in ours) - sum(theirs)) <= 2.5
    assert sum(abs(count.errors - other) < 0.5 for count, other in zip(ours, theirs, strict=True)) >= 6


def test_windows_give_a_long_recording_the_text_of_one_pass(model: EncDecCTCModel, utterances: list[dict]) -> None:
    ends = list(itertools.accumulate(line["duration"] for line in utterances))
    some = utterances[: next(i for i, end in enumerate(ends) if end > 130) + 1]
    joined = np.concatenate([read(line["path"], sample_rate=16000).samples for line in some])
    recogniser = FrameRecogniser(TorchScorer(model), model.decoding, window_seconds=110.0, keep=True)
    whole = recogniser.recognise([joined])[0]
    blocks = [joined[a:b] for a, b in itertools.pairwise([*range(0, len(joined), 300_007), len(joined)])]
    windows = recogniser.recognise_long(lambda: blocks)
    assert len(whole.words) > 200
    assert windows.text == whole.text
    np.testing.assert_allclose(windows.y_sequence, whole.y_sequence, atol=0.02)


def test_the_fast_form_is_within_a_ten_thousandth_of_the_plain_one(model: EncDecCTCModel) -> None:
    torch.manual_seed(0)
    features, lengths = torch.randn(2, 64, 401), torch.tensor([401, 333])
    with torch.no_grad():
        plain, fast = (
            model.decoder(encoder_output=run(features, lengths)[0])
            for run in (model.encoder.plain, model.encoder.encode)
        )
    assert float((fast - plain).abs().max() / plain.abs().max()) <= 1e-4
