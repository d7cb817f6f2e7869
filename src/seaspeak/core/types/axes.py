"""Axes: what one dimension of a tensor, or one level of a nested list, counts.

An axis is written as a word of one string, ``"B D:64 T"``: a kind, maybe with a fixed size, in brackets when it is a
Python list and not a dimension of a tensor (``"[B] T"`` is a list of one-dimensional tensors).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from seaspeak.core.errors import DeclarationError, nearest


class AxisKindAbstract(Enum):
    """Base of all kinds of axes. Subclass it to make kinds of your own; they are used as members, not as strings."""

    def __repr__(self) -> str:
        return self.name.lower()

    def __str__(self) -> str:
        return self.name.lower()


class AxisKind(AxisKindAbstract):
    """What an axis counts.

    >>> AxisKind.from_str("B"), AxisKind.from_str("channel")
    (batch, dimension)
    """

    Batch = 0
    Time = 1
    Dimension = 2
    Channel = 2  # an alias: the same kind under its name in convolutional networks
    Width = 3
    Height = 4
    Any = 5
    """A wildcard on the expected side."""
    Sequence = 6
    FlowGroup = 7
    Singleton = 8

    @staticmethod
    def from_str(label: str) -> AxisKind:
        """Return the kind that a label such as ``"B"``, ``"time"`` or ``"t_text"`` stands for; case does not matter.

        Raises:
            DeclarationError: nothing is known under this label (also a ``ValueError``).
        """
        text = label.lower().strip()
        if text in _KINDS:
            return _KINDS[text]
        if len(text) > 2 and text.startswith("t_"):
            return AxisKind.Time
        raise DeclarationError(
            f"Can't create AxisKind from {label}",
            expected="one of " + ", ".join(_KINDS),
            fix=nearest(text, [word for word in _KINDS if len(word) > 1]),
        )


_KINDS = {
    "b": AxisKind.Batch,
    "n": AxisKind.Batch,
    "batch": AxisKind.Batch,
    "t": AxisKind.Time,
    "time": AxisKind.Time,
    "d": AxisKind.Dimension,
    "c": AxisKind.Dimension,
    "channel": AxisKind.Dimension,
    "dimension": AxisKind.Dimension,
    "w": AxisKind.Width,
    "width": AxisKind.Width,
    "h": AxisKind.Height,
    "height": AxisKind.Height,
    "any": AxisKind.Any,
    "seq": AxisKind.Sequence,
    "sequence": AxisKind.Sequence,
    "flowgroup": AxisKind.FlowGroup,
    "s": AxisKind.Singleton,
    "singleton": AxisKind.Singleton,
}
_LETTERS = {
    AxisKind.Batch: "B",
    AxisKind.Time: "T",
    AxisKind.Dimension: "D",
    AxisKind.Width: "W",
    AxisKind.Height: "H",
    AxisKind.Singleton: "S",
}


@dataclass(frozen=True, slots=True, repr=False)
class AxisType:
    """One axis: its kind, its size where that is fixed, and whether it is a Python list.

    Raises:
        DeclarationError: a list with a fixed size.
    """

    kind: AxisKindAbstract
    size: int | None = None
    is_list: bool = False

    def __post_init__(self) -> None:
        if self.size is not None and self.is_list:
            raise DeclarationError("a list axis cannot have a fixed size", got=f"{self.kind} with size {self.size}")

    def __repr__(self) -> str:
        size = "" if self.size is None else f":{self.size}"
        return f"{self.kind}{size}{'_listdim' if self.is_list else ''}"

    @property
    def short(self) -> str:
        """The axis as one writes it: ``B``, ``D:64``, ``[T]``."""
        letter = _LETTERS.get(self.kind, self.kind.name)  # type: ignore[call-overload]  # own kinds have none
        text = letter if self.size is None else f"{letter}:{self.size}"
        return f"[{text}]" if self.is_list else text


_WORD = re.compile(r"(?P<open>\[)?(?P<kind>[^\[\]:]+)(?::(?P<size>\d+))?(?P<close>\])?")


def _axis(item: str | AxisType) -> AxisType:
    if isinstance(item, AxisType):
        return item
    if not isinstance(item, str):
        raise DeclarationError("an axis is a string or an AxisType", got=f"{item!r} ({type(item).__name__})")
    word = _WORD.fullmatch(item.strip())
    if word is None or bool(word["open"]) != bool(word["close"]):
        raise DeclarationError(f"Can't create AxisKind from {item}", expected="an axis such as B, D:64 or [T]")
    size = None if word["size"] is None else int(word["size"])
    return AxisType(AxisKind.from_str(word["kind"]), size, bool(word["open"]))


def _words(text: str) -> Iterable[str]:
    """Split ``"B D T"`` at blanks; one word without them is an axis, or one axis a letter (``"BDT"``)."""
    words = text.split()
    if len(words) != 1 or words[0].lower() in _KINDS or re.search(r"[\[:_]", words[0]):
        return words
    return words[0]


def parse_axes(axes: str | Iterable[str | AxisType] | None) -> tuple[AxisType, ...] | None:
    """Return the axes that a string, or an iterable of strings and ``AxisType``, describes; ``None`` means unspecified.

    Raises:
        DeclarationError: a label that is no axis, or a list axis behind a tensor axis.
    """
    if axes is None:
        return None
    return _parse(axes if isinstance(axes, str) else tuple(axes))


@functools.lru_cache(maxsize=1024)
def _parse(axes: str | tuple[str | AxisType, ...]) -> tuple[AxisType, ...]:
    parsed = tuple(map(_axis, _words(axes) if isinstance(axes, str) else axes))
    flags = [axis.is_list for axis in parsed]
    if flags != sorted(flags, reverse=True):
        raise DeclarationError(
            "list axes come before tensor axes: a list can hold tensors, a tensor cannot hold lists",
            got=" ".join(axis.short for axis in parsed),
        )
    return parsed
