"""Voice swap: what somebody said, said by another voice.

    swap = VoiceSwap()                                     # the models that ship
    swap = VoiceSwap(asr="mine.nemo", vocoder=my_vocoder)  # a name, an archive, or a model for any stage
    result = swap("talk.wav")
    result.transcript.text, result.text, result.spectrograms, result.samples

The models are the nodes of one typed graph (``seaspeak.pipelines.stages``):

    AudioSignal -> recognition -> punctuation -> synthesis -> vocoding -> AudioSignal

Recordings of any length are heard whole and spoken sentence by sentence, so that sound comes before all is spoken.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seaspeak.audio.io import read
from seaspeak.audio.writing import encode
from seaspeak.collections.asr.models import ASRModel
from seaspeak.collections.nlp.models import PunctuationCapitalizationModel
from seaspeak.collections.tts.models import SpectrogramGenerator, Vocoder
from seaspeak.collections.tts.speaking import Chunk, Sentence, Speaker, transcript_of
from seaspeak.core import Model, NeuralGraph, graph_input
from seaspeak.core.errors import AudioError
from seaspeak.core.types import AudioSignal, LengthsType, NeuralType
from seaspeak.pipelines.models import Stage, load
from seaspeak.pipelines.pictures import data_uri
from seaspeak.pipelines.stages import Punctuation, Recognition, Synthesis, Vocoding
from seaspeak.text.transcript import Transcript
from seaspeak.text.unspeakable import unspeakable

Samples = NDArray[np.float32]

ASR = "seaspeak_en_recogniser"
PUNCTUATION = "seaspeak_en_punctuation"
TTS = "seaspeak_en_fastpitch"
VOCODER = "seaspeak_en_hifigan"


@dataclass(frozen=True)
class Heard:
    """A recording that was understood.

    Attributes:
        name: what the recording is called.
        recording: its samples (num_samples,) at ``recording_rate`` in Hz, the recogniser's.
        transcript: what the recogniser wrote.
        punctuated: the same words and times with punctuation.
        seconds: how long hearing and punctuating took.
    """

    name: str
    recording: Samples = field(repr=False)
    recording_rate: int
    transcript: Transcript
    punctuated: Transcript
    seconds: float = 0.0

    @property
    def recording_seconds(self) -> float:
        """How long the recording is."""
        return len(self.recording) / self.recording_rate


@dataclass(frozen=True)
class Swap:
    """A recording in another voice, and all that lies between.

    Attributes:
        heard: the recording and its texts.
        samples: (num_samples,) at ``sample_rate`` in Hz.
        sentences: what was spoken, with spectrograms and the times of words.
        seconds: how long speaking took.
    """

    heard: Heard
    samples: Samples = field(repr=False)
    sample_rate: int
    sentences: tuple[Sentence, ...] = field(repr=False)
    seconds: float = 0.0

    @property
    def transcript(self) -> Transcript:
        """What the recogniser wrote, with the times of the words in the recording."""
        return self.heard.transcript

    @property
    def text(self) -> str:
        """What was heard, punctuated."""
        return self.heard.punctuated.text

    @property
    def spoken(self) -> Transcript:
        """What was spoken, with the times of the words in the new voice."""
        return transcript_of(self.sentences, len(self.samples) / self.sample_rate)

    @property
    def spectrograms(self) -> list[Tensor]:
        """One (n_mels, T) a sentence."""
        return [sentence.spectrogram for sentence in self.sentences]

    @property
    def left_out(self) -> Counter[str]:
        """Symbols of the text that could not be spoken."""
        return unspeakable(self.text)

    @property
    def real_time_factors(self) -> dict[str, float]:
        """Seconds of computing for a second of sound: of the recording in hearing, of the new voice in speaking."""
        return {
            "hearing": self.heard.seconds / self.heard.recording_seconds,
            "speaking": self.seconds * self.sample_rate / len(self.samples),
        }

    def _repr_html_(self) -> str:
        """Show both recordings with their texts, in notebooks."""
        pairs = (
            (self.heard.recording, self.heard.recording_rate, self.transcript.text),
            (self.samples, self.sample_rate, self.text),
        )
        sources = [(data_uri(encode(samples, rate, "flac"), "audio/flac"), text) for samples, rate, text in pairs]
        return "".join(f'<p><audio controls src="{uri}"></audio><br>{escape(text)}</p>' for uri, text in sources)


class VoiceSwap:
    """Four models as one typed graph.

    Args:
        asr: the recogniser: a name of the catalogue, an archive, or a model.
        punctuation: what punctuates its text; None leaves the text as it was heard.
        tts: what makes spectrograms.
        vocoder: what makes sound of them.
        speed: of speech; 2 for twice as fast.
        seed: of what is drawn by lot in models that do so.
        device: where the models compute.

    Attributes:
        graph: the whole as one neural module, from a batch of recordings to the sound of their texts.
        names: what each of the four stages was called by.

    Raises:
        ConfigError: a model that does something else, or a vocoder made for other spectrograms.
        NeuralTypeError: stages whose ports do not fit.
    """

    def __init__(
        self,
        asr: Stage = ASR,
        punctuation: Stage | None = PUNCTUATION,
        tts: Stage = TTS,
        vocoder: Stage = VOCODER,
        *,
        speed: float = 1.0,
        seed: int = 0,
        device: str | torch.device | None = None,
    ) -> None:
        chosen = {"asr": asr, "punctuation": punctuation, "tts": tts, "vocoder": vocoder}
        self.names = {role: _stage_name(stage) for role, stage in chosen.items()}
        generator, maker = load(SpectrogramGenerator, tts, device=device), load(Vocoder, vocoder, device=device)
        self.speaker = Speaker(generator, maker, speed=speed, seed=seed)
        self.recognition = Recognition(load(ASRModel, asr, device=device))
        punctuator = None
        if punctuation is not None:
            punctuator = Punctuation(load(PunctuationCapitalizationModel, punctuation, device=device))
        self.graph = wire(self.recognition, punctuator, Synthesis(generator), Vocoding(maker))

    @property
    def sample_rate(self) -> int:
        """Of the new voice, in Hz."""
        return self.speaker.sample_rate

    def draw(self) -> str:
        """Return a drawing of the graph in the language of Mermaid."""
        return self.graph.draw()

    def __call__(self, audio: Any) -> Swap:
        """Return one recording in the other voice.

        Args:
            audio: a path, bytes, a file object, or a pair (samples, rate).

        Raises:
            AudioError: it cannot be read, or nobody speaks in it.
        """
        [heard] = self.hear([audio])
        return self.speak(heard)

    def batch(self, recordings: Iterable[Any], *, batch_size: int = 4) -> Iterator[Swap]:
        """Yield many recordings in the other voice, in the order given; ``batch_size`` of them are heard at a time.

        Raises:
            AudioError: one cannot be read, or nobody speaks in it; the message names it.
        """
        waiting: list[Any] = []
        for audio in recordings:
            waiting.append(audio)
            if len(waiting) == batch_size:
                yield from map(self.speak, self.hear(waiting))
                waiting = []
        yield from map(self.speak, self.hear(waiting))

    def hear(self, recordings: Sequence[Any]) -> list[Heard]:
        """Return what is said in some recordings, all at once.

        Raises:
            AudioError: one cannot be read, or nobody speaks in it; the message names it.
        """
        if not recordings:
            return []
        rate = self.recognition.sample_rate
        sounds = [read(audio, sample_rate=rate).samples for audio in recordings]
        lengths = torch.tensor([len(sound) for sound in sounds])
        padded = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(sound) for sound in sounds], batch_first=True)
        started = time.perf_counter()
        found = self.graph.run({"audio_signal": padded, "audio_length": lengths}, ["transcript", "text"])
        share = (time.perf_counter() - started) / max(1, int(lengths.sum()))
        names = [_name(audio, place) for place, audio in enumerate(recordings)]
        heard = [
            Heard(name, sound, rate, transcript, punctuated, share * len(sound))
            for name, sound, transcript, punctuated in zip(
                names, sounds, found["transcript"], found["text"], strict=True
            )
        ]
        for each in heard:
            if not each.transcript.text.strip():
                raise AudioError(
                    f"nobody was heard speaking in {each.name}",
                    got=f"{each.recording_seconds:.1f} s without a word",
                    fix="check that it holds speech in the recogniser's language, loud enough",
                )
        return heard

    def speak(self, heard: Heard) -> Swap:
        """Return what was heard in the other voice."""
        started = time.perf_counter()
        chunks = list(self.stream(heard))
        seconds = time.perf_counter() - started
        sentences = tuple(chunk.sentence for chunk in chunks if chunk.sentence is not None)
        return Swap(heard, np.concatenate([chunk.samples for chunk in chunks]), self.sample_rate, sentences, seconds)

    def stream(self, heard: Heard) -> Iterator[Chunk]:
        """Yield what was heard in the other voice, sentence by sentence, in the chunks that the vocoder gives."""
        return self.speaker.stream(heard.punctuated.text)


def wire(
    recognition: Recognition, punctuation: Punctuation | None, synthesis: Synthesis, vocoding: Vocoding
) -> NeuralGraph:
    """Return the graph of the four stages, its types compared; each result on the way is an output.

    Raises:
        NeuralTypeError: ports that do not fit; the message says which, and what to do.
    """
    audio = graph_input("audio_signal", NeuralType("B T", AudioSignal(recognition.sample_rate)))
    length = graph_input("audio_length", NeuralType("B", LengthsType()))
    transcript = recognition(audio_signal=audio, audio_length=length).transcript
    text = transcript if punctuation is None else punctuation(transcript=transcript).text
    spectrogram, frames = synthesis(text=text)
    sound = vocoding(spectrogram=spectrogram, spectrogram_length=frames)
    outputs = {"transcript": transcript, "text": text, "spectrogram": spectrogram, **sound._asdict()}
    return NeuralGraph(outputs=outputs, inputs=[audio, length], name="voice_swap")


def _stage_name(stage: Stage | None) -> str:
    if stage is None:
        return "nothing"
    return type(stage).__name__ if isinstance(stage, Model) else Path(stage).name


def _name(audio: Any, place: int) -> str:
    named = audio if isinstance(audio, (str, Path)) else getattr(audio, "name", None)
    return str(named) if named else f"recording {place + 1}"
