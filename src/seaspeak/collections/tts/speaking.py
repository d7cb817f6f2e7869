"""Speaking: texts of any length to sound, sentence by sentence, with the time of each word.

    speaker = Speaker(generator, vocoder)
    for chunk in speaker.stream("The first sentence. The second one."):
        play(chunk.samples)                       # begins before the second sentence is thought of
    speech = speaker.speak("Hello, world.")       # all at once: speech.samples, speech.transcript

A sentence is a spectrogram, whose sound comes in chunks if the vocoder can make it so. However long the text, only one
sentence is held at a time. The same text and seed give the same samples.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seaspeak.collections.tts.models.base import SpectrogramGenerator, Utterance, Vocoder, check_fit
from seaspeak.core.errors import DataError, ModelError
from seaspeak.text.sentences import split
from seaspeak.text.transcript import Segment, Transcript, Word
from seaspeak.text.unspeakable import speakable, unspeakable

Samples = NDArray[np.float32]
T = TypeVar("T")

SPEEDS = (0.25, 4.0)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence that is being spoken.

    Attributes:
        segment: its text and words with their times, in seconds from the start of the whole speech.
        spectrogram: (n_mels, T).
    """

    segment: Segment
    spectrogram: Tensor = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of sound.

    Attributes:
        samples: (num_samples,), float32.
        sentence: the sentence that begins with it; None while one goes on.
    """

    samples: Samples
    sentence: Sentence | None = None


@dataclass(frozen=True)
class Speech:
    """A text as sound.

    Attributes:
        samples: (num_samples,), float32.
        sample_rate: in Hz.
        sentences: what was spoken, in order.
        left_out: symbols that cannot be spoken, and how often they occurred.
    """

    samples: Samples
    sample_rate: int
    sentences: tuple[Sentence, ...]
    left_out: Counter[str]

    @property
    def duration(self) -> float:
        """In seconds."""
        return len(self.samples) / self.sample_rate

    @property
    def transcript(self) -> Transcript:
        """What was spoken, with the times of sentences and words."""
        return transcript_of(self.sentences, self.duration)


def transcript_of(sentences: Iterable[Sentence], duration: float) -> Transcript:
    """Return sentences as one text with times, which all writers of transcripts take."""
    segments = tuple(sentence.segment for sentence in sentences)
    return Transcript(" ".join(segment.text for segment in segments), segments, duration)


class Speaker:
    """A voice: what makes spectrograms of texts, and what makes sound of spectrograms.

    Args:
        generator: makes the spectrograms.
        vocoder: makes the sound.
        speed: 2 for twice as fast.
        pause: seconds of silence after each sentence.
        seed: of what is drawn by lot in models that do so.

    Raises:
        ConfigError: the vocoder was made for other spectrograms; the message says which one to take.
        ModelError: a speed that nobody can follow.
    """

    def __init__(
        self,
        generator: SpectrogramGenerator,
        vocoder: Vocoder,
        *,
        speed: float = 1.0,
        pause: float = 0.25,
        seed: int = 0,
    ) -> None:
        check_fit(generator, vocoder)
        if not SPEEDS[0] <= speed <= SPEEDS[1]:
            raise ModelError(
                "nobody speaks at this speed", got=f"{speed:g}", expected=f"{SPEEDS[0]:g} to {SPEEDS[1]:g}"
            )
        self.generator, self.vocoder = generator.eval(), vocoder.eval()
        self.speed, self.pause, self.seed = speed, pause, seed

    @property
    def sample_rate(self) -> int:
        """Of the sound, in Hz."""
        return self.vocoder.mel_recipe.sample_rate

    def speak(self, text: str) -> Speech:
        """Return a text as sound.

        Raises:
            DataError: there is nothing in it that can be spoken.
        """
        chunks = list(self.stream(text))
        return Speech(
            np.concatenate([chunk.samples for chunk in chunks]),
            self.sample_rate,
            tuple(chunk.sentence for chunk in chunks if chunk.sentence is not None),
            unspeakable(text),
        )

    def stream(self, text: str) -> Iterator[Chunk]:
        """Yield a text as sound, piece by piece.

        Raises:
            DataError: there is nothing in it that can be spoken.
        """
        lot = _Lot(self.seed)
        spoken = 0
        for sentence in _sentences(text):
            for chunk in self._say(sentence, spoken / self.sample_rate, lot):
                spoken += len(chunk.samples)
                yield chunk
        if not spoken:
            raise nothing_to_say(text)

    def _say(self, text: str, start: float, lot: _Lot) -> Iterator[Chunk]:
        """Yield one sentence, which begins ``start`` seconds after the first, and the pause after it."""
        with lot.cast():
            utterance = self.generator.synthesize(text, pace=self.speed)
        sentence: Sentence | None = self._timed(text, utterance, start)
        for samples in self._sound(utterance.spec, lot):
            yield Chunk(samples, sentence)
            sentence = None
        yield Chunk(np.zeros(round(self.pause * self.sample_rate), np.float32), sentence)

    def _sound(self, spec: Tensor, lot: _Lot) -> Iterator[Samples]:
        with lot.cast():
            pieces = iter(self.vocoder.stream(spec[None].to(self.vocoder.device)))
        while True:
            with lot.cast():
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece[0].float().cpu().numpy()

    def _timed(self, text: str, utterance: Utterance, start: float) -> Sentence:
        recipe = self.generator.mel_recipe
        frame = recipe.hop_length / recipe.sample_rate
        words = tuple(Word(word.text, start + word.start * frame, start + word.end * frame) for word in utterance.words)
        end = start + utterance.spec.shape[-1] * frame
        return Sentence(Segment(text, start, end, words), utterance.spec.cpu())


def sentences_of(text: str) -> list[str]:
    """Return the sentences of a text that have something to say, without the symbols that cannot be spoken."""
    return list(_sentences(text))


def _sentences(text: str) -> Iterator[str]:
    return filter(None, map(speakable, split(text)))


def nothing_to_say(text: str) -> DataError:
    """Return the error for a text without a word."""
    if not text.strip():
        return DataError("the text is empty: there is nothing to say", fix="give some words")
    shown = text.strip() if len(text.strip()) <= 40 else f"{text.strip()[:40]}..."
    return DataError("the text holds no words: there is nothing to say", got=repr(shown), expected="words or numbers")


def describe_left_out(left_out: Counter[str]) -> str:
    """Return one sentence about symbols that are not spoken; empty if there are none.

    >>> describe_left_out(Counter({"語": 2}))
    "left out 2 symbols that cannot be spoken: 2 × '語'"
    """
    if not left_out:
        return ""
    count = left_out.total()
    named = ", ".join(f"{times} × {symbol!r}" for symbol, times in left_out.most_common(8))
    more = f" and {len(left_out) - 8} others" if len(left_out) > 8 else ""
    return f"left out {count} symbol{'s' * (count > 1)} that cannot be spoken: {named}{more}"


class _Lot:
    """Random numbers of its own: within ``cast`` torch draws from here, and goes on afterwards as if nothing was."""

    def __init__(self, seed: int) -> None:
        self._state = torch.Generator().manual_seed(seed).get_state()

    @contextlib.contextmanager
    def cast(self) -> Iterator[None]:
        outside = torch.get_rng_state()
        torch.set_rng_state(self._state)
        try:
            yield
        finally:
            self._state = torch.get_rng_state()
            torch.set_rng_state(outside)
