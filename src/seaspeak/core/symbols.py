"""Symbols: what a module gives when it is called with symbols, and what a data layer gives when it is called.

A symbol stands for a tensor that does not exist yet. It knows its neural type and the call that will make it; so a
graph is what is found by walking back from its outputs, and nothing needs to be recorded anywhere else.
"""

from __future__ import annotations

import uuid
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from seaspeak.core.checks import Plan
from seaspeak.core.errors import GraphError
from seaspeak.core.ports import unwrap
from seaspeak.core.types import NeuralType, NeuralTypeComparisonResult
from seaspeak.core.typing import (
    declared_types,
    has_fixed_ports,
    is_semantic_check_enabled,
    is_typecheck_enabled,
)

if TYPE_CHECKING:
    from seaspeak.core.module import NeuralModule


class Call:
    """One recorded call of a module.

    Attributes:
        module: what was called; ``None`` for the inputs of a graph.
        arguments: input port -> symbol, or a value, or lists of these.
        outputs: output port -> the symbol that stands for it.
    """

    __slots__ = ("arguments", "module", "outputs")

    def __init__(self, module: NeuralModule | None, arguments: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
        self.module, self.arguments = module, dict(arguments)
        self.outputs = {name: Symbol(self, name, declared) for name, declared in outputs.items()}

    def sources(self) -> Iterator[Symbol]:
        """Yield the symbols among the arguments."""
        for value in self.arguments.values():
            yield from symbols_in(value)


class Symbol:
    """A tensor that does not exist yet (NeMo's ``NmTensor``).

    Attributes:
        call: the call that makes it.
        output_port_name: the output port that it comes from.
        neural_type: what it is.
        list_depth: how many lists are around each tensor.
        name: the port's name until it is renamed.
    """

    __slots__ = ("__weakref__", "_unique_name", "call", "list_depth", "name", "neural_type", "output_port_name")

    def __init__(self, call: Call, port: str, declared: Any) -> None:
        producer = "the graph's inputs" if call.module is None else type(call.module).__name__
        label = f"output {port!r} of {producer}" if call.module else f"graph input {port!r}"
        neural_type, self.list_depth = unwrap(declared, where=label)
        self.call, self.output_port_name, self.name = call, port, port
        self.neural_type = neural_type.from_source(label)
        self._unique_name = ""

    def __repr__(self) -> str:
        return f"Symbol({self.name!r}, {self.neural_type.text}, from {self.producer_name})"

    @property
    def ntype(self) -> NeuralType:
        """What it is."""
        return self.neural_type

    @property
    def producer(self) -> NeuralModule | None:
        """The module that makes it; ``None`` for an input of a graph."""
        return self.call.module

    @property
    def producer_name(self) -> str:
        """The name of the module that makes it."""
        return "graph inputs" if self.producer is None else self.producer.name

    @property
    def producer_args(self) -> dict[str, Any]:
        """What the module that makes it is called with."""
        return self.call.arguments

    @property
    def unique_name(self) -> str:
        """A name that no other symbol has; it never changes."""
        if not self._unique_name:
            self._unique_name = f"{self.output_port_name}~~~{self.producer_name}~~~{uuid.uuid4()}"
        return self._unique_name

    def rename(self, name: str) -> None:
        """Give it another name, under which callbacks and graphs know it.

        Raises:
            GraphError: the name ``loss``, which stands for the sum of all losses.
        """
        if name == "loss":
            raise GraphError("the name 'loss' stands for the sum of all losses", fix="choose another name")
        self.name = name

    def compare(self, second: NeuralType | Symbol) -> NeuralTypeComparisonResult:
        """Compare its type with another."""
        return self.neural_type.compare(second)

    @classmethod
    def __torch_function__(
        cls, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> NoReturn:
        name = getattr(function, "__name__", str(function))
        raise GraphError(
            f"torch's {name} was called with a symbol, which has no values yet",
            fix="put the computation into the forward of a NeuralModule, and call that",
        )


def graph_input(name: str, neural_type: NeuralType) -> Symbol:
    """Return a symbol that stands for an input of a graph.

    >>> graph_input("x", NeuralType("B T")).name
    'x'
    """
    return Call(None, {}, {name: neural_type}).outputs[name]


def symbols_in(value: Any) -> Iterator[Symbol]:
    """Yield the symbols in a value: itself, or in lists, tuples and dicts."""
    if isinstance(value, Symbol):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from symbols_in(item)
    elif isinstance(value, dict):
        yield from symbols_in(list(value.values()))


def holds_symbols(values: Iterable[Any]) -> bool:
    """Return whether there is a symbol among some values, or in a list or dict among them."""
    for value in values:
        kind = type(value)
        if kind is Symbol or (kind in _CONTAINERS and any(True for _ in symbols_in(value))):
            return True
    return False


_CONTAINERS = (list, tuple, dict)


def map_symbols(value: Any, replace: Callable[[Symbol], Any]) -> Any:
    """Return ``value`` with every symbol in it replaced."""
    if isinstance(value, Symbol):
        return replace(value)
    if isinstance(value, (list, tuple)):
        items = [map_symbols(item, replace) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, dict):
        return {key: map_symbols(item, replace) for key, item in value.items()}
    return value


def record(module: NeuralModule, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Return the symbols for the outputs of a call of ``module`` with symbols.

    A module that returns a named tuple gives that named tuple of symbols; one that declares several outputs by name
    gives a named tuple ``<Class>Output``; one output gives one symbol.

    Raises:
        NeuralTypeError: an argument does not fit, or a mandatory one is missing.
        GraphError: the module does not declare its ports.
    """
    inputs, outputs = (declared_types(module, name) for name in ("input_types", "output_types"))
    name = type(module).__name__
    if inputs is None or not outputs:
        raise GraphError(
            f"{name} cannot be called with symbols: it declares no {'inputs' if inputs is None else 'outputs'}",
            fix="annotate its forward with neural types, or define input_types and output_types",
        )
    return packed(module, Call(module, named_arguments(module, args, kwargs), outputs).outputs)


def named_arguments(module: NeuralModule, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the arguments of a call by name, checked against the input ports of the module."""
    name = type(module).__name__
    plan = Plan(name, type(module).forward, module.input_types, None, open_inputs=has_fixed_ports(type(module)))
    if len(args) > len(plan.positional):
        raise GraphError(f"{name} takes at most {len(plan.positional)} arguments by position, got {len(args)}")
    arguments = plan.named(args, kwargs)
    if is_typecheck_enabled():
        plan.check_inputs(arguments, semantic=is_semantic_check_enabled())
    return arguments


def packed(module: NeuralModule, outputs: Mapping[str, Any]) -> Any:
    """Return symbols, or values, by output port in the form in which the module returns its outputs."""
    result = module.result_type
    if result is not None:
        return result(**outputs)
    if len(outputs) == 1:
        return next(iter(outputs.values()))
    return namedtuple(f"{type(module).__name__}Output", outputs, rename=True)(*outputs.values())


NmTensor = Symbol
