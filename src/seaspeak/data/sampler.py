"""In which order examples are taken, and which of them make a batch: by a seed and the epoch, so that it can resume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seaspeak.core.errors import DataError

_BATCHES_SORTED_TOGETHER = 50
_ROUNDING = 1e-9  # three times 0.1 s fit into 0.3 s


class EpochSampler(torch.utils.data.Sampler[Any]):
    """An order that depends on nothing but a seed and the number of the epoch.

    Subclasses give the order of an epoch in `order`. Each iteration is the next epoch, unless `set_epoch` says
    another or `resume` says to go on within one.

    Attributes:
        seed: with the epoch it decides the order; torch's initial seed by default.
        epoch: the epoch of the latest iteration; 0 before the first.
        skipped: how many items the latest iteration left out at its beginning, because they had been taken before.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = torch.initial_seed() if seed is None else seed
        self.epoch = self.skipped = 0
        self._next_epoch = self._skip = 0

    @property
    def sampler(self) -> EpochSampler:
        """This object: Lightning looks here when it announces an epoch to a sampler of batches."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be this epoch, from its beginning unless it is the one to be resumed."""
        if epoch != self._next_epoch:
            self._next_epoch, self._skip = epoch, 0

    def resume(self, epoch: int, taken: int) -> None:
        """Let the next iteration go on in ``epoch`` after the ``taken`` items that were had of it."""
        whole = taken >= len(self.order(epoch))
        self._next_epoch, self._skip = (epoch + 1, 0) if whole else (epoch, taken)

    def order(self, epoch: int) -> Sequence[Any]:
        """Return what an iteration gives in ``epoch``."""
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Any]:
        self.epoch, self.skipped = self._next_epoch, self._skip
        self._next_epoch, self._skip = self.epoch + 1, 0
        return islice(iter(self.order(self.epoch)), self.skipped, None)

    def _random(self, epoch: int) -> np.random.Generator:
        return np.random.default_rng((self.seed % 2**63, epoch))


class ShuffledSampler(EpochSampler):
    """Every example once an epoch, in random order.

    >>> sampler = ShuffledSampler(5, seed=1)
    >>> sorted(sampler) == sorted(sampler), list(sampler) == list(sampler)
    (True, False)
    """

    def __init__(self, num_examples: int, seed: int | None = None) -> None:
        super().__init__(seed)
        self.num_examples = num_examples

    def __len__(self) -> int:
        return self.num_examples

    def order(self, epoch: int) -> list[int]:
        """Return a permutation of the examples' places."""
        return [int(place) for place in self._random(epoch).permutation(self.num_examples)]


class DurationBatchSampler(EpochSampler):
    """Batches of examples of similar duration, every example once an epoch.

    Examples are shuffled, sorted by duration within pools of about fifty batches, and cut into batches, which are
    shuffled: little padding, and batches that differ from epoch to epoch.

    Args:
        durations: (num_examples,) seconds.
        batch_size: most examples in a batch.
        batch_duration: most seconds in a batch, padding included; an example longer than that is a batch of its own.
        shuffle: otherwise batches come in order of duration, the same every epoch.
        drop_last: leave out batches smaller than ``batch_size`` (only with ``batch_size`` alone).
        seed: decides the order, with the epoch.

    Raises:
        DataError: neither size is given, or a duration is unknown.

    >>> sampler = DurationBatchSampler([5.0, 1.0, 1.1, 4.9], batch_size=2, shuffle=False)
    >>> list(sampler)
    [[1, 2], [3, 0]]
    """

    def __init__(
        self,
        durations: Sequence[float] | NDArray[np.float64],
        *,
        batch_size: int | None = None,
        batch_duration: float | None = None,
        shuffle: bool = True,
        drop_last: bool = False,
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        self.durations = np.asarray(durations, dtype=np.float64)
        self.batch_size, self.batch_duration = batch_size, batch_duration
        self.shuffle, self.drop_last = shuffle, drop_last
        if not (batch_size or batch_duration):
            raise DataError("batches by duration need a size", expected="batch_size, batch_duration (seconds), or both")
        unknown = int(np.isnan(self.durations).sum())
        if unknown:
            raise DataError(
                f"batches by duration need the duration of every utterance, and {unknown} have none",
                fix="write the durations into the manifest",
            )
        self._cached: tuple[int, list[list[int]]] | None = None

    def __len__(self) -> int:
        return len(self.order(self._next_epoch))

    def order(self, epoch: int) -> list[list[int]]:
        """Return the batches of ``epoch``."""
        if self._cached is None or (self.shuffle and self._cached[0] != epoch):
            self._cached = (epoch, self._batches(epoch))
        return self._cached[1]

    def _batches(self, epoch: int) -> list[list[int]]:
        random = self._random(epoch)
        places = random.permutation(len(self.durations)) if self.shuffle else np.arange(len(self.durations))
        pool = self._pool_size() if self.shuffle else max(1, len(places))
        batches: list[list[int]] = []
        for start in range(0, len(places), pool):
            part = places[start : start + pool]
            batches.extend(self._cut(part[np.argsort(self.durations[part], kind="stable")]))
        if self.drop_last and self.batch_size and not self.batch_duration:
            batches = [batch for batch in batches if len(batch) == self.batch_size]
        return [batches[place] for place in random.permutation(len(batches))] if self.shuffle else batches

    def _pool_size(self) -> int:
        if self.batch_size:
            return self.batch_size * _BATCHES_SORTED_TOGETHER
        average = len(self.durations) * (self.batch_duration or 0.0) / max(float(self.durations.sum()), _ROUNDING)
        return max(1, round(min(average, len(self.durations)))) * _BATCHES_SORTED_TOGETHER

    def _cut(self, places: NDArray[np.int64]) -> list[list[int]]:
        """Cut examples that are sorted by duration into batches."""
        batches: list[list[int]] = []
        for place in places.tolist():
            batch = batches[-1] if batches else None
            if batch is None or not self._fits(len(batch) + 1, self.durations[place]):
                batches.append([place])
            else:
                batch.append(place)
        return batches

    def _fits(self, count: int, longest: float) -> bool:
        return not (
            (self.batch_size and count > self.batch_size)
            or (self.batch_duration and count * longest > self.batch_duration * (1 + _ROUNDING))
        )
