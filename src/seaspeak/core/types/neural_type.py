"""Neural types: the axes of a tensor and the meaning of its elements."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from seaspeak.core.errors import DeclarationError, NeuralPortNmTensorMismatchError
from seaspeak.core.types.axes import AxisKind, AxisType, parse_axes
from seaspeak.core.types.comparison import NeuralTypeComparisonResult as Result
from seaspeak.core.types.elements import ElementType, VoidType


class NeuralType:
    """What a port takes or gives: axes, elements, and whether it may be left out.

    Immutable and hashable; two types are equal when all three parts are.

    Args:
        axes: a string with one word an axis (``"B D T"``, ``"B D:64 T"``, ``"[B] T"``), NeMo's ``("B", "D", "T")`` or
            ``"BDT"``, an iterable of ``AxisType``, or ``None`` for no statement about axes.
        elements_type: an instance of an element type.
        optional: the port may be left out.

    >>> NeuralType("B D T", ElementType()).compare(NeuralType(("B", "T", "D"), ElementType())).name
    'TRANSPOSE_SAME'

    Raises:
        DeclarationError: axes that mean nothing, or an element type given as a class (also a ``ValueError``).
    """

    __slots__ = ("_hash", "_source", "axes", "elements_type", "optional")

    axes: tuple[AxisType, ...] | None
    elements_type: ElementType
    optional: bool
    _hash: int
    _source: str

    def __init__(
        self,
        axes: str | Iterable[str | AxisType] | None = None,
        elements_type: ElementType | None = None,
        optional: bool = False,
    ) -> None:
        elements_type = VoidType() if elements_type is None else elements_type
        if not isinstance(elements_type, ElementType):
            name = getattr(elements_type, "__name__", "")
            raise DeclarationError(
                "elements_type of a NeuralType is an instance of an element type",
                got=repr(elements_type),
                fix=f"{name}()" if name else "for example SpectrogramType()",
            )
        keep = object.__setattr__
        keep(self, "axes", parse_axes(axes))
        keep(self, "elements_type", elements_type)
        keep(self, "optional", bool(optional))
        keep(self, "_source", "")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a NeuralType cannot be changed; make a new one instead of setting {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a NeuralType cannot be changed; {name!r} stays")

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, NeuralType)
            and self.axes == other.axes
            and self.elements_type == other.elements_type
            and self.optional == other.optional
        )

    def __hash__(self) -> int:
        try:
            return self._hash
        except AttributeError:
            object.__setattr__(self, "_hash", hash(self._identity()))
            return self._hash

    def _identity(self) -> tuple[Any, ...]:
        return self.axes, self.elements_type, self.optional

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as plain text where that is possible, so that ``torch.load`` trusts tensors that carry types."""
        plain = all(isinstance(axis.kind, AxisKind) for axis in self.axes or ())
        axes = self.axes_text if plain and self.axes is not None else self.axes
        return NeuralType, (axes, self.elements_type, self.optional)

    def __repr__(self) -> str:
        parts = [] if self.axes is None else [f'"{self.axes_text}"']
        if self.elements_type != VoidType() or not parts:
            parts.append(repr(self.elements_type) if parts else f"elements_type={self.elements_type!r}")
        if self.optional:
            parts.append("optional=True")
        return f"NeuralType({', '.join(parts)})"

    def __str__(self) -> str:
        """Return NeMo 0.11's text, which stands in the graphs that it stores."""
        axes = "None" if self.axes is None else f"({', '.join(map(repr, self.axes))})"
        return f"axes: {axes}; elements_type: {self.elements_type}"

    @property
    def axes_text(self) -> str:
        """The axes as one writes them (``B D:64 T``); empty when none are stated."""
        return " ".join(axis.short for axis in self.axes or ())

    @property
    def text(self) -> str:
        """The type in a few words, for messages: ``AudioSignal(freq=16000), axes B T``."""
        elements = repr(self.elements_type).removesuffix("()")
        return elements if self.axes is None else f"{elements}, axes {self.axes_text}"

    @property
    def source(self) -> str:
        """Where a tensor got this type (``output 'y' of Net``), for messages; it does not take part in ``==``."""
        return self._source

    def from_source(self, source: str) -> NeuralType:
        """Return an equal type that remembers where it was attached."""
        copy = NeuralType(*self._identity())
        object.__setattr__(copy, "_source", source)
        return copy

    def as_optional(self, optional: bool = True) -> NeuralType:
        """Return the same type for a port that may, or may not, be left out."""
        return self if self.optional == optional else NeuralType(self.axes, self.elements_type, optional)

    def compare(self, second: Any) -> Result:
        """Say whether a value of type ``second`` may be fed to this one, the expected type.

        Source: the rules are NeMo's, except that a wildcard axis does not make an earlier mismatch forgotten.
        """
        if not isinstance(second, NeuralType):
            second = second.ntype  # a symbol
        if self.axes is None and isinstance(self.elements_type, VoidType):
            return Result.SAME
        elements = self.elements_type.compare(second.elements_type)
        axes = _compare_axes(self.axes, second.axes)
        if axes is Result.SAME:
            return elements
        if axes is Result.INCOMPATIBLE or elements is not Result.SAME:
            return Result.INCOMPATIBLE
        return axes

    def compare_and_raise_error(self, parent_type_name: str, port_name: str, second_object: Any) -> None:
        """Compare, and refuse what does not fit.

        Raises:
            NeuralPortNmTensorMismatchError: naming the module (``parent_type_name``), the port, and both types.
        """
        result = self.compare(second_object)
        if not result.connects:
            given = second_object if isinstance(second_object, NeuralType) else second_object.ntype
            raise NeuralPortNmTensorMismatchError(
                f"input {port_name!r} of {parent_type_name} does not accept what it is given ({result.name})",
                got=given.text,
                expected=self.text,
            )


def _compare_axes(expected: tuple[AxisType, ...] | None, given: tuple[AxisType, ...] | None) -> Result:
    """Return ``SAME``, ``TRANSPOSE_SAME``, ``DIM_INCOMPATIBLE`` or ``INCOMPATIBLE``."""
    if expected is None or given is None:
        return Result.SAME if expected is given else Result.INCOMPATIBLE
    if len(expected) != len(given):
        return Result.INCOMPATIBLE
    if all(map(_axes_match, expected, given)):
        return Result.SAME
    sizes_expected = {axis.kind: axis.size for axis in expected}
    sizes_given = {axis.kind: axis.size for axis in given}
    if sizes_expected.keys() != sizes_given.keys():
        return Result.INCOMPATIBLE
    return Result.TRANSPOSE_SAME if sizes_expected == sizes_given else Result.DIM_INCOMPATIBLE


def _axes_match(expected: AxisType, given: AxisType) -> bool:
    if expected.kind is AxisKind.Any:
        return True
    return expected.kind == given.kind and expected.is_list == given.is_list and expected.size in (None, given.size)
