"""The Lightning form of a model: the same class, born as a LightningModule where Lightning is.

A model is plain torch unless a trainer is among its constructor's arguments or a Lightning package is loaded already.
Then it is an instance of ``(hooks, Class, LightningModule)``, a class that is made once for each model class and
package (``lightning`` and ``pytorch_lightning`` bring two copies of everything). Nothing of Lightning is patched, and
this module imports none of it. What was tried, and why this: ``docs/decisions``.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from seaspeak.core.errors import ModelError
from seaspeak.core.registry import plain_class

if TYPE_CHECKING:
    from seaspeak.core.model import Model

PACKAGES = ("lightning.pytorch", "pytorch_lightning")


def form_for_call(cls: type[Any], args: Iterable[Any], kwargs: Mapping[str, Any]) -> type[Any]:
    """Return the class of which a constructor call makes an instance: ``cls``, or the Lightning form of it."""
    package = next(filter(None, map(package_of, (*args, *kwargs.values()))), None) or _loaded()
    return cls if package is None else lightning_form(cls, package)


def package_of(value: object) -> str | None:
    """The Lightning package to which a trainer belongs; None if ``value`` is no trainer."""
    trainers = [base.__module__ for base in type(value).__mro__ if base.__name__ == "Trainer"]
    return next((package for package in PACKAGES if any(name.startswith(f"{package}.") for name in trainers)), None)


def lightning_form(cls: type[Any], package: str) -> type[Any]:
    """Return the form of a model class for one Lightning package; a LightningModule of that package stays as it is.

    Raises:
        ModelError: the class derives from the LightningModule of the other package.
    """
    cls = plain_class(cls)
    base = import_module(package).LightningModule
    if issubclass(cls, base):
        return cls
    if any(other.__name__ == "LightningModule" for other in cls.__mro__):
        raise ModelError(
            f"{cls.__name__} is a LightningModule of another package than {package}",
            fix="import Lightning under one name: lightning.pytorch or pytorch_lightning",
        )
    forms: dict[str, type[Any]] = vars(cls).get("_lightning_forms", {})
    if package not in forms:
        metaclass: Any = type(cls)
        forms[package] = metaclass(cls.__name__, (_hooks(base), cls, base), _body(cls, base, package))
        cls._lightning_forms = forms
    return forms[package]


def adopt(model: Model, trainer: Any) -> None:
    """Give a model, which may have been born without Lightning or for the other package, the form for ``trainer``.

    Raises:
        ModelError: this is no Lightning trainer.
    """
    package = package_of(trainer)
    if package is None:
        raise ModelError(
            "this is not a Lightning trainer", got=type(trainer).__name__, expected=" or ".join(PACKAGES) + " Trainer"
        )
    form = lightning_form(type(model), package)
    if type(model) is not form:
        device = model.device
        for name, value in vars(import_module(package).LightningModule()).items():
            model.__dict__.setdefault(name, value)
        model.__class__ = form
        model.__dict__["_device"] = device
        model._keep_config()
    model.trainer = trainer


def engine_package(cls: type[Any]) -> str | None:
    """The package that a class is the Lightning form for; None for a class of its own."""
    package: str | None = vars(cls).get("_lightning_package")
    return package


def reborn(cls: type[Any], package: str | None) -> Any:
    """An empty object of the same form, for ``copy`` and ``pickle``; plain where the package is not installed."""
    if package is not None:
        with contextlib.suppress(ModuleNotFoundError):
            cls = lightning_form(cls, package)
    return object.__new__(cls)


def _loaded() -> str | None:
    """The Lightning package that this process has imported, ``lightning`` before ``pytorch_lightning``."""
    return next((name for name in PACKAGES if hasattr(sys.modules.get(name), "LightningModule")), None)


def _body(cls: type[Any], base: type[Any], package: str) -> dict[str, Any]:
    """What a form defines itself: the name of the plain class, and steps that do with results what NeMo does."""
    body: dict[str, Any] = {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        "_plain_class": cls,
        "_lightning_package": package,
    }
    if hasattr(cls, "training_step"):
        body["training_step"] = _logging_step(cls)
    for step, loader, outputs in (
        ("validation_step", "val_dataloader", "validation_step_outputs"),
        ("test_step", "test_dataloader", "test_step_outputs"),
    ):
        if hasattr(cls, step):
            body[step] = _collecting_step(cls, step, outputs)
        else:  # Lightning warns about data without a step
            body[loader] = getattr(base, loader)
    return body


def _logging_step(cls: type[Any]) -> Callable[..., Any]:
    """A training step that logs what the model's own step returns under ``log``."""

    @functools.wraps(cls.training_step)
    def training_step(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = cls.training_step(self, *args, **kwargs)
        if isinstance(result, dict) and "log" in result:
            self.log_dict(result.pop("log"), on_step=True)
        return result

    return training_step


def _collecting_step(cls: type[Any], name: str, outputs: str) -> Callable[..., Any]:
    """An evaluation step whose result joins the collected ones, unless the model's own step has put one there."""

    @functools.wraps(getattr(cls, name))
    def step(self: Any, batch: Any, batch_idx: int = 0, dataloader_idx: int = 0) -> Any:
        collected = getattr(self, outputs)
        if collected and isinstance(collected[0], list):
            collected = collected[dataloader_idx]
        before = len(collected)
        several = {"dataloader_idx": dataloader_idx} if collected is not getattr(self, outputs) else {}
        result = getattr(cls, name)(self, batch, batch_idx, **several)
        if result is not None and len(collected) == before:
            collected.append(result)
        return result

    return step


@functools.cache
def _hooks(base: type[Any]) -> type[Any]:
    """The class that comes first in a form: it routes what both Model and LightningModule define."""

    class Hooks:
        def __init_subclass__(cls, **kwargs: Any) -> None:
            """A form is no class of its own: whoever counts subclasses is not told of it."""

        @property
        def trainer(self: Any) -> Any:
            return base.trainer.fget(self) if self._attached() else None

        @trainer.setter
        def trainer(self: Any, trainer: Any) -> None:
            base.trainer.fset(self, trainer)

        @property
        def device(self: Any) -> Any:
            return base.device.fget(self)

        def _attached(self: Any) -> bool:
            return self._trainer is not None or self._fabric is not None

        def log(self: Any, name: str, value: Any, *args: Any, **kwargs: Any) -> None:
            super().log(name, value)  # type: ignore[misc]  # the other base is Lightning's
            if self._attached():
                base.log(self, name, value, *args, **kwargs)

        def _keep_config(self: Any) -> None:
            """Let Lightning store the configuration, as plain values, and give it to loggers."""
            self.save_hyperparameters({"cfg": OmegaConf.to_container(self._cfg, resolve=True)})

        def on_save_checkpoint(self: Any, checkpoint: dict[str, Any]) -> None:
            super().on_save_checkpoint(checkpoint)  # type: ignore[misc]  # the other base is Lightning's
            checkpoint["hyper_parameters"] = {
                **checkpoint.get("hyper_parameters", {}),
                "cfg": OmegaConf.to_container(self._cfg, resolve=True),
            }
            checkpoint["artifacts"] = self._artifacts.for_checkpoint()

    return Hooks
