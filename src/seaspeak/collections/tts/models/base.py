"""What all models of speech synthesis have in common: text to spectrograms, spectrograms to sound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seaspeak.audio.mel import samples_of
from seaspeak.core.errors import ConfigError, ModelError
from seaspeak.core.model import Model
from seaspeak.core.module import evaluating


@dataclass(frozen=True, slots=True, kw_only=True)
class MelRecipe:
    """How a mel spectrogram was made: a generator and a vocoder fit each other if they agree in this.

    Left out is what a vocoder does not hear: the guard of the logarithm, padding, dither, whether frames are centred.

    Attributes:
        sample_rate: of the sound, in Hz.
        n_fft: length of the transform, in samples.
        win_length: length of the window, in samples.
        hop_length: samples from one frame to the next.
        n_mels: bands.
        fmin, fmax: where the bands begin and end, in Hz.
        log: ``"natural"`` or ``"none"``.
        mag_power: exponent of the magnitudes.
        norm: of the filters: ``"slaney"``, or ``"none"`` for triangles of equal height.
        normalize: how features are normalised; ``"none"`` for not at all.
    """

    sample_rate: int
    n_fft: int
    win_length: int
    hop_length: int
    n_mels: int
    fmin: float
    fmax: float
    log: str
    mag_power: float
    norm: str
    normalize: str

    @classmethod
    def from_config(cls, section: Mapping[str, Any]) -> MelRecipe:
        """Return the recipe that a ``preprocessor`` section describes, whichever front end's names it uses."""
        rate = int(section.get("sample_rate", 16000))
        window = samples_of("window_size", section.get("window_size"), section.get("n_window_size"), rate)
        hop = samples_of("window_stride", section.get("window_stride"), section.get("n_window_stride"), rate)
        return cls(
            sample_rate=rate,
            n_fft=int(section.get("n_fft") or 1 << (window - 1).bit_length()),
            win_length=window,
            hop_length=hop,
            n_mels=int(section.get("nfilt") or section.get("features") or 64),
            fmin=float(section.get("lowfreq") or 0),
            fmax=float(section.get("highfreq") or rate / 2),
            log="natural" if section.get("log", True) else "none",
            mag_power=float(section.get("mag_power", 2.0)),
            norm=str(section.get("mel_norm", "slaney") or "none"),
            normalize=str(section.get("normalize", "per_feature") or "none"),
        )

    def differences(self, other: MelRecipe) -> list[str]:
        """Return one phrase, ``"sample_rate 22050, not 16000"``, for everything in which ``other`` differs."""
        pairs = ((field.name, getattr(self, field.name), getattr(other, field.name)) for field in fields(self))
        return [f"{name} {mine}, not {theirs}" for name, mine, theirs in pairs if mine != theirs]


class SpokenWord(NamedTuple):
    """A word, and the frames of a spectrogram in which it is spoken, the end exclusive."""

    text: str
    start: int
    end: int


class Utterance(NamedTuple):
    """One text as a spectrogram (n_mels, T), and where its words are."""

    spec: Tensor
    words: list[SpokenWord]


class MelModel(Model):
    """A model one side of which are mel spectrograms: those of the front end in its section ``preprocessor``."""

    @property
    def mel_recipe(self) -> MelRecipe:
        """How the spectrograms are made that it learnt from."""
        return MelRecipe.from_config(self.cfg.preprocessor)

    def build_front_end(self, **overrides: Any) -> Any:
        """Build the section ``preprocessor``, computing as the model's recipe says."""
        return self.build(self.cfg.preprocessor, recipe=self.recipe, **overrides)


class SpectrogramGenerator(MelModel):
    """Base of models that turn text into mel spectrograms; ``from_pretrained`` gives the right subclass.

    A subclass defines ``parse(text) -> tokens (1, T)``, ``generate_spectrogram(tokens) -> (B, n_mels, T)``, and
    ``synthesize`` if it knows when each word is spoken.
    """

    def parse(self, text: str, normalize: bool = True) -> Tensor:
        """Return the tokens (1, T) of a text, in which numbers and abbreviations are spoken out if ``normalize``."""
        raise ModelError(f"{type(self).__name__} cannot read text: it defines no parse")

    def generate_spectrogram(self, tokens: Tensor, **kwargs: Any) -> Tensor:
        """Return spectrograms (B, n_mels, T) of tokens (B, T)."""
        raise ModelError(f"{type(self).__name__} makes no spectrograms: it defines no generate_spectrogram")

    @torch.no_grad()
    def synthesize(self, text: str, pace: float = 1.0, **kwargs: Any) -> Utterance:
        """Return the spectrogram of a text, with the frames of each word where the model knows them.

        Args:
            text: what to say: a sentence or two; ``seaspeak.text.sentences`` splits longer ones.
            pace: 2 for twice as fast.
            **kwargs: as ``generate_spectrogram`` takes them.
        """
        if pace != 1.0:
            kwargs["pace"] = pace
        with evaluating(self):
            return Utterance(self.generate_spectrogram(tokens=self.parse(text), **kwargs)[0], [])


class Vocoder(MelModel):
    """Base of models that turn mel spectrograms into sound; ``from_pretrained`` gives the right subclass.

    A subclass defines ``convert_spectrogram_to_audio(spec) -> (B, samples)``, and ``stream`` if it need not have
    the whole spectrogram to begin.
    """

    def convert_spectrogram_to_audio(self, spec: Tensor, **kwargs: Any) -> Tensor:
        """Return the sound (B, samples) of spectrograms (B, n_mels, T)."""
        raise ModelError(f"{type(self).__name__} makes no sound: it defines no convert_spectrogram_to_audio")

    def stream(self, spec: Tensor, **kwargs: Any) -> Iterator[Tensor]:
        """Yield chunks of sound (B, samples) that make up the whole when put together; here the whole at once."""
        yield self.convert_spectrogram_to_audio(spec=spec, **kwargs)

    def check_spectrogram(self, spec: Tensor) -> None:
        """Refuse what cannot be one of this vocoder's spectrograms.

        Raises:
            ModelError: it is not of shape (B, n_mels, T), T at least 1.
        """
        bands = self.mel_recipe.n_mels
        if spec.ndim == 3 and spec.shape[1] == bands and spec.shape[2]:
            return
        expected = f"(batch, {bands} mel bands, frames)"
        if not spec.numel():
            fix = "the spectrogram has no frames: there was nothing to say"
        elif spec.ndim == 2 and spec.shape[0] == bands:
            fix = "spec[None] adds the batch"
        elif spec.ndim == 3 and spec.shape[2] == bands:
            fix = "spec.transpose(1, 2) puts time last"
        else:
            fix = f"use a generator whose spectrograms have {bands} bands, or another vocoder"
        name = type(self).__name__
        raise ModelError(
            f"{name} does not take this spectrogram", got=str(tuple(spec.shape)), expected=expected, fix=fix
        )


def check_fit(generator: SpectrogramGenerator, vocoder: Vocoder) -> None:
    """Refuse a vocoder that would make noise of a generator's spectrograms.

    Raises:
        ConfigError: their recipes differ; the message says in what, and what to use instead.
    """
    made, wanted = generator.mel_recipe, vocoder.mel_recipe
    if not (differences := made.differences(wanted)):
        return
    raise ConfigError(
        f"{type(vocoder).__name__} does not understand the spectrograms of {type(generator).__name__}",
        got="; ".join(differences),
        fix=_remedy(made, wanted),
    )


def _remedy(made: MelRecipe, wanted: MelRecipe) -> str:
    if made.sample_rate != wanted.sample_rate:
        return f"take a vocoder of {made.sample_rate} Hz, or a generator of {wanted.sample_rate} Hz"
    return "take a vocoder that was trained on such spectrograms, or train one: vocoders learn from sound alone"
