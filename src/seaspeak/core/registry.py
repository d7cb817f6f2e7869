"""From names in configurations to classes, and back.

This is the only way from a string to a class: a configuration may come from the network, so what it names is
looked up and never imported as given. Known are, in this order,

1. the calling class and its bases, under their ``module.qualname``;
2. what was given to :func:`register`;
3. the closed table ``registry.tsv`` (ours, under our names and those of every NeMo generation);
4. module classes of ``torch.nn``, optimisers and schedules of ``torch.optim``;
5. every subclass of ``NeuralModule`` (so of ``Model``), ``Loss`` and the data sets that this process has defined.

The table is data, so that finding a name loads nothing; the class behind it is imported when first asked for. It
also holds the two plug points through which the core reaches what lies to its right: the training engine and the
Lightning form of a model.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module, resources
from typing import Any, Literal

from omegaconf import DictConfig, ListConfig, OmegaConf

from seaspeak.core.config import as_config, key_path
from seaspeak.core.errors import ConfigError, UnknownNameError, nearest

Kind = Literal["class", "optimizer", "schedule", "plug"]

_registered: dict[tuple[Kind, str], type[Any]] = {}


@cache
def _table() -> dict[tuple[str, str], str]:
    """Rows of ``registry.tsv``: (kind, name) -> ``module:attribute``; also under ``module.attribute`` itself."""
    rows: dict[tuple[str, str], str] = {}
    text = resources.files("seaspeak.core").joinpath("registry.tsv").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            kind, name, where = line.split("\t")
            rows[kind, name] = where
    for (kind, _), where in list(rows.items()):
        rows.setdefault((kind, where.replace(":", ".")), where)
    return rows


@cache
def _names_we_write() -> dict[str, list[tuple[str, str]]]:
    """Attribute name -> (module, the first name in the table) of each class that is called so."""
    found: dict[str, dict[str, str]] = {}
    for (kind, name), where in _table().items():
        if kind != "plug":
            module, attribute = where.split(":")
            found.setdefault(attribute, {}).setdefault(module, name)
    return {attribute: list(modules.items()) for attribute, modules in found.items()}


def has_class(name: str) -> bool:
    """Whether a class of the table is called ``name``, without its module; nothing is imported to find out."""
    return name in _names_we_write()


def _load(where: str) -> Any:
    module, attribute = where.split(":")
    found = import_module(module)
    return getattr(found, attribute) if attribute else found


def dotted(cls: type[Any]) -> str:
    """The name under which a class is known without any ceremony: ``module.qualname``."""
    return f"{cls.__module__}.{cls.__qualname__}"


def register(cls: type[Any], *names: str, kind: Kind = "class") -> type[Any]:
    """Make ``cls`` known under ``names``, and under its own ``module.qualname``.

    Args:
        cls: the class; returned, so that this can be the last line of a decorator.
        names: what configurations and archives may call it.
        kind: ``"class"`` for ``_target_`` and ``target``, ``"optimizer"`` and ``"schedule"`` for ``optim.name``
            and ``optim.sched.name``.

    Raises:
        ConfigError: one of the names belongs to another class.
    """
    for name in (dotted(cls), *names):
        owner = _registered.get((kind, name))
        taken = dotted(owner) if owner else _table().get((kind, name), "").replace(":", ".")
        if taken and taken != dotted(cls):
            raise ConfigError(f"{name!r} is already the name of {taken}", fix="choose another name")
        _registered[kind, name] = cls
    return cls


def resolve(name: str, *, caller: type[Any] | None = None, key: str = "") -> type[Any]:
    """Return the class that a configuration means by ``name``.

    Args:
        name: what stands behind ``_target_`` or ``target``.
        caller: the class on which the user called; it and its bases are always known.
        key: full path of the configuration key, for the message.

    Raises:
        UnknownNameError: nothing is known under this name; the message has the nearest ones.
    """
    for known in (_of_caller(name, caller), _registered.get(("class", name))):
        if known is not None:
            return known
    for kind in ("class", "optimizer", "schedule"):
        if where := _table().get((kind, name)):
            return _loaded(name, where)
    found = _of_torch(name) or _of_process(name)
    if found is None:
        raise _unknown(name, "class", key=key)
    return found


def optimizer(name: str) -> type[Any]:
    """Return the optimiser class called ``name``: ``"adamw"``, ``"novograd"``, or a dotted name."""
    return _named("optimizer", name)


def schedule(name: str) -> type[Any]:
    """Return the class of the learning-rate schedule called ``name``: ``"CosineAnnealing"``, or a dotted name."""
    return _named("schedule", name)


def plug(name: str) -> Any:
    """Return what is plugged into the core under ``name``: ``"engine"`` (a class) or ``"lightning"`` (a module)."""
    return _load(_table()["plug", name])


def nemo_name(cls: type[Any]) -> str:
    """The dotted name to write for ``cls``: NeMo's where one exists, else its ``module.qualname``."""
    for module, name in _names_we_write().get(cls.__qualname__, []):
        if cls.__module__ == module or cls.__module__.startswith(f"{module}."):
            return name
    return dotted(cls)


def canonical(name: str) -> str:
    """The name that we write for a class that a configuration calls ``name``; loads nothing."""
    where = _table().get(("class", name))
    if where is None:
        return name
    module, attribute = where.split(":")
    return dict(_names_we_write()[attribute])[module]


def instantiate(config: Any, *, caller: type[Any] | None = None, **overrides: Any) -> Any:
    """Build the object that a configuration describes.

    ``_target_`` names the class (``cls`` and ``params`` of older files are converted), the other keys are its
    arguments, and sections among them that have a ``_target_`` are built first. Lists arrive as lists, other
    sections as ``DictConfig``, which is what classes written for NeMo expect. ``_args_`` (positional arguments),
    ``_recursive_: false`` and ``_convert_: all`` (plain dictionaries) mean what they mean in Hydra.

    Args:
        config: the section.
        caller: the class on behalf of which this is done; it and its bases are always known.
        overrides: arguments that win over the section's.

    Raises:
        UnknownNameError: the class is not known.
        ConfigError: there is no ``_target_``, or the arguments do not fit the class.
    """
    section = as_config(config)
    name = section.get("_target_")
    if not isinstance(name, str):
        raise ConfigError(
            f"{key_path(section) or 'the configuration'} does not say what to build",
            got=f"keys {', '.join(map(str, section)) or '(none)'}",
            expected="a key _target_ with the name of a class",
        )
    if missing := OmegaConf.missing_keys(section):
        where = key_path(section)
        raise ConfigError(
            "the configuration leaves values open",
            got=", ".join(sorted(f"{where}.{key}" if where else key for key in missing)),
            fix="give them a value where it says ???",
        )
    cls = resolve(name, caller=caller, key=key_path(section, "_target_"))
    build: type[Any] | Literal[False] | None = caller if section.get("_recursive_", True) else False
    values = {str(key): _argument(value, build, section.get("_convert_")) for key, value in section.items()}
    positional = values.pop("_args_", [])
    keywords = {key: value for key, value in values.items() if not (key.startswith("_") and key.endswith("_"))}
    keywords.update(overrides)
    _check_arguments(cls, positional, keywords, where=key_path(section) or "the configuration")
    return cls(*positional, **keywords)


def _argument(value: Any, build: type[Any] | Literal[False] | None, convert: str | None) -> Any:
    """One argument for a constructor; ``build`` is the caller, or False when nested sections stay as they are."""
    if isinstance(value, DictConfig):
        if build is not False and "_target_" in value:
            return instantiate(value, caller=build)
        return OmegaConf.to_container(value, resolve=True) if convert == "all" else value
    if isinstance(value, ListConfig):
        return [_argument(item, build, convert) for item in value]
    return value


def _check_arguments(cls: type[Any], positional: list[Any], keywords: Mapping[str, Any], *, where: str) -> None:
    """Say which key of which section a constructor does not take, before it is called."""
    try:
        signature = inspect.signature(cls.__init__)
    except ValueError:  # written in C without a signature: the call itself will tell
        return
    try:
        signature.bind(None, *positional, **keywords)
    except TypeError as error:
        known = [name for name in signature.parameters if name != "self"]
        wrong = [name for name in keywords if name not in known]
        problem = f"{cls.__qualname__} takes no argument {wrong[0]!r}" if wrong else f"{cls.__qualname__}: {error}"
        raise ConfigError(
            f"{where} does not fit: {problem}",
            expected=f"arguments {', '.join(known)}",
            fix=nearest(wrong[0], known) if wrong else "",
        ) from error


def _named(kind: Kind, name: str) -> type[Any]:
    for spelling in (name, name.lower()):
        if (kind, spelling) in _registered:
            return _registered[kind, spelling]
        if where := _table().get((kind, spelling)):
            return _loaded(name, where)
    found = _of_torch(name)
    if found is None:
        raise _unknown(name, kind)
    return found


def _loaded(name: str, where: str) -> type[Any]:
    found: type[Any] = _load(where)
    return found


def _of_caller(name: str, caller: type[Any] | None) -> type[Any] | None:
    """The calling class, or one of its bases, if that is what is meant."""
    family = caller.__mro__ if caller else ()
    return next((base for base in family if dotted(base) == name and not is_engine_form(base)), None)


def _of_torch(name: str) -> type[Any] | None:
    """A module class of torch.nn, an optimiser of torch.optim or a schedule of torch.optim.lr_scheduler."""
    if not name.startswith(("torch.nn.", "torch.optim.")):
        return None
    from torch import nn, optim

    attribute = name.rsplit(".", 1)[-1]
    homes: list[tuple[Any, type[Any]]] = (
        [(nn, nn.Module)]
        if name.startswith("torch.nn.")
        else [(optim, optim.Optimizer), (optim.lr_scheduler, optim.lr_scheduler.LRScheduler)]
    )
    for home, base in homes:
        found = getattr(home, attribute, None)
        if isinstance(found, type) and issubclass(found, base):
            return found
    return None


def _of_process(name: str) -> type[Any] | None:
    """The class of this name that was defined last, as a notebook's cell that was run twice expects."""
    found = None
    for cls in _defined():
        if dotted(cls) == name:
            found = cls
    return found


def _defined() -> Iterator[type[Any]]:
    """Every subclass of our base classes that this process has defined."""
    module = sys.modules.get("seaspeak.core.module")
    bases = [getattr(module, name) for name in ("NeuralModule", "Loss", "Dataset", "IterableDataset")] if module else []
    seen: set[type[Any]] = set()
    while bases:
        for cls in bases.pop(0).__subclasses__():
            if cls not in seen:
                seen.add(cls)
                bases.append(cls)
                if not is_engine_form(cls):
                    yield cls


def family(cls: type[Any]) -> list[type[Any]]:
    """``cls`` and the classes below it: those that the process has defined, and those of the table beside it.

    A base class such as ``ASRModel`` so knows the models of its collection before anybody has imported them; only
    modules of the folder that it lies in are imported.
    """
    folder = plain_class(cls).__module__.rpartition(".")[0]
    for (kind, _), where in _table().items():
        if kind == "class" and where.startswith(f"{folder}.") and folder != "seaspeak.core":
            _load(where)
    return [plain_class(cls), *(below for below in _defined() if issubclass(below, cls) and below is not cls)]


def is_engine_form(cls: type[Any]) -> bool:
    """Whether ``cls`` is not a class of its own, but the form that another one takes for a training engine."""
    return "_plain_class" in vars(cls)


def plain_class(cls: type[Any]) -> type[Any]:
    """The class itself, if ``cls`` is the form of it for a training engine; else ``cls``."""
    found: type[Any] = vars(cls).get("_plain_class", cls)
    return found


def _unknown(name: str, kind: Kind, *, key: str = "") -> UnknownNameError:
    known = [known for what, known in (*_table(), *_registered) if what == kind]
    if kind == "class":
        known += [dotted(cls) for cls in _defined()]
    where = f"{key}: " if key else ""
    close = nearest(name, known) or nearest(name.rsplit(".", 1)[-1], [known.rsplit(".", 1)[-1] for known in known])
    remedy = "import the module that defines it, or call seaspeak.core.register(cls, name)"
    noun = {"class": "a class", "optimizer": "an optimiser", "schedule": "a schedule", "plug": "a plug"}[kind]
    return UnknownNameError(f"{where}{name!r} is not {noun} that Seaspeak knows", fix=close or remedy)
