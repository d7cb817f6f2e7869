"""Neural modules: ``torch.nn`` modules whose ports say what goes in and out.

Called with tensors a module computes; called with symbols it records (``seaspeak.core.symbols``). A module that
declares that it has no inputs records when it is called.
"""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn
from torch.nn.modules.loss import _Loss

from seaspeak.core.errors import DeclarationError
from seaspeak.core.symbols import holds_symbols, record
from seaspeak.core.typing import Typing, forward_ports, typecheck

if TYPE_CHECKING:
    from omegaconf import DictConfig

Self = TypeVar("Self", bound="NeuralModule")


class NeuralModule(nn.Module, Typing):
    """A ``torch.nn`` module with typed ports.

    Args:
        name: what graphs and drawings call it; the class's name in lower case if not given.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make the object and keep what its constructor is called with; the constructor itself runs afterwards."""
        module = super().__new__(cls)
        module.__dict__["_constructor_call"] = (args, kwargs)
        return module

    def __init__(self, *, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute with tensors, record with symbols; a module without inputs records."""
        symbolic = holds_symbols((*args, *kwargs.values())) if args or kwargs else self.input_types == {}
        return self.record(*args, **kwargs) if symbolic else super().__call__(*args, **kwargs)

    def record(self, *args: Any, **kwargs: Any) -> Any:
        """Return the symbols for the outputs of a call with these symbols."""
        return record(self, args, kwargs)

    @property
    def result_type(self) -> type[tuple[Any, ...]] | None:
        """The named tuple class that ``forward`` is annotated to return, if it is."""
        ports = forward_ports(type(self))
        return ports.result if ports.outputs is not None and self.output_types == ports.outputs else None

    @property
    def given_name(self) -> str | None:
        """The name that the module was given, if it was."""
        return self.__dict__.get("_name")

    @property
    def name(self) -> str:
        """What graphs and drawings call the module: the name that it was given, else its class in lower case."""
        return self.given_name or type(self).__name__.lower()

    @name.setter
    def name(self, name: str) -> None:
        self._name = name

    @property
    def init_params(self) -> dict[str, Any]:
        """The arguments of the constructor call that made this object, by name, defaults included."""
        args, kwargs = self.__dict__["_constructor_call"]
        signature = inspect.signature(type(self).__init__)
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        parameters = list(signature.parameters.values())[1:]
        values: dict[str, Any] = {}
        for parameter in parameters:
            value = bound.arguments[parameter.name]
            if parameter.kind is parameter.VAR_KEYWORD:
                values.update(value)
            elif parameter.kind is not parameter.VAR_POSITIONAL or value:
                values[parameter.name] = value
        return values

    @property
    def num_weights(self) -> int:
        """How many numbers training changes."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)

    def input_example(self, max_batch: int | None = None, max_dim: int | None = None) -> Any:
        """Return arguments that the module can be called with, for export; ``None`` if it knows none."""
        return None

    def freeze(self) -> None:
        """Let training change nothing here, and go to evaluation mode; ``unfreeze(partial=True)`` undoes the first."""
        freeze(self)

    def unfreeze(self, partial: bool = False) -> None:
        """Let training change everything here, or with ``partial`` what it could change before ``freeze``."""
        unfreeze(self, partial=partial)

    def is_frozen(self) -> bool:
        """Return whether ``freeze`` was called and not undone."""
        return bool(self.__dict__.get("_frozen_grad_map"))

    @contextlib.contextmanager
    def as_frozen(self) -> Iterator[None]:
        """Freeze within a ``with`` block; afterwards all is as before, the modes of all sub-modules included."""
        modes = {module: module.training for module in self.modules()}
        trained = {parameter: parameter.requires_grad for parameter in self.parameters()}
        remembered = self.__dict__.get("_frozen_grad_map")
        freeze(self)
        try:
            yield
        finally:
            _remember(self, remembered)
            for parameter, requires_grad in trained.items():
                parameter.requires_grad_(requires_grad)
            for module, training in modes.items():
                module.training = training

    @classmethod
    def from_config_dict(cls: type[Self], config: DictConfig | dict[str, Any], trainer: Any = None) -> Self:
        """Build the module that a configuration describes.

        Args:
            config: with ``_target_`` (or NeMo's older ``cls`` and ``params``), or else this class's own arguments.
            trainer: handed to the constructor if given.

        Raises:
            ConfigError: the configuration names a class that is not known, or no subclass of this one.
        """
        from seaspeak.core import registry

        overrides = {} if trainer is None else {"trainer": trainer}
        built = registry.instantiate(config, caller=cls, **overrides)
        if not isinstance(built, cls):
            raise DeclarationError(f"the configuration describes a {type(built).__name__}, which is no {cls.__name__}")
        return built

    def to_config_dict(self) -> DictConfig:
        """Return the configuration from which ``from_config_dict`` builds this module again."""
        from omegaconf import OmegaConf

        from seaspeak.core import registry

        config = self.__dict__.get("_cfg")
        if config is not None:
            # a mapping gives a DictConfig
            return OmegaConf.create(OmegaConf.to_container(config, resolve=True))  # type: ignore[return-value]
        return OmegaConf.create({"_target_": registry.nemo_name(type(self)), **self.init_params})


class Loss(NeuralModule, _Loss):
    """A neural module that computes a loss; ``reduction`` and its relatives are torch's."""

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean", **kwargs: Any
    ) -> None:
        super().__init__(size_average=size_average, reduce=reduce, reduction=reduction, **kwargs)


class _TypedDataset(Typing):
    """What both kinds of data sets share."""

    @typecheck(input_types=None)
    def collate_fn(self, batch: list[Any]) -> Any:
        """Make a batch of examples; its tensors carry the types that ``output_types`` declares."""
        if self.input_types is not None:
            raise DeclarationError(f"{type(self).__name__} is a data set: it declares output_types only")
        return self._collate_fn(batch)

    def _collate_fn(self, batch: list[Any]) -> Any:
        """Make a batch of examples; subclasses override this."""
        return torch.utils.data.default_collate(batch)


class Dataset(_TypedDataset, torch.utils.data.Dataset[Any]):
    """A data set whose batches carry neural types."""


class IterableDataset(_TypedDataset, torch.utils.data.IterableDataset[Any]):
    """A data set without positions, whose batches carry neural types."""


def freeze(module: nn.Module) -> None:
    """Let training change nothing in ``module``, and put it into evaluation mode; what could change is remembered."""
    remembered = module.__dict__.get("_frozen_grad_map") or {}
    now = {name: parameter.requires_grad for name, parameter in module.named_parameters()}
    _remember(module, {**now, **remembered})
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    module.eval()


def unfreeze(module: nn.Module, partial: bool = False) -> None:
    """Let training change ``module`` again, and put it into training mode.

    Args:
        module: what ``freeze`` was called on.
        partial: only what training could change before ``freeze``.

    Raises:
        DeclarationError: ``partial`` without an earlier ``freeze`` (also a ``ValueError``).
    """
    remembered = module.__dict__.get("_frozen_grad_map")
    if partial and not remembered:
        raise DeclarationError(
            f"{type(module).__name__} was not frozen, so there is nothing to unfreeze in part",
            fix="call freeze() first",
        )
    for name, parameter in module.named_parameters():
        if partial and remembered and name not in remembered:
            warnings.warn(f"parameter {name!r} was not there at freeze(); it is unfrozen", stacklevel=2)
        parameter.requires_grad_(remembered.get(name, True) if partial and remembered else True)
    _remember(module, None)
    module.train()


def _remember(module: nn.Module, trained: dict[str, bool] | None) -> None:
    """Note what training could change before ``freeze``, or that the module is not frozen."""
    module.__dict__.pop("_frozen_grad_map", None)
    if trained:
        module.__dict__["_frozen_grad_map"] = trained


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Hold a module in evaluation; afterwards, also after an error, every part is in the mode that it was in."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
