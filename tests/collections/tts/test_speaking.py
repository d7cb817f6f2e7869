from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seaspeak.collections.tts.speaking import Speaker, describe_left_out, sentences_of
from seaspeak.core.errors import ConfigError, DataError, ModelError
from tests import voices

TEXT = "The first sentence is short. Is the second one a question? Yes, it is!"


@pytest.fixture(scope="module")
def pair() -> tuple[Any, Any]:
    return voices.generator(), voices.vocoder()


@pytest.fixture(scope="module")
def speaker(pair: tuple[Any, Any]) -> Speaker:
    return Speaker(*pair)


def test_chunks_joined_are_the_whole(speaker: Speaker) -> None:
    joined = np.concatenate([chunk.samples for chunk in speaker.stream(TEXT)])
    np.testing.assert_array_equal(joined, speaker.speak(TEXT).samples)


def test_every_sentence_sounds_as_it_does_alone(speaker: Speaker) -> None:
    alone = [speaker.speak(sentence).samples for sentence in sentences_of(TEXT)]
    assert len(alone) == 3
    np.testing.assert_array_equal(np.concatenate(alone), speaker.speak(TEXT).samples)


def test_sound_starts_before_the_next_sentence_is_thought_of(speaker: Speaker, monkeypatch: pytest.MonkeyPatch) -> None:
    thought: list[str] = []
    synthesize = speaker.generator.synthesize

    def noted(text: str, **kwargs: Any) -> Any:
        thought.append(text)
        return synthesize(text, **kwargs)

    monkeypatch.setattr(speaker.generator, "synthesize", noted)
    first = next(speaker.stream(TEXT))
    assert len(first.samples) and thought == [sentences_of(TEXT)[0]]


def test_words_are_timed_in_order_within_their_sentences(speaker: Speaker) -> None:
    speech = speaker.speak(TEXT)
    words = speech.transcript.words
    assert [word.text.strip(".,?!").lower() for word in words] == [w.strip(".,?!").lower() for w in TEXT.split()]
    assert all(word.start < word.end for word in words)
    assert all(before.end <= after.start + 1e-6 for before, after in itertools.pairwise(words))
    assert words[-1].end <= speech.duration
    for sentence in speech.sentences:
        segment, hop = sentence.segment, 256 / 22050
        assert segment.end - segment.start == pytest.approx(sentence.spectrogram.shape[1] * hop)
        assert segment.start <= segment.words[0].start and segment.words[-1].end <= segment.end + 1e-6
    assert speech.transcript.text == TEXT


def test_a_pause_follows_each_sentence(pair: tuple[Any, Any]) -> None:
    silent = [Speaker(*pair, pause=seconds).speak(TEXT).samples for seconds in (0.0, 0.5)]
    assert len(silent[1]) - len(silent[0]) == 3 * round(0.5 * 22050)
    assert not silent[1][-round(0.5 * 22050) :].any()


def test_faster_speech_is_shorter(pair: tuple[Any, Any]) -> None:
    slow, usual, fast = (Speaker(*pair, speed=speed, pause=0).speak(TEXT).duration for speed in (0.5, 1, 2))
    assert slow > 1.5 * usual > 2 * fast


@pytest.mark.parametrize("speed", [0, -1, 100, float("nan")])
def test_impossible_speeds_are_refused(speed: float, pair: tuple[Any, Any]) -> None:
    with pytest.raises(ModelError, match=r"nobody speaks at this speed[\s\S]*0.25 to 4"):
        Speaker(*pair, speed=speed)


def test_same_text_and_seed_give_the_same_samples_and_leave_torch_alone(pair: tuple[Any, Any]) -> None:
    class Hissing(type(pair[1])):  # type: ignore[misc]
        def stream(self, spec, **kwargs):
            for chunk in super().stream(spec, **kwargs):
                yield chunk + 0.01 * torch.randn_like(chunk)

    hissing = voices.vocoder()
    hissing.__class__ = Hissing
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, again = (Speaker(pair[0], hissing, seed=3).speak(TEXT).samples for _ in range(2))
    assert torch.equal(torch.rand(3), expected)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, Speaker(pair[0], hissing, seed=4).speak(TEXT).samples)


def test_symbols_that_cannot_be_spoken_are_left_out_and_counted(speaker: Speaker) -> None:
    speech = speaker.speak("Good 🎉 morning 語 and 語 good night.")
    assert speech.left_out == Counter({"語": 2, "🎉": 1})
    np.testing.assert_array_equal(speech.samples, speaker.speak("Good morning and good night.").samples)
    assert describe_left_out(speech.left_out) == "left out 3 symbols that cannot be spoken: 2 × '語', 1 × '🎉'"


@pytest.mark.parametrize("speed", [1, 4])
@pytest.mark.parametrize("text", ["N", "a", "I.", "7", "é"])
def test_the_shortest_texts_are_heard(text: str, speed: float, pair: tuple[Any, Any]) -> None:
    pair[0].fastpitch.duration_predictor.fc.bias.data.fill_(-3.0)  # no token would last a frame
    try:
        speech = Speaker(*pair, speed=speed, pause=0).speak(text)
    finally:
        pair[0].fastpitch.duration_predictor.fc.bias.data.fill_(1.8)
    assert len(speech.samples) == 256 and [word.text for word in speech.transcript.words] == [text]


def test_what_is_written_is_timed_and_what_it_means_is_spoken(speaker: Speaker) -> None:
    written = "Dr. Smith paid $3.50 on 12/05/2021 at 10:30 for 5 km."
    spoken = (
        "doctor Smith paid three dollars and fifty cents on december fifth twenty twenty one at ten thirty "
        "for five kilometers."
    )
    speech = speaker.speak(written)
    np.testing.assert_array_equal(speech.samples, speaker.speak(spoken).samples)
    assert [word.text for word in speech.transcript.words] == written.split() and speech.transcript.text == written


@pytest.mark.parametrize("text", ["", "  \n ", "...", "?!", "- — -", "🎉", "漢字"])
def test_a_text_without_words_is_one_clear_error(text: str, speaker: Speaker) -> None:
    with pytest.raises(DataError, match="there is nothing to say"):
        speaker.speak(text)


@given(text=st.text(max_size=40))
@example(text="N")  # of which nothing is heard but for the one frame that every text gets
@example(text="9" * 60)
@settings(max_examples=15)
def test_any_text_is_spoken_or_refused_in_plain_words(text: str, speaker: Speaker) -> None:
    try:
        speech = speaker.speak(text)
    except DataError:
        return
    assert np.isfinite(speech.samples).all() and speech.duration > 0


def test_a_vocoder_of_another_recipe_is_refused_with_the_remedy(pair: tuple[Any, Any]) -> None:
    with pytest.raises(ConfigError, match=r"does not understand the spectrograms[\s\S]*fix +take a vocoder"):
        Speaker(pair[0], voices.vocoder(features=80))
    with pytest.raises(ConfigError, match=r"take a vocoder of 22050 Hz"):
        Speaker(pair[0], voices.vocoder(sample_rate=16000))


@pytest.mark.slow
def test_fifty_thousand_characters_are_spoken_one_sentence_at_a_time(pair: tuple[Any, Any]) -> None:
    sentence = "It goes on and on, " * 11 + "until it ends. "
    longest = spoken = 0
    for chunk in Speaker(*pair, speed=4).stream(sentence * (50_000 // len(sentence) + 1)):
        longest = max(longest, len(chunk.samples))
        spoken += chunk.sentence is not None
    assert spoken == 50_000 // len(sentence) + 1 and longest < 22050 * 10
