"""Data layers: modules without inputs that give the batches of a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler, IterableDataset

from seaspeak.core import processes
from seaspeak.core.checks import Plan
from seaspeak.core.errors import GraphError
from seaspeak.core.module import NeuralModule


class DataLayer(NeuralModule):
    """A module without inputs that gives batches; subclasses declare ``output_types`` and have a data set.

    Attributes:
        dataset: a torch data set, of which batches are made; or
        data_iterator: something that gives batches itself.
        batch_size, shuffle, num_workers, pin_memory, collate_fn: as torch's ``DataLoader`` has them.
    """

    dataset: Any = None
    data_iterator: Iterable[Any] | None = None
    batch_size: int = 1
    shuffle: bool = False
    num_workers: int = 0
    pin_memory: bool = False
    collate_fn: Callable[[list[Any]], Any] | None = None

    @property
    def input_types(self) -> dict[str, Any]:
        """No inputs."""
        return {}

    def __len__(self) -> int:
        """How many examples there are."""
        return len(self.dataset)

    def __bool__(self) -> bool:
        """Return true, also without examples: a module is there or not."""
        return True

    def loader(self, epoch: int | None = None) -> Iterable[Any]:
        """Return what gives the batches of one epoch.

        Args:
            epoch: its number while several processes train, each of which then gets its own part of the data set.

        Raises:
            GraphError: there is neither a data set nor an iterator.
        """
        if self.dataset is not None:
            sampler = self._sampler(epoch)
            return DataLoader(
                self.dataset,
                batch_size=self.batch_size,
                shuffle=self.shuffle and sampler is None,
                sampler=sampler,
                num_workers=self.num_workers,
                pin_memory=self.pin_memory,
                collate_fn=self.collate_fn,
            )
        if self.data_iterator is None:
            raise GraphError(f"{type(self).__name__} has no data", fix="give it a dataset or a data_iterator")
        return self.data_iterator

    def _sampler(self, epoch: int | None) -> DistributedSampler[Any] | None:
        if epoch is None or processes.world_size() == 1 or isinstance(self.dataset, IterableDataset):
            return None
        sampler: DistributedSampler[Any] = DistributedSampler(self.dataset, shuffle=self.shuffle)
        sampler.set_epoch(epoch)
        return sampler

    def batches(self, device: torch.device | str = "cpu", epoch: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield one epoch of batches: output port -> value, tensors on ``device`` and with their neural types.

        Raises:
            NeuralTypeError: a batch is not what the output ports declare.
        """
        ports = self.output_types or {}
        plan = Plan(type(self).__name__, type(self).loader, None, ports)
        for batch in self.loader(epoch):
            values = (batch,) if isinstance(batch, Tensor) or not isinstance(batch, (list, tuple, dict)) else batch
            moved = plan.check_outputs(move(values, device), ())
            yield dict(moved) if isinstance(moved, dict) else dict(zip(ports, moved, strict=False))


def move(value: Any, device: torch.device | str) -> Any:
    """Return a value, or values in lists, tuples and dicts, with tensors on ``device``."""
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, (list, tuple)):
        items = [move(item, device) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, dict):
        return {key: move(item, device) for key, item in value.items()}
    return value
