"""What ``@typecheck()`` does with the values of one call: the plan is made once, the check is a few look-ups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from seaspeak.core.errors import (
    NeuralPortNameMismatchError,
    NeuralPortNmTensorMismatchError,
    NeuralTypeError,
    nearest,
)
from seaspeak.core.ports import Parameters, PortTypes, unwrap
from seaspeak.core.types import NeuralType
from seaspeak.core.types.remedy import remedy


class Port:
    """One input or output of a typed method.

    Attributes:
        owner: the module's class, and the method if it is not ``forward``; for messages.
        ignore_collections: any number of lists is accepted.
        type: what the values are.
        depth: how many lists are declared around them.
        list_axes: how many of the axes are lists; a tensor that has dimensions in their place is accepted, as in NeMo.
        num_dimensions: of a tensor that has all axes; ``None`` accepts any number.
    """

    __slots__ = (
        "_seen",
        "depth",
        "direction",
        "ignore_collections",
        "list_axes",
        "name",
        "num_dimensions",
        "optional",
        "owner",
        "type",
    )

    def __init__(self, owner: str, direction: str, name: str, declared: Any, *, ignore_collections: bool) -> None:
        self.owner, self.direction, self.name, self.ignore_collections = owner, direction, name, ignore_collections
        neural_type, depth = unwrap(declared, where=self.label)
        self.type = neural_type.from_source(self.label)
        axes = neural_type.axes
        self.depth = depth
        self.list_axes = sum(axis.is_list for axis in axes or ())
        self.num_dimensions = None if axes is None else len(axes)
        self.optional = neural_type.optional
        self._seen: NeuralType | None = None

    @property
    def label(self) -> str:
        """The port in a sentence: ``input 'length' of ConvASREncoder``."""
        return f"{self.direction} {self.name!r} of {self.owner}"

    def check(self, value: Any, *, semantic: bool, lists: int = 0) -> None:
        """Refuse a value that is no list whose type or number of dimensions does not fit.

        Args:
            value: a tensor, or anything.
            semantic: compare the type that it carries.
            lists: how many of the list axes are lists around it.
        """
        given = getattr(value, "neural_type", None)
        if given is not None and given is not self._seen and semantic:
            self.accept(given)
            self._seen = given
        if self.num_dimensions is not None:
            expected = self.num_dimensions - lists
            if getattr(value, "ndim", expected) != expected:
                self._refuse_dimensions(value, expected)

    def accept(self, given: NeuralType) -> None:
        """Refuse a type that does not fit.

        Raises:
            NeuralPortNmTensorMismatchError: naming this port, where the value comes from, and what to do.
        """
        result = self.type.compare(given)
        if not result.connects:
            raise NeuralPortNmTensorMismatchError(
                f"{self.label} does not accept {given.source or 'a value'} ({result.name})",
                got=given.text,
                expected=self.type.text,
                fix=remedy(self.type, given, result),
            )

    def walk(self, value: Any, *, semantic: bool, depth: int = 0) -> None:
        """Check a value that may be a list of lists of values."""
        if isinstance(value, (list, tuple)):
            for item in value:
                self.walk(item, semantic=semantic, depth=depth + 1)
            return
        if value is None:
            return
        depth += getattr(value, "list_depth", 0)  # a symbol may stand for a list
        lists = depth - self.depth
        if lists not in (0, self.list_axes) and not self._may_be_nested(depth):
            self._refuse_depth(depth)
        self.check(value, semantic=semantic, lists=self.list_axes if lists == self.list_axes else 0)

    def _may_be_nested(self, depth: int) -> bool:
        return self.ignore_collections or (self.direction == "output" and depth == 0)

    def _refuse_depth(self, depth: int) -> None:
        expected = self.depth + self.list_axes
        if depth < expected:
            fix = "wrap it in a list: [x]"
        else:
            fix = "pass the tensor itself, or declare the port as a list: [NeuralType(...)]"
        raise NeuralTypeError(
            f"{self.label} is nested in {_lists(depth)}", expected=f"{self.type.text} in {_lists(expected)}", fix=fix
        )

    def _refuse_dimensions(self, value: Any, expected: int) -> None:
        missing = expected - value.ndim
        if missing == 1 and self.type.axes_text.startswith("B"):
            fix = "add the batch axis: x.unsqueeze(0)"
        elif missing == -1 and self.type.axes_text == "B T":
            fix = "average the channels, x.mean(dim=1), or select one, x[:, 0]"
        else:
            fix = "bring the tensor into the shape that the axes say"
        raise NeuralTypeError(
            f"{self.label} has the wrong number of dimensions",
            got=f"{value.ndim} dimensions, shape {tuple(value.shape)}",
            expected=f"{expected} dimensions, {self.type.text}",
            fix=fix,
        )

    def attach(self, value: Any, inputs: tuple[Any, ...]) -> Any:
        """Return an output with this port's type on its tensors; a tensor that the caller passed in is not touched.

        Raises:
            NeuralTypeError: it has another number of dimensions, or is nested otherwise, than declared.
        """
        if isinstance(value, Tensor):
            if self.num_dimensions is not None and value.ndim != self.num_dimensions:
                self._refuse_dimensions(value, self.num_dimensions)
            return self._typed(value, inputs)
        if isinstance(value, (list, tuple)):
            self.walk(value, semantic=False)
            return self._all_typed(value, inputs)
        return value

    def _typed(self, value: Tensor, inputs: tuple[Any, ...]) -> Tensor:
        for given in inputs:
            if value is given or (type(given) in _CONTAINERS and _holds(given, value)):
                value = value.view_as(value)
                break
        value.neural_type = self.type  # type: ignore[attr-defined]  # tensors take attributes
        return value

    def _all_typed(self, value: Any, inputs: tuple[Any, ...]) -> Any:
        if isinstance(value, (list, tuple)):
            return _rebuilt(value, [self._all_typed(item, inputs) for item in value])
        return self._typed(value, inputs) if isinstance(value, Tensor) else value


_CONTAINERS = (list, tuple, dict)


def _holds(container: Any, tensor: Tensor) -> bool:
    """Return whether this very tensor is somewhere in a list, tuple or dict."""
    items = container.values() if isinstance(container, dict) else container
    return any(item is tensor or (type(item) in _CONTAINERS and _holds(item, tensor)) for item in items)


def _lists(depth: int) -> str:
    return ("no list", "a list", "a list of lists")[depth] if depth < 3 else f"{depth} levels of lists"


class Plan:
    """How the calls of one method of one class are checked.

    Args:
        owner: the class and method in messages.
        function: the method itself.
        inputs, outputs: port name -> declared type; ``None`` where nothing is checked.
        open_inputs: parameters without a port are allowed (ports come from annotations).
        ignore_collections: lists are accepted around any value.
    """

    def __init__(
        self,
        owner: str,
        function: Callable[..., Any],
        inputs: PortTypes | None,
        outputs: PortTypes | None,
        *,
        open_inputs: bool = False,
        ignore_collections: bool = False,
    ) -> None:
        self.owner = owner
        self.inputs = self._ports("input", inputs, ignore_collections)
        self.outputs = self._ports("output", outputs, ignore_collections)
        self.mandatory = frozenset(name for name, port in (self.inputs or {}).items() if not port.optional)
        self._fewest = sum(not port.optional for port in (self.outputs or {}).values())
        self._single = next(iter(self.outputs.values())) if self.outputs and len(self.outputs) == 1 else None
        self._orders: dict[type, tuple[Port, ...]] = {}
        parameters = Parameters.of(function)
        by_order = parameters.more_args and not parameters.positional
        self.positional = tuple(self.inputs or ()) if by_order else parameters.positional
        self._free = parameters if open_inputs else None

    def _ports(self, direction: str, declared: PortTypes | None, lenient: bool) -> dict[str, Port] | None:
        if declared is None:
            return None
        return {n: Port(self.owner, direction, n, t, ignore_collections=lenient) for n, t in declared.items()}

    def named(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the arguments by name, positional ones bound by the signature."""
        if not args:
            return kwargs
        return {**dict(zip(self.positional, args, strict=False)), **kwargs}

    def check_inputs(self, values: Mapping[str, Any], *, semantic: bool) -> None:
        """Refuse a call whose arguments do not fit.

        Raises:
            NeuralTypeError: naming port, types and the remedy.
        """
        ports = self.inputs
        if ports is None:
            return
        given = 0
        for name, value in values.items():
            port = ports.get(name)
            if port is None:
                self._refuse_name(name)
            elif value is not None:
                given += not port.optional
                if isinstance(value, Tensor) and not port.depth:
                    port.check(value, semantic=semantic)
                else:
                    port.walk(value, semantic=semantic)
        if given < len(self.mandatory):
            self._require(values)

    def _require(self, values: Mapping[str, Any]) -> None:
        missing = sorted(name for name in self.mandatory if values.get(name) is None)
        if missing:
            absent = [name for name in missing if name not in values]
            first = (self.inputs or {})[missing[0]]
            raise NeuralTypeError(
                f"{self.owner} needs {'input' if len(missing) == 1 else 'inputs'} {', '.join(map(repr, missing))}",
                got="" if absent else "None",
                expected=first.type.text,
                fix="" if absent else f"declare it with optional=True if {self.owner} can do without",
            )

    def _refuse_name(self, name: str) -> None:
        if self._free is not None and (self._free.more_kwargs or name in self._free.names):
            return
        known = self.inputs or {}
        raise NeuralPortNameMismatchError(
            f"Wrong input port name: {name}; {self.owner} has no such input",
            expected=", ".join(known) or "no inputs",
            fix=nearest(name, known),
        )

    def check_outputs(self, result: Any, inputs: tuple[Any, ...]) -> Any:
        """Return the result with its types attached.

        Raises:
            NeuralTypeError: it is not what the output ports declare.
        """
        if self.outputs is None:
            return result
        if isinstance(result, Tensor) and self._single is not None:
            return self._single.attach(result, inputs)
        if isinstance(result, dict):
            return self._check_dict(result, self.outputs, inputs)
        if isinstance(result, (list, tuple)):
            return self._check_sequence(result, inputs)
        self._count_fits(1)
        port = next(iter(self.outputs.values()))
        return port.attach(result, inputs)

    def _check_sequence(self, result: Any, inputs: tuple[Any, ...]) -> Any:
        port = self._single
        if port is not None and port.depth and not (len(result) == 1 and _levels(result) > port.depth):
            return port.attach(result, inputs)
        self._count_fits(len(result))
        items = [port.attach(item, inputs) for port, item in zip(self._order(type(result)), result, strict=False)]
        return _rebuilt(result, items)

    def _order(self, kind: type) -> tuple[Port, ...]:
        """Return the ports in the order of a result's items: by the names of a named tuple, else as declared."""
        order = self._orders.get(kind)
        if order is None:
            ports, fields = self.outputs or {}, getattr(kind, "_fields", ())
            by_name = fields and ports.keys() >= set(fields)
            order = self._orders[kind] = tuple(ports[name] for name in fields) if by_name else tuple(ports.values())
        return order

    def _check_dict(self, result: dict[str, Any], ports: dict[str, Port], inputs: tuple[Any, ...]) -> dict[str, Any]:
        unknown = result.keys() - ports.keys()
        if unknown or any(not port.optional and name not in result for name, port in ports.items()):
            raise NeuralTypeError(
                f"{self.owner} returned other outputs than it declares",
                got=", ".join(map(str, result)) or "none",
                expected=", ".join(ports),
            )
        items = {name: ports[name].attach(value, inputs) for name, value in result.items()}
        return items if any(items[name] is not result[name] for name in result) else result

    def _count_fits(self, count: int) -> None:
        ports = self.outputs or {}
        if not self._fewest <= count <= len(ports):
            expected = str(len(ports)) if self._fewest == len(ports) else f"{self._fewest} to {len(ports)}"
            raise NeuralTypeError(
                f"{self.owner} returned another number of outputs than it declares",
                got=str(count),
                expected=f"{expected}: {', '.join(ports)}",
            )


def _levels(value: Any) -> int:
    """Return how many lists are around the first item."""
    levels = 0
    while isinstance(value, (list, tuple)):
        value, levels = value[0] if value else None, levels + 1
    return levels


def _rebuilt(like: Any, items: list[Any]) -> Any:
    """Return ``like`` itself if these are its items, else a list, tuple or named tuple of its kind with them."""
    for new, old in zip(items, like, strict=True):
        if new is not old:
            return type(like)(*items) if hasattr(like, "_fields") else type(like)(items)
    return like
