"""Percentages of classes."""

from __future__ import annotations

import pytest
import torch

from seaspeak.collections.nlp.metrics import ClassificationReport

PREDICTED, LABELS = torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 1, 1])


@pytest.mark.parametrize(
    ("mode", "expected"), [("macro", (83.33, 75.0, 73.33)), ("micro", (75, 75, 75)), ("weighted", (83.33, 75, 73.33))]
)
def test_averages_are_those_of_the_specification(mode: str, expected: tuple[float, ...]) -> None:
    report = ClassificationReport(3, {"a": 0, "b": 1, "c": 2}, mode)
    report.update(PREDICTED[:1], LABELS[:1])
    report.update(PREDICTED[1:], LABELS[1:])
    found = report.compute()
    assert [float(value) for value in found[:3]] == pytest.approx(expected, abs=0.01)
    assert "b (label_id: 1)" in found.report
    report.reset()
    assert float(report.compute().f1) == 0


def test_classes_alone_have_a_value_each() -> None:
    report = ClassificationReport(2, mode="all")
    report.update(PREDICTED, LABELS)
    assert report.compute().f1.tolist() == pytest.approx([80, 66.67], abs=0.01)
