"""Building a model around tensors that exist already: from an archive, from a checkpoint.

The network is built on torch's meta device, where nothing is allocated, compared with the tensors, and given them.
What is computed rather than stored (windows, positions) is made after that. So no random initialisation is paid for,
and a configuration cannot allocate what its archive does not hold.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from seaspeak.core import weights
from seaspeak.core.archive import Archive
from seaspeak.core.artifacts import Files
from seaspeak.core.config import to_config
from seaspeak.core.errors import ArchiveError, ConfigError, FileMissingError, SeaspeakError
from seaspeak.core.module import NeuralModule

M = TypeVar("M", bound=nn.Module)

RECIPES = ("0.11", "1.0", "current")
"""How features are computed: as NeMo 0.11 did, as 1.0 to 2.4 did, and as 2.5 and later do."""

NEMO_VERSION = "3.0.0"
"""The release of NeMo whose arithmetic the current recipe follows; what we train says so in its archive."""


@dataclass(frozen=True)
class Restoring:
    """What the constructor of a model that is being restored can reach."""

    files: Files


_current: ContextVar[Restoring | None] = ContextVar("seaspeak_restoring", default=None)


def restoring() -> Restoring | None:
    """What is being restored here and now, in this thread or task; None when a model is simply constructed."""
    return _current.get()


@contextlib.contextmanager
def restoring_from(files: Files) -> Iterator[None]:
    """Tell constructors within the block that data is not to be set up, and where files come from."""
    token = _current.set(Restoring(files))
    try:
        yield
    finally:
        _current.reset(token)


def decide_recipe(config: Mapping[str, Any] | DictConfig, *, asked: str | None = None, known: str | None = None) -> str:
    """Return the recipe of the front end that the weights beside ``config`` were trained with.

    In this order: what was asked for; our own key, if no other program has saved the file since; what the catalogue
    knows; the release of NeMo that wrote the file (2.5 and later: ``"current"``, older or none: ``"1.0"``).

    Raises:
        ConfigError: there is no such recipe.
    """
    own = own_recipe(config)
    release = re.match(r"(\d+)\.(\d+)", str(config.get("nemo_version") or ""))
    by_release = "current" if release and (int(release[1]), int(release[2])) >= (2, 5) else "1.0"
    recipe = asked or own or known or by_release
    if recipe not in RECIPES:
        raise ConfigError(f"there is no recipe {recipe!r}", expected=" or ".join(map(repr, RECIPES)))
    return recipe


def own_recipe(config: Mapping[str, Any] | DictConfig) -> str | None:
    """The recipe in our section of a configuration, unless another program has written the file since."""
    section = config.get("seaspeak")
    if not isinstance(section, Mapping | DictConfig):
        return None
    recipe = section.get("recipe")
    return str(recipe) if recipe and section.get("nemo_version") == config.get("nemo_version") else None


def describe(archive: Archive, override: Any, asked: str | None, known: str | None) -> DictConfig:
    """The configuration to restore an archive with, our section included.

    Args:
        archive: the archive.
        override: a configuration, or the path of one, to use instead (its section ``model``, if it has one).
        asked: the recipe that was asked for.
        known: the recipe that the catalogue knows.
    """
    stored = archive.config
    recipe = decide_recipe(stored, asked=asked, known=known)
    config = stored
    if override is not None:
        config = to_config(override)
        config = config.get("model", config)
        recipe = asked or own_recipe(config) or recipe
        for key in ("target", "nemo_version"):
            if key in stored:
                config.setdefault(key, stored[key])
    config.seaspeak = {"recipe": recipe, "nemo_version": config.get("nemo_version")}
    return config


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a training checkpoint that holds plain values only.

    Raises:
        FileMissingError: there is no such file.
        ArchiveError: it is damaged, or holds objects.
    """
    try:
        with path.open("rb") as file:
            content = weights.read_plain(file, size=path.stat().st_size, what=str(path))
    except FileNotFoundError as error:
        raise FileMissingError(f"there is no checkpoint {path}") from error
    except OSError as error:
        raise ArchiveError(f"{path} cannot be read: {error.strerror}") from error
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), Mapping):
        raise ArchiveError(f"{path} is no training checkpoint: it has no state_dict")
    return content


def build(
    make: Callable[[], M],
    state: Mapping[str, Tensor],
    *,
    device: torch.device,
    strict: bool,
    where: str,
    trusted: bool,
) -> M:
    """Return the module that ``make`` builds, with the tensors of ``state`` as its own.

    Args:
        make: builds the module on whatever device is the default.
        state: its weights by name.
        device: where it shall live.
        strict: refuse missing and left-over weights.
        where: what the weights are called in messages.
        trusted: the class is the user's own: if it cannot be built on the meta device (because it looks at values),
            build it where there are some.
    """
    try:
        try:
            with torch.device("meta"), _Unfilled():
                module = make()
        except (NotImplementedError, RuntimeError):
            if not trusted:
                raise
            module = make()
    except SeaspeakError:
        raise
    except Exception as error:  # whatever a constructor does with a configuration that does not fit it
        what = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"
        raise ConfigError(f"the model in {where} cannot be built from its configuration: {what}") from error
    tensors = weights.fit(state, module, strict=strict, where=where)
    weights.assign(module, tensors, torch.device("cpu"))
    with torch.random.fork_rng(devices=[]):
        for part in _to_compute(module):
            weights.transplant(make() if part is module else _again(part), part)
    return module.to(device)


class _Unfilled(TorchFunctionMode):
    """Lets nobody draw weights where there are no values: it would load torch's compiler, which takes seconds."""

    _draws = frozenset([nn.init.normal_, nn.init.trunc_normal_, Tensor.normal_])

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in self._draws:
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


def _to_compute(module: nn.Module) -> list[nn.Module]:
    """The smallest parts that have to be constructed for real to fill what is not stored.

    A neural module knows its constructor's arguments; without one between, the whole model is what can be built.
    """
    parts = dict(module.named_modules(remove_duplicate=False))
    found: dict[str, nn.Module] = {}
    for name in weights.unmade(module):
        path = name.split(".") if name else []
        owners = [".".join(path[:length]) for length in range(len(path), 0, -1)]
        owner = next((at for at in owners if isinstance(parts[at], NeuralModule)), "")
        found[owner] = parts[owner]
    return [module] if "" in found else list(found.values())


def _again(part: nn.Module) -> nn.Module:
    """The same module, constructed with the same arguments where tensors have values."""
    assert isinstance(part, NeuralModule)
    args, kwargs = part.__dict__["_constructor_call"]
    return type(part)(*args, **kwargs)
