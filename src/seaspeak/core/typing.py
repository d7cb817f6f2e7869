"""Typed methods: ``Typing`` says what goes in and out, ``@typecheck()`` holds calls to it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, ClassVar, TypeVar, cast

import torch

from seaspeak.core import types
from seaspeak.core.checks import Plan
from seaspeak.core.ports import Ports, PortTypes, annotated_ports

F = TypeVar("F", bound=Callable[..., Any])

# A tensor that carries its type can be saved and loaded like any other (torch.load trusts nothing by itself).
_ELEMENTS = [getattr(types, name) for name in types.__all__ if name.endswith(("Type", "Signal", "Index", "Target"))]
torch.serialization.add_safe_globals([types.NeuralType, *_ELEMENTS])


class _Switch:
    """An on/off setting of the process that a ``with`` block overrides for its own thread or task, and only there."""

    def __init__(self, name: str) -> None:
        self.process = True
        self.local: ContextVar[bool | None] = ContextVar(name, default=None)

    @property
    def on(self) -> bool:
        here = self.local.get()
        return self.process if here is None else here

    @contextlib.contextmanager
    def off(self) -> Iterator[None]:
        token = self.local.set(False)
        try:
            yield
        finally:
            self.local.reset(token)


_checks = _Switch("seaspeak_typecheck")
_semantics = _Switch("seaspeak_typecheck_semantics")


def is_typecheck_enabled() -> bool:
    """Return whether typed methods are checked here and now."""
    return _checks.on


def is_semantic_check_enabled() -> bool:
    """Return whether the types that tensors carry are compared here and now."""
    return _semantics.on


class Typing:
    """Something with typed methods.

    The ports of ``forward`` are read from its annotations (``seaspeak.core.ports``). A class may define the properties
    ``input_types`` and ``output_types`` instead, or the first generation's ``input_ports`` and ``output_ports``: dicts
    of port name -> ``NeuralType``, in as many lists as the values are in. ``None`` means that nothing is declared.
    """

    @property
    def input_types(self) -> PortTypes | None:
        """The input ports."""
        if type(self).input_ports is not Typing.input_ports:
            return self.input_ports
        return _copy(forward_ports(type(self)).inputs)

    @property
    def output_types(self) -> PortTypes | None:
        """The output ports."""
        if type(self).output_ports is not Typing.output_ports:
            return self.output_ports
        return _copy(forward_ports(type(self)).outputs)

    @property
    def input_ports(self) -> PortTypes | None:
        """The input ports, under their first name."""
        return self.input_types

    @property
    def output_ports(self) -> PortTypes | None:
        """The output ports, under their first name."""
        return self.output_types


def _copy(ports: PortTypes | None) -> PortTypes | None:
    return None if ports is None else dict(ports)


def forward_ports(cls: type) -> Ports:
    """Return what the annotations of ``forward`` declare: inputs and outputs each from the nearest class that does."""
    found = Ports()
    for base in cls.__mro__:
        forward = base.__dict__.get("forward")
        if forward is not None:
            ports = annotated_ports(forward)
            if found.outputs is None:
                found = Ports(found.inputs, ports.outputs, ports.result)
            if found.inputs is None:
                found = Ports(ports.inputs, found.outputs, found.result)
    return found


def has_fixed_ports(cls: type) -> bool:
    """Return whether the ports come from annotations alone, so that they are the same for all instances, always."""
    names = ("input_types", "output_types", "input_ports", "output_ports")
    return all(getattr(cls, name, None) is getattr(Typing, name) for name in names)


def declared_types(instance: Typing, name: str) -> PortTypes | None:
    """Return ``instance.input_types`` or ``instance.output_types``.

    Where the property itself looks for an attribute that is not there, ``torch.nn.Module`` reports the property as
    missing; this reports what really is.
    """
    try:
        return cast("PortTypes | None", getattr(instance, name))
    except AttributeError:
        return cast("PortTypes | None", getattr(type(instance), name).fget(instance))


UNINITIALIZED: Any = object()
"""Stands for "as the class declares" among the arguments of ``typecheck``."""


class typecheck:
    """Decorator that checks what a method of a ``Typing`` class takes and gives.

    Arguments may be positional; they are bound by the signature. Tensors that a typed method returned carry their type
    as ``neural_type`` and are compared; others are only checked for their number of dimensions. Under
    ``torch.compile`` and ``torch.export`` nothing is checked, so that nothing is traced.

    Args:
        input_types, output_types: what to check against instead of what the class declares; ``None`` for nothing.
        ignore_collections: accept lists around any input and output.

    Raises:
        NeuralTypeError: from the decorated method, when a call does not fit (also a ``TypeError``).
    """

    wrapping: ClassVar[bool] = True

    def __init__(
        self,
        input_types: PortTypes | None = UNINITIALIZED,
        output_types: PortTypes | None = UNINITIALIZED,
        ignore_collections: bool = False,
    ) -> None:
        self.input_types, self.output_types = input_types, output_types
        self.ignore_collections = ignore_collections

    def __call__(self, function: F) -> F:
        """Return the method with its check around it."""
        if not typecheck.wrapping:
            return function
        checker = _Checker(function, self.input_types, self.output_types, self.ignore_collections)
        process, local, semantic_process, semantic_local = _checks, _checks.local, _semantics, _semantics.local

        @functools.wraps(function)
        def checked(instance: Any, *args: Any, **kwargs: Any) -> Any:
            if torch.compiler.is_compiling():
                return function(instance, *args, **kwargs)
            here = local.get()
            if not (process.process if here is None else here):
                return function(instance, *args, **kwargs)
            here = semantic_local.get()
            semantic = semantic_process.process if here is None else here
            plan = checker.fixed.get(type(instance)) or checker.plan(instance)
            values = plan.named(args, kwargs)
            plan.check_inputs(values, semantic=semantic)
            result = function(instance, *args, **kwargs)
            return plan.check_outputs(result, (*args, *kwargs.values()))

        return cast(F, checked)

    @staticmethod
    def set_typecheck_enabled(enabled: bool = True) -> None:
        """Switch the checks on or off for the process; a ``with`` block around the caller still counts."""
        _checks.process = enabled

    @staticmethod
    def set_semantic_check_enabled(enabled: bool = True) -> None:
        """Switch on or off, for the process, the comparison of attached types; names and shapes are still checked."""
        _semantics.process = enabled

    @staticmethod
    def disable_checks() -> contextlib.AbstractContextManager[None]:
        """Return a ``with`` block without checks; blocks nest, and other threads are not affected."""
        return _checks.off()

    @staticmethod
    def disable_semantic_checks() -> contextlib.AbstractContextManager[None]:
        """Return a ``with`` block that checks names and shapes only; blocks nest, other threads are not affected."""
        return _semantics.off()

    @staticmethod
    def enable_wrapping(enabled: bool = True) -> None:
        """Decide whether classes defined from now on are wrapped at all; also sets ``set_typecheck_enabled``."""
        typecheck.wrapping = enabled
        typecheck.set_typecheck_enabled(enabled)


class _Checker:
    """Finds the plan for the calls of one decorated method, for each class that has it."""

    def __init__(
        self, function: Callable[..., Any], input_types: Any, output_types: Any, ignore_collections: bool
    ) -> None:
        self.function, self.ignore_collections = function, ignore_collections
        self.given = (input_types, output_types)
        self.fixed: dict[type, Plan] = {}
        self._latest: dict[type, tuple[tuple[Any, Any], Plan]] = {}

    def plan(self, instance: Any) -> Plan:
        """Return the plan for this instance; kept for its class where the ports cannot change."""
        cls = type(instance)
        if not isinstance(instance, Typing):
            raise RuntimeError(
                f"{cls.__name__}.{self.function.__name__} is typed, but {cls.__name__} is no Typing class"
            )
        own = self._own_ports(cls)
        if own is not None or has_fixed_ports(cls) or UNINITIALIZED not in self.given:
            self.fixed[cls] = self._make(instance, own)
            return self.fixed[cls]
        declared = self._types(instance, own)
        latest = self._latest.get(cls)
        if latest is None or latest[0] != declared:
            latest = declared, self._make(instance, own)
            self._latest[cls] = latest
        return latest[1]

    def _own_ports(self, cls: type) -> Ports | None:
        """Ports in the annotations of the method itself, unless the class says otherwise about its ``forward``."""
        if self.function.__name__ == "forward" and not has_fixed_ports(cls):
            return None
        ports = annotated_ports(self.function)
        return None if ports.inputs is None and ports.outputs is None else ports

    def _types(self, instance: Typing, own: Ports | None) -> tuple[PortTypes | None, PortTypes | None]:
        inputs, outputs = self.given
        if inputs is UNINITIALIZED:
            inputs = own.inputs if own else declared_types(instance, "input_types")
        if outputs is UNINITIALIZED:
            outputs = own.outputs if own else declared_types(instance, "output_types")
        return inputs, outputs

    def _make(self, instance: Typing, own: Ports | None) -> Plan:
        cls, name = type(instance), self.function.__name__
        inputs, outputs = self._types(instance, own)
        return Plan(
            cls.__name__ if name == "forward" else f"{cls.__name__}.{name}",
            self.function,
            inputs,
            outputs,
            open_inputs=self.given[0] is UNINITIALIZED and (own is not None or has_fixed_ports(cls)),
            ignore_collections=self.ignore_collections,
        )
