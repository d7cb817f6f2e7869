from __future__ import annotations

import pytest

from seaspeak.collections.tts.models import SpectrogramGenerator
from seaspeak.collections.tts.models.fastpitch import FastPitchModel


@pytest.fixture(scope="module")
def voice() -> FastPitchModel:
    model = SpectrogramGenerator.from_pretrained("seaspeak_en_fastpitch")
    assert isinstance(model, FastPitchModel)
    return model.eval()


def test_voice_says_every_word_at_its_time(voice: FastPitchModel) -> None:
    utterance = voice.synthesize("The ship leaves at 9, doesn't it?")
    assert [word.text for word in utterance.words] == ["The", "ship", "leaves", "at", "9,", "doesn't", "it?"]
    bounds = [frame for word in utterance.words for frame in (word.start, word.end)]
    assert bounds == sorted(bounds) and bounds[0] > 0 and bounds[-1] <= utterance.spec.shape[1]
    assert 1.0 < utterance.spec.shape[1] * 256 / 22050 < 4.0


def test_the_same_text_gives_the_same_spectrogram(voice: FastPitchModel) -> None:
    first, second = (voice.synthesize("Good morning.").spec for _ in range(2))
    assert first.equal(second)


def test_a_word_that_no_dictionary_has_is_pronounced_not_spelt(voice: FastPitchModel) -> None:
    symbols = [voice.vocab.tokens[token] for token in voice.parse("Blorptastic")[0].tolist()]
    assert not [symbol for symbol in symbols if symbol.isalpha() and symbol.islower()]
