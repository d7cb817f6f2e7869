"""A recogniser that listens to voices."""

from __future__ import annotations

import pytest

from seaspeak.collections.tts.metrics import Listener
from seaspeak.collections.tts.models import SpectrogramGenerator
from seaspeak.core.errors import ConfigError, UnknownNameError
from tests import voices


@pytest.fixture(scope="module")
def listener() -> Listener:
    return Listener()


@pytest.mark.slow
def test_the_voice_that_ships_is_understood_and_one_that_murmurs_is_not(listener: Listener) -> None:
    texts = ["The weather is nice today.", "Twenty-one people came."]
    voice = SpectrogramGenerator.from_pretrained("seaspeak_en_fastpitch").eval()
    heard = listener(voice, texts)
    assert len(heard.texts) == 2 and heard.cer < 0.2 and heard.wer < 0.5
    assert listener(voices.generator(features=80), texts).cer > 0.6


def test_a_listener_that_cannot_hear_says_why(listener: Listener) -> None:
    with pytest.raises(ConfigError, match=r"does not understand the spectrograms[\s\S]*n_mels 24, not 80"):
        listener(voices.generator(), ["Hello."])
    with pytest.raises(UnknownNameError, match="no_recogniser"):
        Listener(recogniser="no_recogniser")
