"""Values of symbols in one batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from seaspeak.core.errors import TrainingError, UnknownNameError, nearest
from seaspeak.core.graph import NeuralGraph, Symbol


def reachable(symbols: Iterable[Symbol]) -> list[Symbol]:
    """Return all outputs of all calls that some symbols depend on, the symbols' own calls included."""
    calls, waiting = {}, [symbol.call for symbol in symbols]
    while waiting:
        call = waiting.pop()
        if id(call) not in calls:
            calls[id(call)] = call
            waiting.extend(source.call for source in call.sources())
    return [symbol for call in calls.values() for symbol in call.outputs.values()]


class BatchValues:
    """Computes symbols for one batch after the other, each only once a batch.

    Args:
        symbols: what will be asked for, together with all that it depends on.
        device: where to compute; the modules are moved there.
    """

    def __init__(self, symbols: Iterable[Symbol], device: torch.device) -> None:
        self.symbols = {symbol.unique_name: symbol for symbol in reachable(symbols)}
        self.graph = NeuralGraph(outputs=self.symbols).to(device)
        self.loss: Tensor | None = None
        self._cache: dict[int, Any] = {}

    def begin(self, batch: dict[str, Any], known: dict[str, Any] | None = None) -> None:
        """Forget the last batch and take the next one, of which some values (by unique name) may be known."""
        self._cache = {self.graph.outputs[name].number: v for name, v in (known or {}).items() if name in self.symbols}
        self.graph.run(batch, (), cache=self._cache)

    def compute(self, symbols: Iterable[Symbol]) -> list[Any]:
        """Return the values of some symbols."""
        names = [symbol.unique_name for symbol in symbols]
        values = self.graph.run(outputs=names, cache=self._cache)
        return [values[name] for name in names]

    def compute_loss(self, losses: Sequence[Symbol], others: Sequence[Symbol]) -> Tensor:
        """Return the sum of the losses, computed together with some other symbols.

        Raises:
            TrainingError: a loss is not a single number.
        """
        values = self.compute([*losses, *others])[: len(losses)]
        for symbol, value in zip(losses, values, strict=True):
            if not isinstance(value, Tensor) or value.numel() != 1:
                shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
                raise TrainingError(
                    f"{symbol.name!r} cannot be minimised: it is not one number", got=str(shape), fix="average it"
                )
        self.loss = torch.stack([value.reshape(()) for value in values]).sum()
        return self.loss

    def get_tensor(self, name: str | Symbol, compute: bool = True) -> Any:
        """Return a value of the current batch.

        Args:
            name: a symbol, its name, its unique name, or ``"loss"`` for the sum of the losses.
            compute: compute it if it was not part of the training.

        Raises:
            UnknownNameError: no symbol is called so, or its value is not known and not to be computed.
        """
        if name == "loss" and self.loss is not None:
            return self.loss
        symbol = name if isinstance(name, Symbol) else self._find(name)
        known = self.values()
        if symbol.unique_name in known:
            return known[symbol.unique_name]
        if not compute or symbol.unique_name not in self.symbols:
            raise UnknownNameError(f"{symbol.name!r} was not computed in this batch")
        with torch.no_grad():
            return self.compute([symbol])[0]

    def values(self) -> dict[str, Any]:
        """Return all that was computed in this batch: unique name -> value."""
        places = self.graph.outputs
        return {n: self._cache[places[n].number] for n in self.symbols if places[n].number in self._cache}

    def _find(self, name: str) -> Symbol:
        if name in self.symbols:
            return self.symbols[name]
        for symbol in self.symbols.values():
            if symbol.name == name:
                return symbol
        names = sorted({symbol.name for symbol in self.symbols.values()})
        raise UnknownNameError(f"no tensor is called {name!r}", expected=", ".join(names), fix=nearest(name, names))
