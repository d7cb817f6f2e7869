"""Ports: what a method takes and gives, read from its annotations.

    class Encoded(NamedTuple):
        outputs: Annotated[Tensor, NeuralType("B D T", AcousticEncodedRepresentation())]
        encoded_lengths: Annotated[Tensor, NeuralType("B", LengthsType())]

    def forward(self, audio_signal: Annotated[Tensor, NeuralType("B D T", SpectrogramType())]) -> Encoded: ...

A parameter is an input port if its annotation holds a ``NeuralType``; it is optional if the type says so or if it has a
default. ``list[Annotated[Tensor, ...]]`` is a list of tensors. The fields of a named tuple are output ports; a single
output is ``Annotated[Tensor, NeuralType(...), "name"]``, called ``output`` if no name is given.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union

from seaspeak.core.errors import DeclarationError
from seaspeak.core.types import NeuralType

Declared = Any  # a NeuralType, or one in lists nested to any depth: mypy cannot write that type without help
PortTypes = dict[str, Declared]


@dataclass(frozen=True, slots=True)
class Ports:
    """What the annotations of one method declare.

    Attributes:
        inputs, outputs: port name -> type; ``None`` where nothing is declared.
        result: the named tuple class that the method returns, if it does.
    """

    inputs: PortTypes | None = None
    outputs: PortTypes | None = None
    result: type[tuple[Any, ...]] | None = None


def unwrap(declared: Declared, *, where: str) -> tuple[NeuralType, int]:
    """Return the neural type and the depth of the lists around it.

    Raises:
        DeclarationError: something else than a neural type, or a list with more than one element.
    """
    depth = 0
    while isinstance(declared, (list, tuple)):
        if len(declared) != 1:
            raise DeclarationError(
                f"{where} is declared as a list with {len(declared)} elements; a list has one, its elements' type"
            )
        declared, depth = declared[0], depth + 1
    if not isinstance(declared, NeuralType):
        raise DeclarationError(f"{where} is declared without a NeuralType", got=repr(declared))
    return declared, depth


def annotated_ports(function: Callable[..., Any]) -> Ports:
    """Return the ports in the annotations of a function; empty if there are none.

    Raises:
        DeclarationError: annotations that name ports but cannot be resolved.
    """
    function = inspect.unwrap(function)
    found = function.__dict__.get("__seaspeak_ports__")
    if found is None:
        found = _read(function)
        function.__dict__["__seaspeak_ports__"] = found
    return typing.cast(Ports, found)


def _read(function: Callable[..., Any]) -> Ports:
    raw = getattr(function, "__annotations__", {})
    try:
        hints = typing.get_type_hints(function, include_extras=True)
        outputs, result = _output_ports(hints.pop("return", None))
    except NameError as error:
        if not any("NeuralType" in str(value) or "Annotated" in str(value) for value in raw.values()):
            return Ports()
        raise DeclarationError(
            f"the annotations of {function.__qualname__} cannot be resolved: {error}",
            fix="define what they name at the top level of the module",
        ) from error
    return Ports(_input_ports(function, hints, known=outputs is not None), outputs, result)


def _input_ports(function: Callable[..., Any], hints: Mapping[str, Any], *, known: bool) -> PortTypes | None:
    parameters = list(inspect.signature(function).parameters.values())[1:]
    ports: PortTypes = {}
    for parameter in parameters:
        declared = _declared(hints.get(parameter.name))
        if declared is not None:
            optional = parameter.default is not parameter.empty
            ports[parameter.name] = _made_optional(declared) if optional else declared
    return ports if ports or (known and not parameters) else None


def _output_ports(annotation: Any) -> tuple[PortTypes | None, type[tuple[Any, ...]] | None]:
    if isinstance(annotation, type) and issubclass(annotation, tuple) and hasattr(annotation, "_fields"):
        hints = typing.get_type_hints(annotation, include_extras=True)
        ports = {name: _declared(hints.get(name)) for name in annotation._fields}
        if all(declared is None for declared in ports.values()):
            return None, None
        missing = [name for name, declared in ports.items() if declared is None]
        if missing:
            raise DeclarationError(f"fields {missing} of {annotation.__qualname__} are declared without a NeuralType")
        return ports, annotation
    declared = _declared(annotation)
    return (None, None) if declared is None else ({_output_name(annotation): declared}, None)


def _output_name(annotation: Any) -> str:
    named = (item for item in getattr(annotation, "__metadata__", ()) if isinstance(item, str))
    return next(named, "output")


def _declared(annotation: Any) -> Declared | None:
    """Return the neural type in an annotation, in as many lists as the annotation has around it."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        for item in annotation.__metadata__:
            if isinstance(item, (NeuralType, list)):
                return item
        return _declared(annotation.__origin__)
    if origin in (Union, types.UnionType):
        return next((d for d in map(_declared, typing.get_args(annotation)) if d is not None), None)
    if origin in (list, tuple):
        inner = _declared(typing.get_args(annotation)[0])
        return None if inner is None else [inner]
    return None


def _made_optional(declared: Declared) -> Declared:
    if isinstance(declared, (list, tuple)):
        return [_made_optional(item) for item in declared]
    return declared.as_optional()


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a method after ``self``.

    Attributes:
        positional: those that can be given by position, in order.
        names: all that have a name.
        more_args, more_kwargs: whether ``*args`` and whether ``**kwargs`` are taken.
    """

    positional: tuple[str, ...]
    names: frozenset[str]
    more_args: bool
    more_kwargs: bool

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Parameters:
        """Read the signature of a function."""
        kinds = inspect.Parameter
        by_kind: dict[Any, list[str]] = {}
        for parameter in list(inspect.signature(function).parameters.values())[1:]:
            by_kind.setdefault(parameter.kind, []).append(parameter.name)
        positional = (*by_kind.get(kinds.POSITIONAL_ONLY, ()), *by_kind.get(kinds.POSITIONAL_OR_KEYWORD, ()))
        names = frozenset((*positional, *by_kind.get(kinds.KEYWORD_ONLY, ())))
        return cls(positional, names, kinds.VAR_POSITIONAL in by_kind, kinds.VAR_KEYWORD in by_kind)
