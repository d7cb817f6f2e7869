"""Several validation or test sets: finding them in a section, naming them, and putting their results together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from omegaconf import DictConfig, ListConfig, OmegaConf
from torch import Tensor

from seaspeak.core.errors import ConfigError


def main_index(section: DictConfig | None, kind: str) -> int:
    """Which set's results are also logged without a prefix: ``val_dl_idx`` or ``test_dl_idx``, else the first."""
    return 0 if section is None else int(section.get(f"{kind}_dl_idx", 0))


def expand(section: DictConfig, kind: str) -> Iterator[tuple[str, DictConfig]]:
    """Yield (prefix, section) for every data set that a section lists; the prefix is empty if it is a single one.

    The key with the data's path is the one that ``ds_item`` names, else the first whose value is an existing path or
    a list of such. Prefixes come from a key ``name`` or from the files: ``dev-clean_manifest.json`` -> ``dev_clean_``.

    Raises:
        ConfigError: as many names as paths are needed; a file's name leaves no prefix.
    """
    plain = cast(DictConfig, OmegaConf.create(OmegaConf.to_container(section, resolve=True)))
    plain.pop(f"{kind}_dl_idx", None)
    key = _path_key(plain)
    value = plain.get(key) if key else None
    if key is None or not isinstance(value, ListConfig):
        plain.pop("ds_item", None)
        yield "", plain
        return
    names = plain.pop("name", None)
    items = list(value)
    if isinstance(names, ListConfig | list) and len(names) != len(items):
        raise ConfigError(f"{kind} data: {len(names)} names for {len(items)} sets in {key!r}")
    for number, item in enumerate(items):
        one = plain.copy()
        one.pop("ds_item", None)
        if isinstance(item, DictConfig):
            one = cast(DictConfig, OmegaConf.merge(one, item))
            name = str(one.pop("name", f"{kind}_{number}"))
        else:
            one[key] = item
            name = str(names[number]) if isinstance(names, ListConfig | list) else _prefix(str(item))
        yield name if name.endswith("_") else f"{name}_", one


def summarise(outputs: Sequence[Any]) -> dict[str, Any]:
    """The mean of each number that the steps returned, for models that do not combine their results themselves."""
    found: dict[str, list[Tensor]] = {}
    for output in outputs:
        for key, value in output.items() if isinstance(output, Mapping) else ():
            if isinstance(value, Tensor | float | int) and (not isinstance(value, Tensor) or value.numel() == 1):
                found.setdefault(str(key), []).append(torch.as_tensor(value, dtype=torch.float32).reshape(()))
    return {"log": {key: torch.stack(values).mean() for key, values in found.items()}}


def prefixed(results: Sequence[Mapping[str, Any]], prefixes: Sequence[str], main: int) -> dict[str, Any]:
    """What to log: each set's numbers under its prefix, those of the main one (or the only one) without, too."""
    logged: dict[str, Any] = {}
    for number, (result, prefix) in enumerate(zip(results, prefixes, strict=True)):
        for key, value in (result.get("log") or {}).items():
            if prefix and len(results) > 1:
                logged[f"{prefix}{key}"] = value
            if len(results) == 1 or number == main:
                logged[key] = value
    return logged


def _path_key(section: DictConfig) -> str | None:
    named = section.get("ds_item")
    if isinstance(named, str) and named in section:
        return named
    if isinstance(section.get("manifest_filepath"), ListConfig):
        return "manifest_filepath"
    return next((str(key) for key, value in section.items() if _is_path(value)), None)


def _is_path(value: object) -> bool:
    items = list(value) if isinstance(value, ListConfig) else [value]
    return bool(items) and all(isinstance(item, str) and Path(item).exists() for item in items)


def _prefix(path: str) -> str:
    stem = re.sub("manifest|dataset", "", Path(path).stem.replace("-", "_")).strip("_")
    if not stem:
        raise ConfigError(f"the name of {path} leaves no prefix for its results", fix="give the sets a list 'name'")
    return re.sub("__+", "_", stem)
