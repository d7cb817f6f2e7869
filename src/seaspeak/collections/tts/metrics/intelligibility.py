"""How well a voice is understood: a recogniser listens to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jiwer
import torch

from seaspeak.collections.tts.models.base import SpectrogramGenerator, Vocoder, check_fit
from seaspeak.core.model import Model
from seaspeak.text.cleaners import clean_text
from seaspeak.text.unspeakable import spoken


class Heard(NamedTuple):
    """What a recogniser heard, and the share of characters and words that are wrong; 0.05 for 5 %."""

    texts: list[str]
    cer: float
    wer: float


class Listener:
    """A vocoder and a recogniser, which tell how well a generator of spectrograms speaks.

    Args:
        vocoder, recogniser: the names of published models, or archives.

    Raises:
        UnknownNameError, FileMissingError, ArchiveError: there is no such model.
    """

    def __init__(self, vocoder: str = "seaspeak_en_hifigan", recogniser: str = "seaspeak_en_recogniser") -> None:
        self.vocoder, self.recogniser = _load(Vocoder, vocoder), _load(Model, recogniser)

    @torch.no_grad()
    def __call__(self, generator: SpectrogramGenerator, texts: Sequence[str]) -> Heard:
        """Let the generator say ``texts``, and compare with what is heard, letter by letter, without punctuation.

        Raises:
            ConfigError: the vocoder was made for other spectrograms.
        """
        check_fit(generator, self.vocoder)
        vocoder, rate = self.vocoder.to(generator.device), self.vocoder.mel_recipe.sample_rate
        heard = []
        for text in texts:
            spec = generator.synthesize(text).spec
            samples = vocoder.convert_spectrogram_to_audio(spec=spec[None])[0].float().cpu().numpy()
            heard.append(str(self.recogniser.transcribe([(samples, rate)])[0]))
        wanted, got = ([clean_text(spoken(text), labels="'") for text in row] for row in (texts, heard))
        return Heard(heard, float(jiwer.cer(wanted, got)), float(jiwer.wer(wanted, got)))


def _load(kind: type[Model], name: str) -> Any:
    return (kind.restore_from(name) if name.endswith(".nemo") else kind.from_pretrained(name)).eval()
