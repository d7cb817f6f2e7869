from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from seaspeak.collections.asr.transcription import collect, iter_transcribe, transcribe
from seaspeak.core.errors import AudioError, ConfigError, FileMissingError, SeaspeakError
from seaspeak.text.transcript import Transcript, Word, group_words


class Counter:
    """Hears how long a recording is, to the millisecond, and nothing else."""

    sample_rate = 16000

    def __init__(self, max_seconds: float | None = None) -> None:
        self.max_seconds = max_seconds
        self.batches: list[list[int]] = []

    def recognise(self, signals: Sequence[np.ndarray]) -> list[Transcript]:
        self.batches.append([len(signal) for signal in signals])
        return [self.hear(signal) for signal in signals]

    def hear(self, signal: np.ndarray) -> Transcript:
        assert signal.dtype == np.float32 and signal.ndim == 1
        text = str(round(len(signal) / 16))
        seconds = len(signal) / self.sample_rate
        return Transcript(text, group_words([Word(text, 0.0, seconds)]), duration=seconds)


def tone(seconds: float, rate: int = 16000) -> np.ndarray:
    return (0.1 * np.sin(np.arange(round(seconds * rate)))).astype(np.float32)


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "one.wav"
    soundfile.write(path, tone(1.0), 16000)
    return path


def test_every_kind_of_input_is_heard(wav: Path, tmp_path: Path) -> None:
    stereo = tmp_path / "stereo.flac"
    soundfile.write(stereo, np.stack([tone(0.5, 44100)] * 2, axis=1), 44100)
    inputs = [
        wav,
        str(wav),
        wav.read_bytes(),
        io.BytesIO(wav.read_bytes()),
        tone(2.0),
        torch.from_numpy(tone(3.0)),
        (tone(1.0, 8000), 8000),
        (torch.from_numpy(tone(1.0, 8000)), 8000),
        tone(1.5)[:, None],
        stereo,
    ]
    found = [transcript.text for transcript in transcribe(Counter(), inputs)]
    assert found == ["1000", "1000", "1000", "1000", "2000", "3000", "1000", "1000", "1500", "500"]
    for one in inputs[:9]:
        assert len(transcribe(Counter(), one if not hasattr(one, "seek") else wav)) == 1
    assert [t.text for t in transcribe(Counter(), tone(1.0, 8000), sample_rate=8000)] == ["1000"]
    assert [t.text for t in transcribe(Counter(), (piece for piece in [tone(1.0), wav]))] == ["1000", "1000"]


def test_nothing_gives_nothing() -> None:
    assert transcribe(Counter(), []) == []
    with pytest.raises(ConfigError, match="needs recordings"):
        transcribe(Counter(), None)
    with pytest.raises(ConfigError, match="recording 1 is nothing that can be transcribed"):
        transcribe(Counter(), [tone(1.0), object()])


def test_a_manifest_lists_recordings_and_parts_of_them(wav: Path) -> None:
    manifest = wav.with_name("list.json")
    lines = [
        {"audio_filepath": "one.wav", "duration": 1.0, "text": "x"},
        {"audio_filepath": str(wav), "duration": 0.25, "offset": 0.5, "text": "y"},
    ]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [t.text for t in transcribe(Counter(), str(manifest))] == ["1000", "250"]


def test_long_recordings_come_first_and_results_in_the_order_given() -> None:
    recogniser = Counter()
    lengths = [0.5, 3.0, 1.0, 2.0, 0.25]
    found = transcribe(recogniser, [tone(length) for length in lengths], batch_size=2)
    assert [t.text for t in found] == ["500", "3000", "1000", "2000", "250"]
    assert recogniser.batches == [[48000, 32000], [16000, 8000], [4000]]
    ahead = transcribe(Counter(), [tone(length) for length in lengths], batch_size=2, num_workers=2)
    assert ahead == found


def test_a_batch_holds_a_bounded_amount_of_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seaspeak.collections.asr.transcription.BATCH_SECONDS", 4.0)
    recogniser = Counter()
    transcribe(recogniser, [tone(3.0), tone(2.0), tone(2.0), tone(1.0)], batch_size=8)
    assert [[round(n / 16000) for n in batch] for batch in recogniser.batches] == [[3], [2, 2], [1]]


def test_a_bad_recording_is_named_and_the_others_are_done(wav: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.wav"
    text.write_text("this is no recording")
    empty = tmp_path / "empty.wav"
    empty.write_bytes(b"")
    nan = tone(1.0)
    nan[5] = np.nan
    sources = [wav, text, tmp_path / "missing.wav", empty, nan, b"nothing", tone(2.0)]
    found = dict(iter_transcribe(Counter(), sources))
    assert [isinstance(found[place], SeaspeakError) for place in range(7)] == [
        False,
        True,
        True,
        True,
        True,
        True,
        False,
    ]
    assert "text.wav" in str(found[1]) and "empty.wav" in str(found[3])
    assert isinstance(found[2], FileMissingError)
    assert "recording 4" in str(found[4]) and "recording 5" in str(found[5])
    with pytest.raises(SeaspeakError):
        transcribe(Counter(), sources)
    with pytest.raises(AudioError, match="is no binary file"):
        transcribe(Counter(), io.StringIO("text"))


def test_long_recordings_are_cut_where_it_is_quiet_and_joined() -> None:
    samples = tone(7.0)
    samples[28000:32000] = 0.0
    recogniser = Counter(max_seconds=3.0)
    found = transcribe(recogniser, [samples, tone(1.0)])
    pieces = [int(word.text) for word in found[0].words]
    assert sum(pieces) == 7000 and max(pieces) <= 3000
    assert found[0].words[1].start == pytest.approx(pieces[0] / 1000)
    assert 1.75 <= found[0].words[1].start <= 2.0
    assert found[0].duration == 7.0 and found[1].text == "1000"


def test_channels_can_be_chosen(tmp_path: Path) -> None:
    path = tmp_path / "two.wav"
    soundfile.write(path, np.stack([tone(0.5), np.zeros(8000, np.float32)], axis=1), 16000)
    seen: list[float] = []

    class Loudness(Counter):
        def hear(self, signal: np.ndarray) -> Transcript:
            seen.append(float(np.abs(signal).max()))
            return super().hear(signal)

    for selector in (None, 0, 1, [0, 1], "average"):
        transcribe(Loudness(), path, channel_selector=selector)
    assert seen == pytest.approx([0.05, 0.1, 0.0, 0.05, 0.05], abs=1e-3)


def test_pairs_are_told_from_lists() -> None:
    assert len(collect((tone(1.0), 16000), sample_rate=16000)) == 1
    assert len(collect([tone(1.0), tone(1.0)], sample_rate=16000)) == 2
    assert len(collect((Path("a.wav"), Path("b.wav")), sample_rate=16000)) == 2


def test_batches_of_no_size_are_refused() -> None:
    with pytest.raises(ConfigError, match="batch_size has to be at least 1"):
        transcribe(Counter(), [tone(1.0)], batch_size=0)
