"""The stages of pipelines of speech: a model each, as a neural module whose ports say what flows between models.

    Recognition     sound, lengths -> texts with word times
    Punctuation     texts with word times -> the same, punctuated
    Synthesis       texts -> mel spectrograms, lengths
    Vocoding        mel spectrograms, lengths -> sound, lengths

Each refines what its ``forward`` declares by what its model needs: rates, and the number of mel bands.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from seaspeak.collections.asr.models import ASRModel
from seaspeak.collections.nlp.models import PunctuationCapitalizationModel
from seaspeak.collections.tts.models import SpectrogramGenerator, Vocoder
from seaspeak.core import NeuralModule, typecheck
from seaspeak.core.ports import PortTypes
from seaspeak.core.types import AudioSignal, LengthsType, MelSpectrogramType, NeuralType, StringType
from seaspeak.text.transcript import Transcript


class TimedTextType(StringType):
    """A text whose words have times: a ``Transcript``."""

    __slots__ = ()


class Recognised(NamedTuple):
    """What was said in each recording."""

    transcript: Annotated[list[Transcript], NeuralType("[B]", TimedTextType())]


class Punctuated(NamedTuple):
    """The same with punctuation and capital letters."""

    text: Annotated[list[Transcript], NeuralType("[B]", TimedTextType())]


class Sound(NamedTuple):
    """Sound (B, T), padded with zeros, and how many samples each item has."""

    audio_signal: Annotated[Tensor, NeuralType("B T", AudioSignal())]
    audio_length: Annotated[Tensor, NeuralType("B", LengthsType())]


class Spectrograms(NamedTuple):
    """Mel spectrograms (B, D, T), padded with zeros, and how many frames each item has."""

    spectrogram: Annotated[Tensor, NeuralType("B D T", MelSpectrogramType())]
    spectrogram_length: Annotated[Tensor, NeuralType("B", LengthsType())]


class Recognition(NeuralModule):
    """Sound to text: recordings of any length."""

    def __init__(self, model: ASRModel, *, batch_size: int = 4) -> None:
        super().__init__(name="recognition")
        self.model, self.batch_size = model, batch_size

    @property
    def sample_rate(self) -> int:
        """Of the sound that the model takes, in Hz."""
        return self.model.recogniser().sample_rate

    @property
    def input_types(self) -> PortTypes:
        """Sound of the model's rate."""
        return {**_inputs(self), "audio_signal": NeuralType("B T", AudioSignal(self.sample_rate))}

    @typecheck()
    def forward(
        self,
        audio_signal: Annotated[Tensor, NeuralType("B T", AudioSignal())],
        audio_length: Annotated[Tensor, NeuralType("B", LengthsType())],
    ) -> Recognised:
        """Return one transcript a recording."""
        signals = [signal[:length] for signal, length in zip(audio_signal.numpy(), audio_length.tolist(), strict=True)]
        found = self.model.transcribe(
            signals, batch_size=self.batch_size, timestamps=True, verbose=False, sample_rate=self.sample_rate
        )
        return Recognised(cast("list[Transcript]", found))


class Punctuation(NeuralModule):
    """Words to sentences: marks and capital letters; the words keep their times."""

    def __init__(self, model: PunctuationCapitalizationModel) -> None:
        super().__init__(name="punctuation")
        self.model = model

    @typecheck()
    def forward(self, transcript: Annotated[list[Transcript], NeuralType("[B]", TimedTextType())]) -> Punctuated:
        """Return the same transcripts with punctuated texts."""
        return Punctuated(self.model.punctuate(transcript))


class Synthesis(NeuralModule):
    """Texts to mel spectrograms: a sentence or two each."""

    def __init__(self, model: SpectrogramGenerator) -> None:
        super().__init__(name="synthesis")
        self.model = model

    @property
    def output_types(self) -> PortTypes:
        """Spectrograms with the model's bands."""
        bands = self.model.mel_recipe.n_mels
        return {**_outputs(self), "spectrogram": NeuralType(f"B D:{bands} T", MelSpectrogramType())}

    @typecheck()
    def forward(self, text: Annotated[list[Any], NeuralType("[B]", StringType())]) -> Spectrograms:
        """Return one spectrogram a text, without its pauses."""
        found = [self.model.synthesize(str(each)).spec.T for each in text]
        lengths = torch.tensor([len(spec) for spec in found])
        return Spectrograms(pad_sequence(found, batch_first=True).transpose(1, 2), lengths)


class Vocoding(NeuralModule):
    """Mel spectrograms to sound."""

    def __init__(self, model: Vocoder) -> None:
        super().__init__(name="vocoding")
        self.model = model

    @property
    def input_types(self) -> PortTypes:
        """Spectrograms with the model's bands."""
        bands = self.model.mel_recipe.n_mels
        return {**_inputs(self), "spectrogram": NeuralType(f"B D:{bands} T", MelSpectrogramType())}

    @property
    def output_types(self) -> PortTypes:
        """Sound of the model's rate."""
        rate = self.model.mel_recipe.sample_rate
        return {**_outputs(self), "audio_signal": NeuralType("B T", AudioSignal(rate))}

    @typecheck()
    def forward(
        self,
        spectrogram: Annotated[Tensor, NeuralType("B D T", MelSpectrogramType())],
        spectrogram_length: Annotated[Tensor, NeuralType("B", LengthsType())],
    ) -> Sound:
        """Return the sound of each spectrogram; how much the batch is padded changes nothing."""
        pairs = zip(spectrogram, spectrogram_length.tolist(), strict=True)
        found = [self.model.convert_spectrogram_to_audio(spec=spec[None, :, :length])[0] for spec, length in pairs]
        return Sound(pad_sequence(found, batch_first=True), torch.tensor([len(signal) for signal in found]))


def _inputs(module: NeuralModule) -> PortTypes:
    return NeuralModule.input_types.fget(module) or {}  # type: ignore[attr-defined]


def _outputs(module: NeuralModule) -> PortTypes:
    return NeuralModule.output_types.fget(module) or {}  # type: ignore[attr-defined]
