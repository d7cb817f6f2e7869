"""Word and character error rates."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from seaspeak.core.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)


class ErrorRate(NamedTuple):
    """What an error rate is made of; the rates are relative to ``units``, infinite where there are none."""

    wer: float
    units: int
    ins_rate: float
    del_rate: float
    sub_rate: float


class Edits(NamedTuple):
    """Changes that lead from a reference to a hypothesis, and the reference's length in words or characters."""

    insertions: int
    deletions: int
    substitutions: int
    units: int

    @property
    def errors(self) -> int:
        """All changes."""
        return self.insertions + self.deletions + self.substitutions


def count_edits(hypothesis: str, reference: str, *, use_cer: bool = False) -> Edits:
    """Return the fewest edits between two texts, by words, or by characters with blanks."""
    from rapidfuzz.distance import Levenshtein

    split: Callable[[str], list[str]] = list if use_cer else str.split
    wanted, found = split(reference), split(hypothesis)
    kinds = [edit.tag for edit in Levenshtein.editops(wanted, found)]
    return Edits(kinds.count("insert"), kinds.count("delete"), kinds.count("replace"), len(wanted))


def _count_all(hypotheses: Sequence[str], references: Sequence[str], use_cer: bool) -> list[Edits]:
    if len(hypotheses) != len(references):
        raise DataError(
            "an error rate needs as many references as hypotheses", got=f"{len(references)} and {len(hypotheses)}"
        )
    return [count_edits(h, r, use_cer=use_cer) for h, r in zip(hypotheses, references, strict=True)]


def word_error_rate(hypotheses: Sequence[str], references: Sequence[str], use_cer: bool = False) -> float:
    """Return errors by reference words (or characters) over all texts; infinity where there are no words.

    Raises:
        DataError: the lists differ in length.

    >>> word_error_rate(["ducati motorcycle"], ["motorcycle"])
    1.0
    """
    return word_error_rate_detail(hypotheses, references, use_cer).wer


def word_error_rate_detail(hypotheses: Sequence[str], references: Sequence[str], use_cer: bool = False) -> ErrorRate:
    """Return the error rate over all texts with the rates of insertions, deletions and substitutions.

    Raises:
        DataError: the lists differ in length.
    """
    counts = _count_all(hypotheses, references, use_cer)
    units = sum(count.units for count in counts)
    parts = (
        sum(count.errors for count in counts),
        sum(count.insertions for count in counts),
        sum(count.deletions for count in counts),
        sum(count.substitutions for count in counts),
    )
    total, *kinds = (part / units if units else float("inf") for part in parts)
    return ErrorRate(total, units, *kinds)


def word_error_rate_per_utt(
    hypotheses: Sequence[str], references: Sequence[str], use_cer: bool = False
) -> tuple[list[float], float]:
    """Return the error rate of each text and that of all of them together.

    Raises:
        DataError: the lists differ in length.
    """
    counts = _count_all(hypotheses, references, use_cer)
    rates = [count.errors / count.units if count.units else float("inf") for count in counts]
    units = sum(count.units for count in counts)
    errors = sum(count.errors for count in counts)
    return rates, errors / units if units else float("inf")


class WER:
    """Error rate of a recogniser's output: the batch's own, or a sum over batches that the caller keeps.

    ``update`` overwrites what was there, as in NeMo: a model adds ``scores`` and ``words`` up over an epoch, so that
    the epoch's rate is that of all words, not a mean of batches.

    Args:
        decode: turns predictions and their lengths into texts.
        spell: turns (U,) label ids into a text.
        use_cer: count characters instead of words.
        log_prediction: log the first item of each batch.

    Attributes:
        scores: edits of the last batch.
        words: reference words of the last batch.
    """

    def __init__(
        self,
        decode: Callable[[Tensor, Tensor | None], list[str]],
        spell: Callable[[np.ndarray], str],
        *,
        use_cer: bool = False,
        log_prediction: bool = False,
    ) -> None:
        self.decode, self.spell = decode, spell
        self.use_cer, self.log_prediction = use_cer, log_prediction
        self.scores = self.words = 0

    def update(
        self, predictions: Tensor, targets: Tensor, target_lengths: Tensor, predictions_lengths: Tensor | None = None
    ) -> None:
        """Count the edits of one batch.

        Shapes:
            predictions          (B, T, V+1) log-probabilities, or (B, T) best symbols
            targets              (B, U) int64
            target_lengths       (B,)
            predictions_lengths  (B,), or None for all frames
        """
        hypotheses = self.decode(predictions, predictions_lengths)
        rows = zip(targets.cpu().numpy(), target_lengths.tolist(), strict=True)
        references = [self.spell(row[:length]) for row, length in rows]
        if self.log_prediction and references:
            logger.info("reference: %s", references[0])
            logger.info("predicted: %s", hypotheses[0])
        counts = _count_all(hypotheses, references, self.use_cer)
        self.scores = sum(count.errors for count in counts)
        self.words = sum(count.units for count in counts)

    def compute(self) -> tuple[float, int, int]:
        """Return the last batch's rate (infinite without words), its edits and its reference words."""
        return (self.scores / self.words if self.words else float("inf")), self.scores, self.words

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[float, int, int]:
        """``update``, then ``compute``."""
        self.update(*args, **kwargs)
        return self.compute()
