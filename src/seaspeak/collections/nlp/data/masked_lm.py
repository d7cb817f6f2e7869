"""Examples for masked-language-model pretraining, made from plain text while training goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from seaspeak.core.errors import DataError, FileMissingError
from seaspeak.data.loader import ResumableLoader
from seaspeak.data.sampler import ShuffledSampler
from seaspeak.text.tokenizers import Tokenizer

_FIRST_SHARE = 0.6
"""How much of an example its first segment gets."""
_MARKS = 3  # [CLS] first [SEP] second [SEP]


class MaskedBatch(NamedTuple):
    """What a step learns from; all (B, T) but the last, which is (B,)."""

    input_ids: Tensor
    token_type_ids: Tensor
    attention_mask: Tensor
    output_ids: Tensor
    output_mask: Tensor
    nsp_labels: Tensor


class MaskedTextDataset(Dataset[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]]):
    """Two segments of text, some of whose pieces are hidden; the second follows the first in half of the examples.

    The first segment begins with the line of the example's number, so that every line is a beginning once an epoch;
    all else is drawn by lot, from torch's generator, or always alike (``fixed``), for validation.

    Args:
        data_file: one or several text files, one sentence or paragraph a line; empty lines do not count.
        tokenizer: knows mask, cls and sep.
        max_seq_length: the most pieces of an example, special tokens included.
        mask_prob: the share of pieces that are to be guessed: four of five are hidden, one of ten is another piece,
            one of ten is left as it is.
        short_seq_prob: the share of examples of some shorter length.
        fixed: draw the same lots every time.

    Raises:
        FileMissingError: a file does not exist.
        DataError: the files have fewer than two lines with text, or the tokenizer lacks a token.
    """

    def __init__(
        self,
        data_file: str | Path | Sequence[str | Path],
        tokenizer: Tokenizer,
        *,
        max_seq_length: int = 128,
        mask_prob: float = 0.15,
        short_seq_prob: float = 0.1,
        fixed: bool = False,
    ) -> None:
        files = [data_file] if isinstance(data_file, str | Path) else list(data_file)
        self.lines = [line for file in files for line in _read(Path(file)) if tokenizer.text_to_ids(line)]
        if len(self.lines) < 2:
            raise DataError(f"{', '.join(map(str, files))}: at least two lines with text are needed")
        for role in ("cls", "sep", "mask"):
            if getattr(tokenizer, f"{role}_id") is None:
                raise DataError(f"the tokenizer has no {role}_token", fix="set tokenizer.special_tokens")
        self.tokenizer, self.room = tokenizer, max_seq_length - _MARKS
        self.mask_prob, self.short_seq_prob, self.fixed = mask_prob, short_seq_prob, fixed
        special = {"cls", "sep", "pad", "mask", "unk"} & set(tokenizer.special)
        hidden = {int(getattr(tokenizer, f"{role}_id")) for role in special}
        self.ordinary = np.array([place for place in range(tokenizer.vocab_size) if place not in hidden])

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]:
        """Return ids with some hidden, token types, true ids, which of them are to be guessed, whether b follows a."""
        rng = np.random.default_rng(index if self.fixed else int(torch.randint(2**62, ())))
        room = int(rng.integers(2, self.room)) if rng.random() < self.short_seq_prob else self.room
        first, end = self._segment(index, int(room * _FIRST_SHARE))
        follows = bool(rng.random() < 0.5) and end < len(self.lines)
        second, _ = self._segment(end if follows else int(rng.integers(len(self.lines))), room - len(first))
        first, second = _cut(first, second, room, rng)
        ids = np.array([self.tokenizer.cls_id, *first, self.tokenizer.sep_id, *second, self.tokenizer.sep_id])
        types = (np.arange(len(ids)) > len(first) + 1).astype(np.int64)
        hidden, guessed = self._hide(ids, rng)
        return hidden, types, ids, guessed, int(follows)

    def _segment(self, start: int, wanted: int) -> tuple[list[int], int]:
        """Return the pieces of the lines from ``start`` on until there are enough, and the line behind them."""
        pieces: list[int] = []
        while start < len(self.lines) and len(pieces) < max(wanted, 1):
            pieces += self.tokenizer.text_to_ids(self.lines[start])
            start += 1
        return pieces, start

    def _hide(self, ids: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        marks = np.isin(ids, [self.tokenizer.cls_id, self.tokenizer.sep_id])
        guessed = (rng.random(len(ids)) < self.mask_prob) & ~marks
        way = rng.random(len(ids))
        hidden = np.where(guessed & (way < 0.8), self.tokenizer.mask_id, ids)
        other = self.ordinary[rng.integers(len(self.ordinary), size=len(ids))]
        return np.where(guessed & (way >= 0.9), other, hidden), guessed

    def collate(self, batch: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]]) -> MaskedBatch:
        """Return the examples side by side, the shorter ones filled up."""
        hidden, types, ids, guessed, follows = zip(*batch, strict=True)
        pad = self.tokenizer.pad_id or 0
        real = [np.ones(len(row), np.int64) for row in ids]
        return MaskedBatch(
            _stack(hidden, pad),
            _stack(types, 0),
            _stack(real, 0),
            _stack(ids, pad),
            _stack(guessed, 0),
            torch.tensor(follows),
        )

    def loader(self, *, batch_size: int, shuffle: bool, num_workers: int = 0) -> ResumableLoader:
        """Return what gives batches of the examples."""
        sampler = ShuffledSampler(len(self)) if shuffle else None
        return ResumableLoader(
            self, batch_size=batch_size, sampler=sampler, num_workers=num_workers, collate_fn=self.collate
        )


def _read(path: Path) -> list[str]:
    if not path.is_file():
        raise FileMissingError(f"the text file {path} does not exist")
    return [line.strip() for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


def _cut(first: list[int], second: list[int], room: int, rng: np.random.Generator) -> tuple[list[int], list[int]]:
    """Take pieces off the longer segment, at an end drawn by lot each time, until both fit."""
    a, b = [0, len(first)], [0, len(second)]
    while (a[1] - a[0]) + (b[1] - b[0]) > room:
        longer = a if a[1] - a[0] > b[1] - b[0] else b
        if rng.random() < 0.5:
            longer[0] += 1
        else:
            longer[1] -= 1
    return first[slice(*a)], second[slice(*b)]


def _stack(rows: Sequence[np.ndarray], fill: int) -> Tensor:
    out = torch.full((len(rows), max(map(len, rows))), fill, dtype=torch.long)
    for place, row in enumerate(rows):
        out[place, : len(row)] = torch.as_tensor(row)
    return out
