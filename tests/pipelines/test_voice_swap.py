from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from seaspeak.audio.io import read
from seaspeak.core.errors import AudioError, ConfigError, FileMissingError, UnknownNameError
from seaspeak.pipelines.voice_swap import VoiceSwap
from tests import voices
from tests.pipelines.conftest import SAMPLES, Models

BOATS, GARDEN, LIBRARY = (SAMPLES / name for name in ("boats.flac", "garden.flac", "library.ogg"))


@pytest.fixture(scope="module")
def swapper(models: Models) -> VoiceSwap:
    return VoiceSwap(models.recognition.model, models.punctuation.model, voices.generator(), voices.vocoder())


def test_everything_on_the_way_is_there(swapper: VoiceSwap) -> None:
    result = swapper(BOATS)
    words = [word.text for word in result.transcript.words]
    assert result.transcript.text.split() == words and len(words) > 8
    assert [word.strip(".,?!").lower() for word in result.text.split()] == words
    assert [(w.start, w.end) for w in result.heard.punctuated.words] == [
        (w.start, w.end) for w in result.transcript.words
    ]
    assert all(spec.shape[0] == voices.BANDS for spec in result.spectrograms)
    assert len(result.spoken.words) == len(words)
    assert np.isfinite(result.samples).all() and result.sample_rate == 22050
    assert all(factor > 0 for factor in result.real_time_factors.values())
    assert result.heard.name == str(BOATS) and not result.left_out
    assert result._repr_html_().count("<audio controls") == 2 and result.transcript.text in result._repr_html_()


def test_the_graph_is_the_whole_in_one_call(swapper: VoiceSwap) -> None:
    recording = read(BOATS, sample_rate=16000).samples
    values = swapper.graph.run(
        {"audio_signal": torch.from_numpy(recording)[None], "audio_length": torch.tensor([len(recording)])}
    )
    result = swapper(BOATS)
    assert values["text"][0].text == result.text
    [sentence] = result.sentences
    torch.testing.assert_close(values["spectrogram"][0], sentence.spectrogram)
    n = int(values["audio_length"][0])
    np.testing.assert_allclose(values["audio_signal"][0].numpy(), result.samples[:n], atol=1e-5)


def test_what_is_not_asked_for_is_not_computed(swapper: VoiceSwap, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swapper.speaker.generator, "synthesize", None)  # nothing may call it
    [heard] = swapper.hear([BOATS])
    assert heard.punctuated.text


def test_a_batch_gives_what_one_by_one_gives(swapper: VoiceSwap) -> None:
    files = [BOATS, GARDEN, LIBRARY]
    for together, path in zip(swapper.batch(files, batch_size=2), files, strict=True):
        alone = swapper(path)
        assert together.text == alone.text and together.heard.name == str(path)
        np.testing.assert_array_equal(together.samples, alone.samples)


def test_sentences_come_while_others_wait(swapper: VoiceSwap) -> None:
    [heard] = swapper.hear([SAMPLES / "lighthouse.opus"])
    stream = swapper.stream(heard)
    first = next(stream)
    assert first.sentence is not None and first.sentence.segment.start == 0
    sentences = 1 + sum(chunk.sentence is not None for chunk in stream)
    assert sentences > 1


def test_pairs_of_samples_and_rate_are_recordings_too(swapper: VoiceSwap) -> None:
    sound = read(BOATS)
    assert swapper((sound.samples, sound.sample_rate)).text == swapper(BOATS).text
    assert swapper(BOATS.read_bytes()).heard.name == "recording 1"


def test_punctuation_can_be_left_out(swapper: VoiceSwap, models: Models) -> None:
    plain = VoiceSwap(models.recognition.model, None, swapper.speaker.generator, swapper.speaker.vocoder)
    result = plain(BOATS)
    assert result.text == result.transcript.text
    assert "punctuation" not in list(plain.graph)


def test_stages_by_archive_are_those_by_object(swapper: VoiceSwap, models: Models, tmp_path: Path) -> None:
    places = voices.archives(tmp_path)
    archived = VoiceSwap("seaspeak_en_recogniser", models.punctuation.model, places["tts"], str(places["vocoder"]))
    np.testing.assert_allclose(archived(BOATS).samples, swapper(BOATS).samples, atol=1e-5)
    assert archived.names["asr"] == "seaspeak_en_recogniser" and archived.names["tts"] == "generator.nemo"


@pytest.mark.parametrize(
    ("asr", "tts", "vocoder"),
    [
        ("quartznet5x5_tiny", 24, "hifigan_v1_tiny"),
        ("v1_quartznet5x5", 24, "hifigan_v3_tiny"),
        ("jasper10x5dr_tiny", 6, "waveglow_tiny"),
        ("quartznet15x5_tiny", "tacotron2_tiny", 16),
    ],
)
def test_archives_of_nemos_take_each_place(
    asr: str, tts: str | int, vocoder: str | int, shared: Path, models: Models
) -> None:
    """Where NeMo's smallest archives have spectrograms of their own size, a model of that size stands beside them."""
    fixtures = shared / "fixtures"
    swapper = VoiceSwap(
        fixtures / "asr" / asr / "model.nemo",
        fixtures / "nlp" / "punctuation_capitalization_tiny" / "model.nemo",
        voices.generator(features=tts) if isinstance(tts, int) else fixtures / "tts" / tts / "model.nemo",
        voices.vocoder(features=vocoder) if isinstance(vocoder, int) else fixtures / "tts" / vocoder / "model.nemo",
    )
    result = swapper((read(BOATS).samples[:16000], 16000))
    assert result.text and len(result.samples) > 1000 and np.isfinite(result.samples).all()
    assert set(result.text.lower()) - set(".,?") == set(result.transcript.text)
    assert "Synthesis" in swapper.draw()


def test_a_generator_that_cannot_read_says_so(shared: Path, models: Models) -> None:
    silent = shared / "fixtures" / "tts" / "fastpitch_tiny" / "model.nemo"
    swapper = VoiceSwap(models.recognition.model, None, silent, voices.vocoder(features=20))
    with pytest.raises(ConfigError, match="cannot read text"):
        swapper(BOATS)


def test_a_model_in_the_wrong_place_is_named(models: Models, tmp_path: Path) -> None:
    places = voices.archives(tmp_path)
    with pytest.raises(
        ConfigError, match=r"HifiGanModel cannot take the place of SpectrogramGenerator[\s\S]*vocoder\.nemo"
    ):
        VoiceSwap(models.recognition.model, None, places["vocoder"], places["vocoder"])
    with pytest.raises(ConfigError, match="FastPitchModel cannot take the place of ASRModel"):
        VoiceSwap(voices.generator(), None, places["tts"], places["vocoder"])
    with pytest.raises(FileMissingError):
        VoiceSwap(models.recognition.model, None, tmp_path / "gone.nemo", places["vocoder"])
    with pytest.raises(UnknownNameError, match="did you mean 'seaspeak_en_recogniser'"):
        VoiceSwap("seaspeak_en_recognizer", None, places["tts"], places["vocoder"])


def test_a_vocoder_of_another_recipe_is_refused(models: Models) -> None:
    with pytest.raises(ConfigError, match=r"does not understand the spectrograms[\s\S]*fix"):
        VoiceSwap(models.recognition.model, None, voices.generator(), voices.vocoder(highfreq=11025))


@pytest.mark.parametrize("seconds", [0.3, 2.0])
def test_a_recording_without_speech_is_one_clear_error(seconds: float, swapper: VoiceSwap) -> None:
    silence = np.zeros(round(16000 * seconds), np.float32)
    with pytest.raises(AudioError, match=r"nobody was heard speaking in recording 2[\s\S]*without a word"):
        swapper.hear([BOATS, (silence, 16000)])


def test_it_draws_itself(swapper: VoiceSwap) -> None:
    drawing = swapper.draw()
    assert drawing.startswith("flowchart LR")
    for stage in (
        "Recognition",
        "Punctuation",
        "Synthesis",
        "Vocoding",
        "AudioSignal(freq=16000)",
        "AudioSignal(freq=22050)",
    ):
        assert stage in drawing
