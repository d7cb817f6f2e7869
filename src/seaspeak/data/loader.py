"""A data loader that can resume within an epoch, and whose errors say which example failed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from torch.utils.data import DataLoader

from seaspeak.core.errors import SeaspeakError
from seaspeak.data.sampler import EpochSampler


class ResumableLoader(DataLoader[Any]):
    """torch's ``DataLoader``, with a state.

    ``state_dict()`` says how many batches were taken of which epoch, and ``load_state_dict()`` lets the next iteration
    go on behind them; Lightning stores both in its checkpoints. That needs a sampler of ours (`data.sampler`); with
    another there is no state.
    """

    _taken = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["worker_init_fn"] = kwargs.get("worker_init_fn") or end_quietly
        super().__init__(*args, **kwargs)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # torch names a private iterator
        if hasattr(self.dataset, "next_epoch"):
            self.dataset.next_epoch()
        self._taken = 0
        error = None
        for batch in super().__iter__():
            if isinstance(batch, SeaspeakError):
                error = batch
                break
            self._taken += 1
            yield batch
        if error is not None:
            # Let go of the workers here: if a traceback keeps torch's iterator alive, it is ended by the garbage
            # collector, which takes torch (2.13) five seconds a worker.
            self._iterator = None
            raise error

    def state_dict(self) -> dict[str, int]:
        """Return seed, epoch, and how many batches of it were taken."""
        sampler = self._order
        if sampler is None:
            return {}
        skipped = sampler.skipped // (1 if sampler is self.batch_sampler else self.batch_size or 1)
        return {"seed": sampler.seed, "epoch": sampler.epoch, "batches": skipped + self._taken}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where ``state`` was taken."""
        sampler = self._order
        if sampler is not None and state:
            sampler.seed = state["seed"]
            items = 1 if sampler is self.batch_sampler else self.batch_size or 1
            sampler.resume(state["epoch"], state["batches"] * items)

    @property
    def _order(self) -> EpochSampler | None:
        for sampler in (self.batch_sampler, self.sampler):
            if isinstance(sampler, EpochSampler):
                return sampler
        return None


def end_quietly(worker_id: int) -> None:
    """Let a worker process say nothing if whoever reads its batches is gone.

    What hands tensors over (`multiprocessing.resource_sharer`) reports a connection that the interrupted or killed
    reader dropped through ``sys.excepthook``: a traceback that tells nobody anything.
    """
    usual = sys.excepthook

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, ConnectionError | EOFError):
            usual(kind, error, trace)

    sys.excepthook = report


class Careful:
    """A collate function that hands an error on, if there is one among the examples of a batch.

    One that is raised in a worker process would arrive wrapped in a traceback.
    """

    def __init__(self, collate: Callable[[list[Any]], Any]) -> None:
        self.collate = collate

    def __call__(self, batch: list[Any]) -> Any:
        """Return the batch, or the first error among its examples."""
        return next((example for example in batch if isinstance(example, SeaspeakError)), None) or self.collate(batch)
