"""From symbols to steps: walks back from the outputs and writes down what they need, in an order that can be run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from seaspeak.core.errors import GraphError
from seaspeak.core.graph.steps import Slot, Step, declaration
from seaspeak.core.module import NeuralModule
from seaspeak.core.ports import PortTypes
from seaspeak.core.symbols import Call, Symbol, map_symbols

Outputs = Symbol | Iterable[Symbol] | Mapping[str, Symbol]


def as_list(outputs: Outputs) -> list[Symbol]:
    """Return the symbols in the outputs of a graph.

    Raises:
        GraphError: there are none, or something else is among them.
    """
    if isinstance(outputs, Symbol):
        return [outputs]
    symbols = list(outputs.values() if isinstance(outputs, Mapping) else outputs)
    for symbol in symbols:
        if not isinstance(symbol, Symbol):
            raise GraphError(
                "the outputs of a graph are symbols",
                got=type(symbol).__name__,
                fix="call the modules with symbols: x = graph_input('x', NeuralType('B T')); y = module(x=x)",
            )
    if not symbols:
        raise GraphError("a graph has at least one output")
    return symbols


class Trace:
    """What a walk back from symbols has found; modules are added to ``owner`` under the names they have in the graph.

    Attributes:
        steps: the calls, in an order in which they can be executed.
        inputs, input_types: of the graph, by name.
    """

    def __init__(self, owner: nn.Module) -> None:
        self.owner = owner
        self.steps: list[Step] = []
        self.inputs: dict[str, Slot] = {}
        self.input_types: PortTypes = {}
        self._slots: dict[Symbol, Slot] = {}
        self._names: dict[NeuralModule, str] = {}
        self._calls: dict[Any, Step] = {}
        self._count = 0

    def add_input(self, symbol: Symbol) -> None:
        """Take ``symbol`` as the next input of the graph."""
        if symbol.call.module is not None:
            raise GraphError(f"{symbol!r} cannot be an input of a graph: a module makes it", fix="use graph_input(...)")
        if symbol.name in self.inputs:
            raise GraphError(f"two inputs of a graph are called {symbol.name!r}", fix="rename one: symbol.rename('y')")
        self.inputs[symbol.name] = self._slots[symbol] = self._new_slot()
        self.input_types[symbol.name] = declaration(symbol)

    def add(self, wanted: Symbol) -> None:
        """Add the calls that ``wanted`` needs."""
        stack = [wanted]
        while stack:
            symbol = stack[-1]
            missing = [source for source in symbol.call.sources() if source not in self._slots]
            if symbol in self._slots:
                stack.pop()
            elif missing:
                stack.extend(reversed(missing))
            elif symbol.call.module is None:
                self.add_input(symbol)
            else:
                self._add_step(symbol.call, symbol.call.module)

    def _add_step(self, call: Call, module: NeuralModule) -> None:
        """Add a call; a second call of a module with the same arguments is the same step."""
        arguments = {
            port: map_symbols(_listed(value), self._slots.__getitem__) for port, value in call.arguments.items()
        }
        key = (id(module), _key(arguments))
        if key not in self._calls:
            slots = {port: self._new_slot() for port in call.outputs}
            declared = {port: declaration(symbol) for port, symbol in call.outputs.items()}
            self._calls[key] = Step.of(self._name(module), arguments, slots, declared)
            self.steps.append(self._calls[key])
        for port, symbol in call.outputs.items():
            self._slots[symbol] = self._calls[key].outputs[port]

    def _name(self, module: NeuralModule) -> str:
        if module not in self._names:
            self._names[module] = self._free_name(module)
            self.owner.add_module(self._names[module], module)
        return self._names[module]

    def _free_name(self, module: NeuralModule) -> str:
        """Return the name that the module was given, or its class with the first number that is free."""
        given = module.given_name
        if given is not None:
            if hasattr(self.owner, given) or "." in given:
                raise GraphError(
                    f"a module in this graph cannot be called {given!r}", fix="give it another name: module.name = ..."
                )
            return given
        number = 0
        while hasattr(self.owner, f"{module.name}{number}"):
            number += 1
        return f"{module.name}{number}"

    def _new_slot(self) -> Slot:
        self._count += 1
        return Slot(self._count - 1)

    def output_slots(self, outputs: Outputs) -> dict[str, Slot]:
        """Return the slots of the outputs by the names that these have in the graph."""
        if isinstance(outputs, Mapping):
            return {name: self._slots[symbol] for name, symbol in outputs.items()}
        slots: dict[str, Slot] = {}
        for symbol in as_list(outputs):
            slot = self._slots[symbol]
            slots[self._longer_name(symbol, slot) if symbol.name in slots else symbol.name] = slot
        return slots

    def _longer_name(self, symbol: Symbol, slot: Slot) -> str:
        for number, step in enumerate(self.steps):
            if slot in step.outputs.values():
                return f"{number}_{step.module}_{symbol.output_port_name}"
        return f"input_{symbol.name}"


def _listed(value: Any) -> Any:
    return list(map(_listed, value)) if isinstance(value, (list, tuple)) else value


def _key(value: Any) -> Any:
    """Return something that is equal for equal arguments; constants count as equal only if they are one object."""
    if isinstance(value, list):
        return tuple(map(_key, value))
    if isinstance(value, dict):
        return tuple((key, _key(value[key])) for key in sorted(value))
    return value if type(value) is Slot else id(value)
