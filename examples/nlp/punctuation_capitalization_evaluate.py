"""Score a model that restores marks and capitals, genre by genre, and write it in the small form that ships.

python examples/nlp/punctuation_capitalization_evaluate.py model.nemo ../shared/data/text/punct/dev --export small.nemo
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from seaspeak.collections.nlp.data.punctuation import Featuriser, Labelled, build_loader, exact_windows, read_genres
from seaspeak.collections.nlp.metrics import ClassificationReport
from seaspeak.collections.nlp.models import PunctuationCapitalizationModel

_SHOWN = (("punct", ","), ("punct", "."), ("punct", "?"), ("capit", "U"))


def restore(path: Path, export: Path | None, name: str) -> PunctuationCapitalizationModel:
    """Return the model of an archive or a checkpoint; with ``export``, as it is after being stored in eight bits."""
    of_archive = path.suffix == ".nemo"
    cls = PunctuationCapitalizationModel
    model = cls.restore_from(path) if of_archive else cls.load_from_checkpoint(path)
    if export is not None:
        for key in ("train_ds", "validation_ds", "test_ds"):
            model.cfg[key] = None
        model.cfg.language_model.pretrained_model_name = model.cfg.tokenizer.tokenizer_name = name
        model.save_to(export, storage="int8")
        model = cls.restore_from(export)
    return model.eval()


@torch.inference_mode()
def counts(model: PunctuationCapitalizationModel, windows: Sequence[Labelled]) -> dict[str, torch.Tensor]:
    """Return true positives, false negatives and false positives (3, labels) of both heads."""
    featuriser = Featuriser(model.tokenizer, model.label_ids["punct"], model.label_ids["capit"])
    steps = [model.validation_step(batch) for batch in build_loader(windows, featuriser, {}, shuffle=False)]
    return {head: torch.stack([step[head] for step in steps]).sum(0) for head in ("punct", "capit")}


def scores(model: PunctuationCapitalizationModel, found: dict[str, torch.Tensor]) -> str:
    """Return precision, recall and F1 of every mark and of capitals, as cells of a table."""
    cells = []
    for head, label in _SHOWN:
        report = ClassificationReport(len(model.label_ids[head]), mode="all")
        report.add(found[head])
        result, place = report.compute(), model.label_ids[head][label]
        cells.append(" / ".join(f"{float(values[place]):.1f}" for values in result[:3]))
    return " | ".join(cells)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="archive or checkpoint")
    parser.add_argument("texts", type=Path, help="folder of GENRE.txt")
    parser.add_argument("--words", type=int, default=12_000, help="most words of a genre")
    parser.add_argument("--window", type=int, default=50, help="words in a window")
    parser.add_argument("--export", type=Path, help="write the model here, stored in eight bits, and score that")
    parser.add_argument("--name", default="bert", help="name of the encoder in the exported configuration")
    given = parser.parse_args()
    model = restore(given.model, given.export, given.name)
    total: dict[str, torch.Tensor] = {}
    words, start = 0, time.perf_counter()
    print("| genre | comma P / R / F1 | full stop | question mark | capital | words |\n|---|---|---|---|---|---|")
    for genre, paragraphs in read_genres(given.texts).items():
        windows = list(exact_windows(paragraphs, given.window, given.words))
        if not windows:
            continue
        found = counts(model, windows)
        total = {head: found[head] + total.get(head, 0) for head in found}
        words += len(windows) * given.window
        print(f"| {genre} | {scores(model, found)} | {len(windows) * given.window} |")
    print(f"| all | {scores(model, total)} | {words} |")
    print(f"\n{words / (time.perf_counter() - start):,.0f} words per second")


if __name__ == "__main__":
    main()
