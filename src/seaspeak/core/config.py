"""Configurations: what every part accepts, and the forms that older files have."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seaspeak.core.errors import ConfigError, FileMissingError

Configuration = Mapping[str, Any] | DictConfig | str | os.PathLike[str] | Any
"""A dictionary, DictConfig or dataclass, or the path of a YAML file."""


def to_config(source: Configuration) -> DictConfig:
    """Return a resolved copy of a configuration, in today's form.

    Args:
        source: a dictionary, a ``DictConfig``, a dataclass (instance or class), or the path of a YAML file.

    Returns:
        a copy without interpolations, in which ``cls`` and ``params`` of old files have become ``_target_`` and
        plain keys; setting a key that it does not have is allowed.

    Raises:
        ConfigError: this is not a configuration, or an interpolation leads nowhere.
        FileMissingError: there is no such file.
    """
    original = _read(source)
    try:
        resolved = OmegaConf.to_container(original, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{_name(source)} cannot be resolved: {_first_line(error)}") from error
    return _create(_modern(resolved))


def as_config(source: Configuration) -> DictConfig:
    """Like :func:`to_config`, but a ``DictConfig`` in today's form stays the same object and keeps its parent."""
    if isinstance(source, DictConfig) and not _is_old(source):
        return source
    return to_config(source)


def key_path(section: DictConfig, key: str | None = None) -> str:
    """The full dotted path of a section (or of a key in it), as messages give it; empty for the root."""
    return str(section._get_full_key(key))


def merge(base: DictConfig, changes: Configuration) -> DictConfig:
    """Return ``base`` with the keys of ``changes`` laid over it; a mapping is merged, anything else replaced."""
    merged = OmegaConf.merge(base, to_config(changes))
    assert isinstance(merged, DictConfig)
    return merged


def from_plain(values: dict[str, Any]) -> DictConfig:
    """A configuration in today's form, from plain values."""
    return _create(_modern(values))


def read_yaml(text: str, *, name: str, max_values: int | None = None) -> dict[str, Any]:
    """Parse YAML text whose top level is a mapping, into plain values.

    The dialect is OmegaConf's: ``1e-3`` is a number, dates are text, a key that occurs twice is an error. Parsed by
    libyaml where PyYAML has it, many times faster than OmegaConf's own reader.

    Args:
        text: the text.
        name: what to call it in messages.
        max_values: how many values there may be once aliases are written out.

    Raises:
        ConfigError: it is not YAML, or not a mapping, or too large.
    """
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        if max_values is not None and root is not None and _size(root, max_values, {}) > max_values:
            raise ConfigError(f"{name} unfolds to more than {max_values:,} values")
        values = loader.construct_document(root) if root is not None else {}
        if not isinstance(values, dict):
            raise ConfigError(f"{name} holds a {type(values).__name__}, not keys with values")
        return values
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, OverflowError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{name} is not valid YAML: {_first_line(error)}") from error
    finally:
        loader.dispose()


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # C where it was built
    """A safe loader with OmegaConf's ideas of numbers, dates and duplicate keys."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":float"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = {self.construct_object(key, deep=True) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"}
        if len(keys) < sum(key.tag != "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise yaml.constructor.ConstructorError(None, None, "a key occurs twice", node.start_mark)
        return cast(dict[Any, Any], super().construct_mapping(node, deep=deep))


_DIGITS = "[0-9]+(?:_[0-9]+)*"
_FLOAT = rf"""[-+]?{_DIGITS}\.[0-9_]*(?:[eE][-+]?[0-9]+)? | [-+]?{_DIGITS}[eE][-+]?[0-9]+
    | \.{_DIGITS}(?:[eE][-+][0-9]+)? | [-+]?{_DIGITS}(?::[0-5]?[0-9])+\.[0-9_]*
    | [-+]?\.(?:inf|Inf|INF) | \.(?:nan|NaN|NAN)"""
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(f"^(?:{_FLOAT})$", re.VERBOSE), list("-+0123456789.")
)


def _size(node: yaml.Node, limit: int, sizes: dict[int, int]) -> int:
    """How many nodes there are below ``node``, counting what is shared every time. A cycle is too large."""
    if id(node) not in sizes:
        sizes[id(node)] = limit + 1
        pairs = [child for pair in node.value for child in pair] if isinstance(node, yaml.MappingNode) else node.value
        children = pairs if isinstance(node, yaml.CollectionNode) else []
        sizes[id(node)] = 1 + sum(_size(child, limit, sizes) for child in children)
    return sizes[id(node)]


def texts(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a plain value, with its dotted key."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from texts(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from texts(item, f"{key}[{number}]")


def _read(source: Configuration) -> DictConfig:
    if isinstance(source, DictConfig):
        return source
    if isinstance(source, str | os.PathLike):
        return _create(read_yaml(_text_of(Path(source).expanduser()), name=str(source)))
    if dataclasses.is_dataclass(source):
        config = OmegaConf.structured(source)
        return _create(OmegaConf.to_container(config, resolve=False))
    if isinstance(source, Mapping):
        return _create(dict(source))
    raise ConfigError(
        "this is not a configuration",
        got=type(source).__name__,
        expected="a dictionary, DictConfig, dataclass or the path of a YAML file",
    )


def _create(values: Any) -> DictConfig:
    try:
        return cast(DictConfig, OmegaConf.create(values))
    except OmegaConfBaseException as error:
        raise ConfigError(f"the configuration holds a value that YAML cannot: {_first_line(error)}") from error


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise FileMissingError(f"there is no configuration file {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as a configuration: {error}") from error


def _modern(value: Any) -> Any:
    """Turn ``{cls: C, params: {...}}`` into ``{_target_: C, ...}``, everywhere (NeMo before 1.0).

    As in NeMo lists are left alone: no file of that time has classes in one.
    """
    if not isinstance(value, dict):
        return value
    section = dict(value)
    if "cls" in section and "_target_" not in section:
        section = {"_target_": section.pop("cls"), **section}
    if isinstance(section.get("params"), dict):
        section.update(section.pop("params"))
    return {key: _modern(item) for key, item in section.items()}


def _is_old(section: DictConfig) -> bool:
    keys = set(section)
    return "cls" in keys or isinstance(OmegaConf.select(section, "params", throw_on_missing=False), DictConfig)


def _name(source: Configuration) -> str:
    return str(source) if isinstance(source, str | os.PathLike) else "the configuration"


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0] or type(error).__name__
