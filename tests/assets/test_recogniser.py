"""The recogniser that ships."""

from __future__ import annotations

import json
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import soundfile

from seaspeak.audio import io as audio
from seaspeak.collections.asr.metrics.wer import word_error_rate
from seaspeak.collections.asr.models import ASRModel, WhisperModel

ASSETS = Path(str(resources.files("seaspeak") / "assets"))
sys.path.insert(0, str(Path(__file__).parents[2] / "examples/asr"))
RATE = 16000


@pytest.fixture(scope="module")
def recogniser() -> WhisperModel:
    return ASRModel.from_pretrained("seaspeak_en_recogniser", map_location="cpu")


def samples() -> list[dict[str, str]]:
    lines = (ASSETS / "samples/manifest.json").read_text().splitlines()
    return [json.loads(line) for line in lines]


def signal(path: Path) -> np.ndarray:
    return audio.read(path, sample_rate=RATE).samples


def test_it_is_small_and_has_a_card() -> None:
    assert (ASSETS / "models/seaspeak_en_recogniser.nemo").stat().st_size <= 24e6
    card = (ASSETS / "models/seaspeak_en_recogniser.md").read_text()
    assert all(word in card for word in ("MIT", "CC BY 4.0", "LibriSpeech", "whisper_finetune.py"))


def test_it_recognises_the_recordings_that_ship(recogniser: WhisperModel) -> None:
    entries = samples()
    found = recogniser.transcribe([str(ASSETS / "samples" / entry["audio_filepath"]) for entry in entries])
    assert word_error_rate(found, [entry["text"] for entry in entries]) <= 0.08


def test_a_batch_gives_what_each_clip_gives_alone(recogniser: WhisperModel) -> None:
    signals = [signal(ASSETS / "samples" / entry["audio_filepath"]) for entry in samples()]
    signals = [clip for clip in signals if len(clip) < 30 * RATE]
    with recogniser.recognising():
        together = recogniser.recognise(signals)
        alone = [recogniser.recognise([clip])[0] for clip in signals]
    assert [transcript.text for transcript in together] == [transcript.text for transcript in alone]
    for one, other in zip(together, alone, strict=True):
        times, expected = ([edge for word in t.words for edge in (word.start, word.end)] for t in (one, other))
        assert times == pytest.approx(expected, abs=0.041)


def test_it_writes_plain_words_with_times_in_order(recogniser: WhisperModel) -> None:
    entry = samples()[-1]
    transcript = recogniser.transcribe(str(ASSETS / "samples" / entry["audio_filepath"]), timestamps=True)[0]
    assert set(transcript.text) <= set(" 'abcdefghijklmnopqrstuvwxyz")
    edges = [edge for word in transcript.words for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    assert edges[-1] <= transcript.duration == pytest.approx(entry["duration"], abs=0.02)


def test_it_writes_nothing_where_nobody_speaks(recogniser: WhisperModel, shared: Path) -> None:
    from whisper_features import Noise

    noises = Noise(shared / "data/speech_commands/noise", seed=99)
    made = [np.zeros(5 * RATE), *(noises.music(5 * RATE) for _ in range(4)), noises.coloured(5 * RATE)]
    made += [noises.room(5 * RATE) for _ in range(3)] + [noises.hum(5 * RATE), noises.clicks(5 * RATE)]
    clips = [(0.3 * clip / max(1e-9, np.abs(clip).max())).astype(np.float32) for clip in made]
    assert recogniser.transcribe(clips, batch_size=len(clips)) == [""] * len(clips)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "every", "limit"), [("kathleen/dev.json", 1, 0.075), ("librispeech/dev/dev.json", 4, 0.2)]
)
def test_word_errors_on_the_development_lists(
    recogniser: WhisperModel, shared: Path, name: str, every: int, limit: float
) -> None:
    manifest = shared / "data" / name
    lines = [json.loads(line) for line in manifest.read_text().splitlines()][::every]
    found = recogniser.transcribe([str(manifest.parent / line["audio_filepath"]) for line in lines], batch_size=8)
    assert word_error_rate(found, [line["text"] for line in lines]) <= limit


@pytest.mark.slow
def test_clips_joined_into_one_recording_are_recognised_as_well(
    recogniser: WhisperModel, shared: Path, tmp_path: Path
) -> None:
    folder = shared / "data/kathleen"
    lines = [json.loads(line) for line in (folder / "dev.json").read_text().splitlines()]
    clips = [signal(folder / line["audio_filepath"]) for line in lines]
    texts = [line["text"] for line in lines]
    soundfile.write(tmp_path / "joined.flac", np.concatenate(clips), RATE)

    apart = word_error_rate(recogniser.transcribe(clips, batch_size=8), texts)
    together = word_error_rate(recogniser.transcribe(str(tmp_path / "joined.flac")), [" ".join(texts)])

    assert together - apart <= 0.015
