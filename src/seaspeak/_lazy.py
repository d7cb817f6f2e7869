"""Attributes of packages that are found when first asked for (PEP 562)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping


def attach(
    package: str,
    *,
    modules: Iterable[str] = (),
    names: Mapping[str, Iterable[str]] | None = None,
    ready: Iterable[str] = (),
) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` for the package called ``package``.

    Args:
        package: the ``__name__`` of the package.
        modules: sub-modules that become attributes.
        names: full module name -> public names that it defines.
        ready: names that the package has already.
    """
    home = {name: module for module, found in (names or {}).items() for name in found}
    submodules = frozenset(modules)
    everything = sorted({*submodules, *home, *ready})

    def find(name: str) -> object:
        if name in submodules:
            return importlib.import_module(f"{package}.{name}")
        if name in home:
            value = getattr(importlib.import_module(home[name]), name)
            setattr(sys.modules[package], name, value)
            return value
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def listing() -> list[str]:
        return everything

    return find, listing, everything
