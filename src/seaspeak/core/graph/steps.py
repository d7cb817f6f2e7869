"""Steps: one call of one module each, whose values lie in numbered slots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from seaspeak.core.ports import PortTypes
from seaspeak.core.symbols import Symbol
from seaspeak.core.types import NeuralType


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for one value of a run: an input of the graph, or one output of one step."""

    number: int


@dataclass(frozen=True, slots=True)
class Step:
    """One call of one module.

    Attributes:
        module: the name of the module in the graph.
        arguments: input port -> slot, or a constant, or lists and dicts of these.
        outputs: output port -> slot.
        declared: output port -> declared type.
        needs, gives: numbers of the slots of the arguments, and of the outputs.
    """

    module: str
    arguments: dict[str, Any]
    outputs: dict[str, Slot]
    declared: PortTypes
    needs: tuple[int, ...]
    gives: tuple[int, ...]

    @classmethod
    def of(cls, module: str, arguments: dict[str, Any], outputs: dict[str, Slot], declared: PortTypes) -> Step:
        """Return a step; what it needs and gives is found in its arguments and outputs."""
        return cls(module, arguments, outputs, declared, tuple(slots_in(arguments)), tuple(slots_in(outputs)))

    def store(self, result: Any, values: dict[int, Any]) -> None:
        """Put what the module returned into the slots of its ports; a port that it left out gets ``None``."""
        slots = self.outputs
        fields = getattr(result, "_fields", ())
        if isinstance(result, dict) or set(fields) & slots.keys():
            named = result if isinstance(result, dict) else dict(zip(fields, result, strict=True))
            for port, slot in slots.items():
                values[slot.number] = named.get(port)
        elif len(slots) == 1:
            (slot,) = slots.values()
            values[slot.number] = result
        else:
            for place, slot in enumerate(slots.values()):
                values[slot.number] = result[place] if place < len(result) else None


def fill(source: Any, values: Mapping[int, Any]) -> Any:
    """Return an argument of a step with the values in place of the slots."""
    if type(source) is Slot:
        return values[source.number]
    if isinstance(source, list):
        return [fill(item, values) for item in source]
    if isinstance(source, dict):
        return {key: fill(item, values) for key, item in source.items()}
    return source


def slots_in(source: Any) -> Iterator[int]:
    """Yield the numbers of the slots in an argument, or in all arguments, of a step."""
    if type(source) is Slot:
        yield source.number
    elif isinstance(source, (list, dict)):
        for item in source.values() if isinstance(source, dict) else source:
            yield from slots_in(item)


def innermost(declared: Any) -> NeuralType:
    """Return the neural type in a declaration, out of the lists around it."""
    while isinstance(declared, (list, tuple)):
        declared = declared[0]
    return declared  # type: ignore[no-any-return]  # what lies innermost is a type


def declaration(symbol: Symbol) -> Any:
    """Return the type of a symbol in as many lists as its values are in."""
    declared: Any = symbol.neural_type
    for _ in range(symbol.list_depth):
        declared = [declared]
    return declared
