"""The first generation's front door: one object that trains, evaluates and infers on symbols.

The factory knows where to compute and how precisely; the loop itself is the engine's, which the registry finds
(``seaspeak.training.engine``, plain torch). Modules need no factory.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import nn
from torch.optim import Optimizer

from seaspeak import logging
from seaspeak.core import processes
from seaspeak.core.callbacks import ActionState, Callback, EvaluatorCallback
from seaspeak.core.errors import ConfigError, NeuralTypeError, TrainingError
from seaspeak.core.graph import NeuralGraph
from seaspeak.core.modes import DeviceType, Optimization
from seaspeak.core.symbols import Symbol
from seaspeak.core.types import LossType
from seaspeak.core.work_folder import WorkFolder

Losses = Sequence[Symbol] | Sequence[tuple[Optimizer, Sequence[Symbol]]]
Policy = Callable[[float, int, int], float]


class Engine(Protocol):
    """What turns symbols into trained weights; one engine is one trainer, with its step, epoch and optimisers."""

    state: ActionState
    local_rank: int | None

    def __init__(self, device: torch.device, level: Optimization, local_rank: int | None) -> None: ...

    def create_optimizer(
        self, optimizer: str, things: Iterable[nn.Module | Symbol], params: Mapping[str, Any]
    ) -> Optimizer:
        """Return an optimiser by name for all weights of some modules, or of the modules that symbols come from."""

    def train(
        self,
        losses: Losses,
        *,
        optimizer: str | Optimizer | None,
        optimization_params: Mapping[str, Any],
        callbacks: Sequence[Callback],
        lr_policy: Policy | None,
        batches_per_step: int,
        stop_on_nan_loss: bool,
    ) -> None:
        """Minimise the sum of the losses."""

    def evaluate(self, tensors: Sequence[Symbol]) -> Iterator[dict[str, Any]]:
        """Yield, for each batch, unique name -> value."""

    def infer(
        self, tensors: Sequence[Symbol], *, verbose: bool, cache: bool, use_cache: bool, offload_to_cpu: bool
    ) -> list[list[Any]]:
        """Return, for each symbol, its values for all batches."""

    def clear_cache(self) -> None:
        """Forget what ``infer`` kept."""

    def save_state_to(self, path: str | Path) -> None:
        """Write step, epoch and optimisers to a file."""

    def restore_state_from(self, path: str | Path) -> None:
        """Read them."""


_default: ContextVar[NeuralModuleFactory | None] = ContextVar("seaspeak_default_factory", default=None)


class NeuralModuleFactory:
    """Trains, evaluates and infers on symbols.

    Args:
        local_rank: number of this process on its machine, where a launcher (``torchrun``) started several; they join
            and train together.
        optimization_level: how much runs in half precision; an ``Optimization``, or text such as ``"O1"``.
        placement: where to compute; the GPU if there is one, else the CPU.
        cudnn_benchmark: let cuDNN try its algorithms; good when shapes stay the same.
        random_seed: seeds torch, numpy and Python, and makes cuDNN deterministic.
        set_default: let ``get_default_factory`` return this one.
        log_dir: folder of the experiment: log, command line, state of the code; without one, the console is all.
        checkpoint_dir, tensorboard_dir: other places than ``checkpoints`` and ``tensorboard`` below it.
        create_tb_writer: make a TensorBoard writer, ``tb_writer``.
        files_to_copy: files that are kept in the folder.
        add_time_to_log_dir: work in a new sub-folder called by the time.

    Attributes:
        placement, optim_level: where, and how precisely, it computes.
        tb_writer: the TensorBoard writer, or ``None``.

    Raises:
        ConfigError: an unknown level, a seed together with ``cudnn_benchmark``, a GPU that is not there, or a writer
            without a folder.
    """

    def __init__(
        self,
        local_rank: int | None = None,
        optimization_level: Optimization | str = Optimization.mxprO0,
        placement: DeviceType | None = None,
        cudnn_benchmark: bool = False,
        random_seed: int | None = None,
        set_default: bool = True,
        log_dir: str | Path | None = None,
        checkpoint_dir: str | Path | None = None,
        tensorboard_dir: str | Path | None = None,
        create_tb_writer: bool = False,
        files_to_copy: Sequence[str | Path] | None = None,
        add_time_to_log_dir: bool = False,
    ) -> None:
        self.optim_level = _level(optimization_level)
        self.placement = _placement(placement)
        if random_seed is not None:
            _seed(random_seed, cudnn_benchmark=cudnn_benchmark)
        torch.backends.cudnn.benchmark = cudnn_benchmark
        self.local_rank = local_rank
        if local_rank is not None:
            processes.join(local_rank)
        if self.global_rank in (None, 0):
            logging.console()
        self._folder = WorkFolder(
            log_dir,
            checkpoint_dir=checkpoint_dir,
            tensorboard_dir=tensorboard_dir,
            files_to_copy=files_to_copy or (),
            add_time=add_time_to_log_dir,
        )
        self.tb_writer = self._folder.tensorboard_writer() if create_tb_writer else None
        self._engine: Engine | None = None
        if set_default:
            self.set_default_factory(self)

    @staticmethod
    def get_default_factory() -> NeuralModuleFactory | None:
        """Return the factory that was made last, or set as default, in this context; ``None`` if there is none."""
        return _default.get()

    @staticmethod
    def set_default_factory(factory: NeuralModuleFactory) -> None:
        """Make ``factory`` the default."""
        _default.set(factory)

    @staticmethod
    def reset_default_factory() -> None:
        """Forget the default."""
        _default.set(None)

    @property
    def world_size(self) -> int:
        """How many processes train together."""
        return processes.world_size()

    @property
    def global_rank(self) -> int | None:
        """Number of this process among all; ``None`` if it is the only one."""
        return processes.rank()

    @property
    def work_dir(self) -> Path | None:
        """The folder of the experiment."""
        return self._folder.path

    @property
    def checkpoint_dir(self) -> Path | None:
        """The folder of its checkpoints."""
        return self._folder.checkpoints

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.placement.device

    @property
    def engine(self) -> Engine:
        """The trainer; made when first needed."""
        if self._engine is None:
            from seaspeak.core import registry

            self._engine = cast("type[Engine]", registry.plug("engine"))(self.device, self.optim_level, self.local_rank)
        return self._engine

    def reset_trainer(self) -> None:
        """Start anew: step 0, epoch 0, no optimisers, an empty cache."""
        self._engine = None

    def create_optimizer(
        self,
        optimizer: str,
        things_to_optimize: nn.Module | Symbol | Iterable[nn.Module | Symbol],
        optimizer_params: Mapping[str, Any],
    ) -> Optimizer:
        """Return an optimiser by name.

        Args:
            optimizer: for example ``"novograd"``.
            things_to_optimize: modules, or symbols that stand for all modules that they come from.
            optimizer_params: ``lr``, and what the optimiser takes.

        Raises:
            UnknownNameError: no optimiser has this name.
            TrainingError: there is nothing to optimise.
        """
        single = isinstance(things_to_optimize, (nn.Module, Symbol))
        things = [things_to_optimize] if single else list(cast("Iterable[Any]", things_to_optimize))
        return self.engine.create_optimizer(optimizer, cast("list[nn.Module | Symbol]", things), optimizer_params)

    def train(
        self,
        tensors_to_optimize: Losses | None = None,
        training_graph: NeuralGraph | None = None,
        optimizer: str | Optimizer | None = None,
        optimization_params: Mapping[str, Any] | None = None,
        callbacks: Sequence[Callback] | None = None,
        lr_policy: Policy | None = None,
        batches_per_step: int | None = None,
        stop_on_nan_loss: bool = False,
        reset: bool = False,
    ) -> None:
        """Minimise the sum of some losses.

        Args:
            tensors_to_optimize: the losses; or tuples of an optimiser and its losses, which take turns step by step.
            training_graph: a graph with a data layer, whose outputs of type ``LossType`` are minimised.
            optimizer: a name (``"sgd"``, ``"adam"``, ``"novograd"`` ...) or an optimiser.
            optimization_params: ``num_epochs`` and/or ``max_steps``, ``lr``, ``grad_norm_clip``, and what the optimiser
                takes.
            callbacks: what is told about the progress, in this order.
            lr_policy: learning rate from (initial rate, step, epoch).
            batches_per_step: how many batches' gradients a step sums, each divided by this number.
            stop_on_nan_loss: give up at the first loss that is no number; else such batches are left out, until an
                epoch has no other.
            reset: start anew, as ``reset_trainer``.

        Raises:
            TrainingError: there is no loss, no end, nothing to train, or the loss is no number.
        """
        if reset:
            self.reset_trainer()
        if tensors_to_optimize is not None and training_graph is not None:
            raise TrainingError("train takes tensors_to_optimize or training_graph, not both")
        losses = tensors_to_optimize if training_graph is None else _losses_of(training_graph)
        self.engine.train(
            [losses] if isinstance(losses, Symbol) else losses or [],
            optimizer=optimizer,
            optimization_params=optimization_params or {},
            callbacks=list(callbacks or []),
            lr_policy=lr_policy,
            batches_per_step=1 if batches_per_step is None else batches_per_step,
            stop_on_nan_loss=stop_on_nan_loss,
        )

    def eval(self, callbacks: Sequence[EvaluatorCallback]) -> None:
        """Evaluate: go once over the data of each callback.

        Raises:
            TrainingError: there are no callbacks (also a ``ValueError``).
            NeuralTypeError: one of them is no ``EvaluatorCallback`` (also a ``TypeError``).
        """
        if not callbacks:
            raise TrainingError("eval needs at least one EvaluatorCallback", fix="nf.eval(callbacks=[...])")
        for callback in callbacks:
            if not isinstance(callback, EvaluatorCallback):
                raise NeuralTypeError("eval takes EvaluatorCallbacks only", got=type(callback).__name__)
        for callback in callbacks:
            callback.notify("action_end", self.engine.state)

    def infer(
        self,
        tensors: Sequence[Symbol],
        *,
        verbose: bool = True,
        cache: bool = False,
        use_cache: bool = False,
        offload_to_cpu: bool = True,
    ) -> list[list[Any]]:
        """Compute symbols for all batches of their data layer.

        Args:
            tensors: what is computed, and nothing that it does not need.
            verbose: log about ten lines as it goes on.
            cache: keep all values for calls with ``use_cache``.
            use_cache: compute only what was not kept.
            offload_to_cpu: move results to the CPU.

        Returns:
            For each symbol, a list with one value a batch.

        Raises:
            TrainingError: ``cache`` and ``use_cache`` together, nothing was kept, or something was kept already.
        """
        return self.engine.infer(
            [tensors] if isinstance(tensors, Symbol) else list(tensors),
            verbose=verbose,
            cache=cache,
            use_cache=use_cache,
            offload_to_cpu=offload_to_cpu,
        )

    def clear_cache(self) -> None:
        """Forget what ``infer(cache=True)`` kept."""
        self.engine.clear_cache()


def _level(level: Optimization | str) -> Optimization:
    if isinstance(level, Optimization):
        return level
    digits = level[1:]
    if not digits.isdigit() or int(digits) > 3:
        raise ConfigError(f"Unknown optimization value {level}", expected="O0, O1, O2 or O3")
    return Optimization(int(digits))


def _placement(placement: DeviceType | None) -> DeviceType:
    if placement is None:
        return DeviceType.GPU if torch.cuda.is_available() else DeviceType.CPU
    if placement is not DeviceType.CPU and not torch.cuda.is_available():
        raise ConfigError(f"there is no GPU for placement={placement}", fix="placement=DeviceType.CPU, or leave it out")
    return placement


def _seed(seed: int, *, cudnn_benchmark: bool) -> None:
    import numpy

    if cudnn_benchmark:
        raise ConfigError(
            "random_seed asks for the same numbers each time, cudnn_benchmark for the fastest algorithm of the moment",
            fix="leave out one of them",
        )
    torch.manual_seed(seed)
    numpy.random.seed(seed)
    random.seed(seed)
    torch.backends.cudnn.deterministic = True


def _losses_of(graph: NeuralGraph) -> list[Symbol]:
    """Return symbols for the outputs of a graph that are losses."""
    if graph.data_layer is None:
        raise TrainingError("a training graph has a data layer among its modules")
    recorded = graph.record()
    symbols = [recorded] if isinstance(recorded, Symbol) else list(recorded)
    losses = [symbol for symbol in symbols if isinstance(symbol.neural_type.elements_type, LossType)]
    if not losses:
        raise TrainingError("no output of the training graph is a LossType", got=", ".join(graph.outputs))
    return losses
