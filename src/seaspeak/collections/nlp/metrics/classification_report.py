"""Precision, recall and F1 of classes, counted over batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seaspeak.core.errors import ConfigError, nearest

MODES = ("macro", "micro", "weighted", "all")
_TINY = 1e-6


class Report(NamedTuple):
    """Percentages, and a table of them; for mode ``all`` the first three have a value for each class."""

    precision: Tensor
    recall: Tensor
    f1: Tensor
    report: str


class ClassificationReport(nn.Module):
    """Counts hits and misses of each class until `compute` is asked for percentages.

    Args:
        num_classes: how many classes there are.
        label_ids: the classes' names with their ids, for the table.
        mode: how classes are put together: ``macro`` (mean over the classes that occur), ``micro`` (over all counts),
            ``weighted`` (by how often each occurs), or ``all`` (not at all).

    Raises:
        ConfigError: no such mode.
    """

    tp: Tensor
    fn: Tensor
    fp: Tensor

    def __init__(self, num_classes: int, label_ids: Mapping[str, int] | None = None, mode: str = "macro") -> None:
        super().__init__()
        if mode not in MODES:
            raise ConfigError(f"no mode of averaging is called {mode!r}", fix=nearest(mode, MODES))
        self.num_classes = num_classes
        names = {place: name for name, place in (label_ids or {}).items()}
        self.names = [names.get(place, str(place)) for place in range(num_classes)]
        self.mode = mode
        for name in ("tp", "fn", "fp"):
            self.register_buffer(name, torch.zeros(num_classes, dtype=torch.int64), persistent=False)

    def update(self, predictions: Tensor, labels: Tensor) -> None:
        """Count the predicted classes of places (N,) against their labels (N,)."""
        self.add(self.counts(predictions, labels))

    def add(self, counts: Iterable[Tensor]) -> None:
        """Add what `counts` returned, here or elsewhere."""
        for counter, counted in zip((self.tp, self.fn, self.fp), counts, strict=True):
            counter += counted.to(counter.device)

    def counts(self, predictions: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return true positives, false negatives and false positives of each class, without adding them."""
        right = predictions == labels
        chosen = (labels[right], labels[~right], predictions[~right])
        first, second, third = (torch.bincount(part.flatten(), minlength=self.num_classes) for part in chosen)
        return first, second, third

    def reset(self) -> None:
        """Forget what was counted."""
        for counter in (self.tp, self.fn, self.fp):
            counter.zero_()

    def compute(self) -> Report:
        """Return the percentages of what was counted, over all processes."""
        tp, fn, fp = (_over_processes(counter).double() for counter in (self.tp, self.fn, self.fp))
        support = tp + fn
        each = _scores(tp, fn, fp)
        present = support > 0
        averages = {
            "micro": _scores(tp.sum(), fn.sum(), fp.sum()),
            "macro": [score.sum() / present.sum().clamp_min(1) for score in each],
            "weighted": [(score * support).sum() / support.sum().clamp_min(1) for score in each],
        }
        chosen = each if self.mode == "all" else averages[self.mode]
        table = self._table(each, support, averages)
        precision, recall, f1 = (score.float() for score in chosen)
        return Report(precision, recall, f1, table)

    def _table(self, each: list[Tensor], support: Tensor, averages: Mapping[str, list[Tensor]]) -> str:
        lines = [f"{'label':<50}{'precision':>12}{'recall':>12}{'f1':>12}{'support':>12}"]
        rows = [(f"{name} (label_id: {place})", place) for place, name in enumerate(self.names)]
        for title, place in rows:
            lines.append(_row(title, [float(score[place]) for score in each], int(support[place])))
        lines.append("-" * len(lines[0]))
        total = int(support.sum())
        lines += [_row(f"{name} avg", [float(score) for score in scores], total) for name, scores in averages.items()]
        return "\n".join(lines)


def _scores(tp: Tensor, fn: Tensor, fp: Tensor) -> list[Tensor]:
    precision = 100 * tp / (tp + fp + _TINY)
    recall = 100 * tp / (tp + fn + _TINY)
    return [precision, recall, 2 * precision * recall / (precision + recall + _TINY)]


def _row(title: str, scores: list[float], support: int) -> str:
    return f"{title:<50}" + "".join(f"{score:>12.2f}" for score in scores) + f"{support:>12}"


def _over_processes(counter: Tensor) -> Tensor:
    total = counter.clone()
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(total)
    return total
