"""The model of marks and capitals that ships does what its card says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seaspeak.collections.nlp.data.punctuation import Featuriser, build_loader, exact_windows, read_genres
from seaspeak.collections.nlp.models import PunctuationCapitalizationModel


@pytest.mark.slow
@torch.inference_mode()
def test_its_figures_hold_on_a_slice_of_every_genre(shared: Path) -> None:
    model = PunctuationCapitalizationModel.from_pretrained("seaspeak_en_punctuation").eval()
    genres = read_genres(shared / "data/text/punct/dev")
    windows = [window for paragraphs in genres.values() for window in exact_windows(paragraphs, 50, 1500)]
    featuriser = Featuriser(model.tokenizer, model.label_ids["punct"], model.label_ids["capit"])
    steps = [model.validation_step(batch) for batch in build_loader(windows, featuriser, {}, shuffle=False)]
    log = model.multi_validation_epoch_end(steps)["log"]
    least = {"punct_f1_.": 70, "punct_f1_?": 55, "punct_f1_,": 44, "capit_f1_U": 78}  # the card's, less chance
    assert {name: float(log[name]) for name in least if log[name] < least[name]} == {}
