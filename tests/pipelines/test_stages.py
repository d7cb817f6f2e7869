from __future__ import annotations

from typing import Any

import pytest
import torch

from seaspeak.core import NeuralGraph, NeuralTypeError, graph_input
from seaspeak.core.types import AudioSignal, LengthsType, NeuralType
from seaspeak.pipelines.stages import Synthesis, TimedTextType, Vocoding
from tests import voices
from tests.pipelines.conftest import Models

TEXTS = NeuralType("[B]", TimedTextType())


def test_ports_are_those_of_forward_refined_by_the_models(models: Models) -> None:
    assert models.recognition.input_types == {
        "audio_signal": NeuralType("B T", AudioSignal(16000)),
        "audio_length": NeuralType("B", LengthsType()),
    }
    assert models.synthesis.output_types["spectrogram"].text == "MelSpectrogramType, axes B D:24 T"
    assert models.vocoding.output_types["audio_signal"].text == "AudioSignal(freq=22050), axes B T"


def wirings(models: Models) -> dict[str, Any]:
    """Calls that connect what does not fit, and what the refusal says."""
    lengths = graph_input("n", NeuralType("B", LengthsType()))
    at_8k = graph_input("a", NeuralType("B T", AudioSignal(8000)))
    texts = graph_input("t", TEXTS)
    mel, frames = models.synthesis(text=texts)
    sound = models.vocoding(spectrogram=mel, spectrogram_length=frames)
    return {
        "sound of another rate": (
            lambda: models.recognition(audio_signal=at_8k, audio_length=lengths),
            r"resample.*8000, 16000",
        ),
        "what was spoken, heard without resampling": (
            lambda: models.recognition(**sound._asdict()),
            r"output 'audio_signal' of Vocoding[\s\S]*22050, 16000",
        ),
        "a spectrogram as text": (lambda: models.synthesis(text=mel), r"input 'text' of Synthesis does not accept"),
        "text as a spectrogram": (
            lambda: models.vocoding(spectrogram=texts, spectrogram_length=frames),
            r"input 'spectrogram' of Vocoding does not accept",
        ),
        "sound as text": (lambda: models.punctuation(transcript=at_8k), r"input 'transcript' of Punctuation"),
        "other bands": (
            lambda: Vocoding(voices.vocoder(features=80))(spectrogram=mel, spectrogram_length=frames),
            r"resize dimension from 24 to 80|D from 24 to 80|from 24 to 80",
        ),
        "lengths left out": (lambda: models.vocoding(spectrogram=mel), r"needs input 'spectrogram_length'"),
    }


@pytest.mark.parametrize(
    "case",
    [
        "sound of another rate",
        "what was spoken, heard without resampling",
        "a spectrogram as text",
        "text as a spectrogram",
        "sound as text",
        "other bands",
        "lengths left out",
    ],
)
def test_wrong_wirings_are_refused_before_anything_runs(case: str, models: Models) -> None:
    connect, message = wirings(models)[case]
    with pytest.raises(NeuralTypeError, match=message):
        connect()


def test_padding_changes_nothing(models: Models) -> None:
    texts = ["A short text.", "A text that is a good deal longer than the other one."]
    graph = speaking(models.synthesis, models.vocoding)
    together = graph(text=texts)
    for place, text in enumerate(texts):
        alone = graph(text=[text])
        length = int(alone.audio_length[0])
        assert int(together.audio_length[place]) == length
        torch.testing.assert_close(together.audio_signal[place, :length], alone.audio_signal[0], atol=1e-6, rtol=1e-5)


def speaking(synthesis: Synthesis, vocoding: Vocoding) -> NeuralGraph:
    spectrogram, frames = synthesis(text=graph_input("text", TEXTS))
    return NeuralGraph(outputs=vocoding(spectrogram=spectrogram, spectrogram_length=frames)._asdict())
