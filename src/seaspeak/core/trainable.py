"""What a training engine asks of a model: data, the results of an evaluation, an optimiser, a place to log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.optim import Optimizer

from seaspeak.core import evaluation, registry
from seaspeak.core.config import to_config
from seaspeak.core.errors import ModelError
from seaspeak.core.optimization import build_optimizer, build_schedule
from seaspeak.core.restore import restoring


class Trainable:
    """The half of :class:`~seaspeak.core.model.Model` that is about training; names and hooks are NeMo's.

    A model defines ``training_step`` and, where it can be evaluated, ``validation_step`` and ``test_step``. Their
    results are collected in ``validation_step_outputs`` (a list, or one list for each of several sets) unless the
    step puts them there itself, and put together by ``multi_validation_epoch_end``.

    Attributes:
        logged: the last value of everything that was logged.
    """

    _cfg: DictConfig
    _trainer: Any = None

    def _prepare(self, trainer: Any) -> None:
        """Attributes, trainer and data; the constructor's last act."""
        self.logged: dict[str, Any] = {}
        self._train_dl: Any = None
        self._validation_dl: Any = None
        self._test_dl: Any = None
        self._prefixes: dict[str, list[str]] = {"val": [""], "test": [""]}
        self._outputs: dict[str, list[Any]] = {"val": [], "test": []}
        self._optimizer: Optimizer | None = None
        self._scheduler: dict[str, Any] | None = None
        self._keep_config()
        if trainer is not None:
            self.set_trainer(trainer)
        if restoring() is None:
            self._set_up_data(deferred=False)

    def _keep_config(self) -> None:
        """Called when there is a new configuration, for engines that store it with their checkpoints."""

    # --- engine -------------------------------------------------------------------------------------------------

    @property
    def trainer(self) -> Any:
        """The trainer that trains the model, or None."""
        return self._trainer

    @trainer.setter
    def trainer(self, trainer: Any) -> None:
        self._trainer = trainer

    def set_trainer(self, trainer: Any) -> None:
        """Make the model one that ``trainer`` trains, whatever it was before.

        Raises:
            ModelError: this is no Lightning trainer.
        """
        registry.plug("lightning").adopt(self, trainer)

    @property
    def _module(self) -> nn.Module:
        assert isinstance(self, nn.Module)
        return self

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        first = next(iter((*self._module.parameters(), *self._module.buffers())), None)
        return torch.device("cpu") if first is None else first.device

    def log(self, name: str, value: Any, *args: Any, **kwargs: Any) -> None:
        """Note a value; while a trainer trains, it goes to the trainer's loggers with Lightning's arguments."""
        self.logged[name] = value.detach() if isinstance(value, Tensor) else value

    def log_dict(self, dictionary: Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        """Note several values, as :meth:`log` does."""
        for name, value in dictionary.items():
            self.log(name, value, *args, **kwargs)

    # --- data ---------------------------------------------------------------------------------------------------

    def make_loader(self, section: DictConfig, *, key: str, shuffle: bool) -> Any:
        """Make the loader of one set, or return None where the section names no data; a model defines this.

        Args:
            section: like ``cfg.train_ds``, with a single set.
            key: what the section is called, for messages.
            shuffle: whether it is training data.
        """
        raise ModelError(f"{type(self).__name__} cannot set up {key}: it defines no make_loader, nor setup of its own")

    def setup_training_data(self, train_data_config: Any) -> None:
        """Make ``self._train_dl`` from a section like ``cfg.train_ds``."""
        self._train_dl = self._set_up_one("train_ds", train_data_config, shuffle=True)

    def setup_validation_data(self, val_data_config: Any) -> None:
        """Make ``self._validation_dl`` from a section like ``cfg.validation_ds`` with a single set."""
        self._validation_dl = self._set_up_one("validation_ds", val_data_config, shuffle=False)

    def setup_test_data(self, test_data_config: Any) -> None:
        """Make ``self._test_dl`` from a section like ``cfg.test_ds`` with a single set."""
        self._test_dl = self._set_up_one("test_ds", test_data_config, shuffle=False)

    def _set_up_one(self, key: str, section: Any, *, shuffle: bool) -> Any:
        self._cfg[key] = section = to_config(section)
        return self.make_loader(section, key=key, shuffle=shuffle)

    def setup_multiple_validation_data(self, val_data_config: Any) -> None:
        """Set up every validation set that the section lists; their results are logged with prefixes."""
        self._validation_dl = self._set_up_several("val", "validation_ds", val_data_config)

    def setup_multiple_test_data(self, test_data_config: Any) -> None:
        """Set up every test set that the section lists; their results are logged with prefixes."""
        self._test_dl = self._set_up_several("test", "test_ds", test_data_config)

    def _set_up_several(self, kind: str, key: str, section: Any) -> Any:
        section = to_config(section)
        loaders, prefixes = [], []
        for prefix, one in evaluation.expand(section, kind):
            if kind == "val":
                self.setup_validation_data(one)
                loaders.append(self._validation_dl)
            else:
                self.setup_test_data(one)
                loaders.append(self._test_dl)
            prefixes.append(prefix)
        self._prefixes[kind] = prefixes
        self._cfg[key] = section
        return loaders if len(loaders) > 1 else loaders[0]

    def setup(self, stage: str | None = None) -> None:
        """Set up the data whose section says ``defer_setup: true``; called by the engine before it trains."""
        self._set_up_data(deferred=True)

    def _set_up_data(self, *, deferred: bool) -> None:
        for key, set_up in (
            ("train_ds", self.setup_training_data),
            ("validation_ds", self.setup_multiple_validation_data),
            ("test_ds", self.setup_multiple_test_data),
        ):
            section = self._cfg.get(key)
            if section is not None and bool(section.get("defer_setup", False)) == deferred:
                set_up(section)

    def train_dataloader(self) -> Iterable[Any]:
        """The training data."""
        if self._train_dl is None:
            raise ModelError("there is no training data", fix="set cfg.train_ds, or call model.setup_training_data()")
        loader: Iterable[Any] = self._train_dl
        return loader

    def val_dataloader(self) -> Any:
        """The validation data: one loader, a list of several, or an empty list."""
        return [] if self._validation_dl is None else self._validation_dl

    def test_dataloader(self) -> Any:
        """The test data: one loader, a list of several, or an empty list."""
        return [] if self._test_dl is None else self._test_dl

    def prepare_test(self, trainer: Any) -> bool:
        """Whether ``trainer.test(model)`` has data to run on."""
        return self._cfg.get("test_ds") is not None and self._test_dl is not None

    def get_validation_dataloader_prefix(self, dataloader_idx: int = 0) -> str:
        """What the results of a validation set are prefixed with."""
        return self._prefix("val", dataloader_idx)

    def get_test_dataloader_prefix(self, dataloader_idx: int = 0) -> str:
        """What the results of a test set are prefixed with."""
        return self._prefix("test", dataloader_idx)

    def _prefix(self, kind: str, index: int) -> str:
        prefixes = self._prefixes[kind]
        return (prefixes[index] if index < len(prefixes) else "") or f"{kind}_{index}_"

    # --- evaluation ---------------------------------------------------------------------------------------------

    @property
    def validation_step_outputs(self) -> list[Any]:
        """The results of this epoch's validation steps."""
        return self._collected("val", self._validation_dl or getattr(self.trainer, "val_dataloaders", None))

    @property
    def test_step_outputs(self) -> list[Any]:
        """The results of this epoch's test steps."""
        return self._collected("test", self._test_dl or getattr(self.trainer, "test_dataloaders", None))

    def _collected(self, kind: str, loaders: Any) -> list[Any]:
        if not self._outputs[kind] and isinstance(loaders, list) and len(loaders) > 1:
            self._outputs[kind] = [[] for _ in loaders]
        return self._outputs[kind]

    def on_validation_epoch_end(self) -> dict[str, Any]:
        """Put the results of each validation set together and log them."""
        main = evaluation.main_index(self._cfg.get("validation_ds"), "val")
        return self._end("val", self.validation_step_outputs, self.multi_validation_epoch_end, main)

    def on_test_epoch_end(self) -> dict[str, Any]:
        """Put the results of each test set together and log them."""
        main = evaluation.main_index(self._cfg.get("test_ds"), "test")
        return self._end("test", self.test_step_outputs, self.multi_test_epoch_end, main)

    def multi_validation_epoch_end(self, outputs: list[Any], dataloader_idx: int = 0) -> dict[str, Any] | None:
        """Return ``{"log": {name: value}}`` from the results of one validation set; here the mean of each number."""
        return evaluation.summarise(outputs)

    def multi_test_epoch_end(self, outputs: list[Any], dataloader_idx: int = 0) -> dict[str, Any] | None:
        """Return ``{"log": {name: value}}`` from the results of one test set; here the mean of each number."""
        return evaluation.summarise(outputs)

    def _end(self, kind: str, outputs: list[Any], combine: Any, main: int) -> dict[str, Any]:
        several = bool(outputs) and isinstance(outputs[0], list)
        sets = outputs if several else [outputs]
        results = [combine(one, dataloader_idx=number) or {} if one else {} for number, one in enumerate(sets)]
        prefixes = [self._prefix(kind, number) for number in range(len(sets))] if several else [""]
        logged = evaluation.prefixed(results, prefixes, main)
        self.log_dict(logged, on_epoch=True)
        self._outputs[kind] = []
        return logged

    # --- optimisation -------------------------------------------------------------------------------------------

    def setup_optimization(self, optim_config: Any = None) -> tuple[Optimizer | None, dict[str, Any] | None]:
        """Build optimiser and schedule from a section like ``cfg.optim``, which is the default.

        A section that is given replaces ``cfg.optim``. Without one there is neither.

        Raises:
            UnknownNameError: there is no optimiser, or schedule, of that name.
            ConfigError: it does not take one of the arguments.
        """
        if optim_config is not None:
            self._cfg.optim = to_config(optim_config)
        section = self._cfg.get("optim")
        if section is None:
            return None, None
        self._optimizer = build_optimizer(self._module.parameters(), section)
        schedule = section.get("sched")
        self._scheduler = build_schedule(self._optimizer, schedule, self.trainer) if schedule is not None else None
        return self._optimizer, self._scheduler

    def configure_optimizers(self) -> Any:
        """What Lightning asks for: the optimiser, or ``([optimiser], [schedule])``."""
        optimizer, schedule = self.setup_optimization()
        return optimizer if schedule is None else ([optimizer], [schedule])
