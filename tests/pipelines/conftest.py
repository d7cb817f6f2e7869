"""The stages of a voice swap: the recogniser that ships, and models of no size for the rest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from seaspeak.collections.asr.models import ASRModel
from seaspeak.collections.nlp.models import PunctuationCapitalizationModel
from seaspeak.pipelines.stages import Punctuation, Recognition, Synthesis, Vocoding
from tests import voices

SAMPLES = Path(__file__).parents[2] / "src" / "seaspeak" / "assets" / "samples"


@dataclass(frozen=True)
class Models:
    recognition: Recognition
    punctuation: Punctuation
    synthesis: Synthesis
    vocoding: Vocoding


@pytest.fixture(scope="session")
def models(shared: Path) -> Models:
    punctuation = PunctuationCapitalizationModel.restore_from(
        shared / "fixtures" / "nlp" / "punctuation_capitalization_tiny" / "model.nemo"
    )
    return Models(
        Recognition(ASRModel.from_pretrained("seaspeak_en_recogniser").eval()),
        Punctuation(punctuation.eval()),
        Synthesis(voices.generator()),
        Vocoding(voices.vocoder()),
    )
