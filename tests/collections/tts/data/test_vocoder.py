from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from seaspeak.collections.tts.data import AudioDataset, MelAudioDataset, VocoderDataset
from seaspeak.collections.tts.data.vocoder import build_loader
from seaspeak.core.errors import ConfigError, DataError

HOP = 256


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Ramps of 40 and 3 frames; each spectrogram has the number of the frame in every band."""
    lines = []
    for name, frames in (("long", 40), ("short", 3)):
        ramp = (np.arange(frames * HOP) // HOP) / 64
        soundfile.write(tmp_path / f"{name}.wav", ramp, 22050, subtype="FLOAT")
        np.save(tmp_path / f"{name}.npy", np.tile(np.arange(frames, dtype=np.float32), (4, 1)))
        duration = frames * HOP / 22050
        lines.append({"audio_filepath": f"{name}.wav", "duration": duration, "mel_filepath": f"{name}.npy"})
    path = tmp_path / "manifest.json"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_whole_recordings_are_filled_up_to_the_longest(manifest: Path) -> None:
    data = VocoderDataset(manifest, 22050)
    audio, lengths = data.collate_fn([data[0], data[1]])
    assert audio.shape == (2, 40 * HOP) and lengths.tolist() == [40 * HOP, 3 * HOP]
    assert not audio[1, 3 * HOP :].any()


def test_pieces_begin_anywhere_and_short_recordings_are_filled_up(manifest: Path) -> None:
    torch.manual_seed(0)
    data = AudioDataset(manifest, n_segments=8 * HOP, sample_rate=22050)
    pieces = [data[0] for _ in range(20)]
    assert {tuple(audio.shape) for audio, _ in pieces} == {(8 * HOP,)}
    assert len({float(audio[0]) for audio, _ in pieces}) > 5
    audio, length = data[1]
    assert audio.shape == (8 * HOP,) and int(length) == 3 * HOP


@pytest.mark.parametrize("frames", [3, 8, 40])  # shorter than, as long as and longer than a recording has
def test_spectrograms_are_cut_as_the_samples_are(manifest: Path, frames: int) -> None:
    torch.manual_seed(0)
    data = MelAudioDataset(manifest, n_segments=frames * HOP, hop_length=HOP)
    for _ in range(10):
        audio, length, mel = data[0]
        assert audio.shape == (frames * HOP,) and mel.shape == (4, frames) and int(length) == frames * HOP
        torch.testing.assert_close(audio[::HOP], mel[0] / 64)
    assert data[1][2].shape == (4, frames)


def test_a_spectrogram_of_another_recording_is_refused(manifest: Path) -> None:
    np.save(manifest.parent / "long.npy", np.zeros((4, 33), dtype=np.float32))
    data = MelAudioDataset(manifest, n_segments=8 * HOP, hop_length=HOP)
    with pytest.raises(DataError, match=r"manifest\.json:1: the spectrogram is not of this recording"):
        data[0]


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY broken", b"PK\x03\x04"])
def test_a_damaged_spectrogram_is_named(manifest: Path, content: bytes) -> None:
    (manifest.parent / "long.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"long\.npy cannot be read"):
        MelAudioDataset(manifest, n_segments=8 * HOP, hop_length=HOP)[0]


def test_lines_without_spectrogram_are_left_out(manifest: Path) -> None:
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    del lines[0]["mel_filepath"]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    data = MelAudioDataset(manifest, n_segments=8 * HOP, hop_length=HOP)
    assert len(data) == 1 and data.manifest.dropped[0].reason == "without mel_filepath"


@pytest.mark.parametrize("options", [{}, {"n_segments": 1000, "hop_length": 256}, {"n_segments": 1024}])
def test_spectrograms_need_pieces_of_whole_frames(manifest: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="a multiple of hop_length"):
        VocoderDataset(manifest, 22050, load_precomputed_mel=True, **options)


def test_the_loader_of_a_section_says_what_is_missing(manifest: Path) -> None:
    dataset = {"_target_": "nemo.collections.asr.data.vocoder_dataset.AudioDataset", "manifest_filepath": str(manifest)}
    loader = build_loader({"dataset": dataset, "dataloader_params": {"batch_size": 2}}, section="train_ds")
    assert next(iter(loader))[0].shape == (2, 40 * HOP)
    with pytest.raises(ConfigError, match=r"train_ds\.dataset\._target_"):
        build_loader({}, section="train_ds")
    with pytest.raises(ConfigError, match="manifest_filepath"):
        build_loader({"dataset": {**dataset, "manifest_filepath": "???"}}, section="train_ds")
