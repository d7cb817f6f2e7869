"""The loop behind ``nf.train``, in plain torch.

    for each epoch, for each batch:
        forward            the losses, and what callbacks want to see on this step
        backward           gradients of their sum
        every batches_per_step batches: clip the gradients and change the weights; the step is done

Several optimisers take turns, one step each. Where several processes train (``NeuralModuleFactory(local_rank=...)``),
each takes its part of the data, and gradients are averaged before a step.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from seaspeak.core import processes
from seaspeak.core.callbacks import ActionCallback, ActionState, Callback, SimpleLossLoggerCallback
from seaspeak.core.errors import FileMissingError, TrainingError
from seaspeak.core.modes import Optimization
from seaspeak.core.module import NeuralModule, evaluating
from seaspeak.core.symbols import Symbol
from seaspeak.training.first_generation import first_generation
from seaspeak.training.values import BatchValues

log = logging.getLogger(__name__)

Losses = Sequence[Symbol] | Sequence[tuple[Optimizer, Sequence[Symbol]]]


class Engine:
    """One trainer: its step, epoch and optimisers, and where and how precisely it computes."""

    def __init__(
        self, device: torch.device, level: Optimization = Optimization.mxprO0, local_rank: int | None = None
    ) -> None:
        self.device, self.level, self.local_rank = device, level, local_rank
        self.state = ActionState(self)
        self._finished = False
        self._kept: list[dict[str, Any]] | None = None

    def train(
        self,
        losses: Losses,
        *,
        optimizer: str | Optimizer | None = None,
        optimization_params: Mapping[str, Any],
        callbacks: Sequence[Callback] = (),
        lr_policy: Callable[[float, int, int], float] | None = None,
        batches_per_step: int = 1,
        stop_on_nan_loss: bool = False,
    ) -> None:
        """Minimise the sum of the losses; without losses, only tell the callbacks that the action is over."""
        tell = _Herald(callbacks, self.state)
        if not losses:
            return tell("action_end")
        last_epoch, last_step = _limits(optimization_params)
        turns = self._turns(losses, optimizer, optimization_params)
        if len(turns) > 1 and batches_per_step > 1:
            raise TrainingError("optimisers that take turns change weights after every batch", fix="batches_per_step=1")
        values = self._begin(turns, callbacks)
        state, scaler = self.state, self._scaler()

        tell("action_start")
        step_open = False
        while state["epoch"] < last_epoch and state["step"] < last_step:
            tell("epoch_start")
            first_step, pending, lost = state["step"], 0, 0
            for batch in values.graph.batches(self.device, state["epoch"]):
                if state["step"] >= last_step:
                    break
                current, own_losses = turns[state["step"] % len(turns)]
                if pending == 0:
                    current.zero_grad()
                if not step_open:
                    step_open = True
                    tell("step_start")
                tell("batch_start")
                self._set_rate(lr_policy, optimization_params, callbacks)
                values.begin(batch)
                with self._precision():
                    loss = values.compute_loss(own_losses, [s for c in callbacks for s in c.wanted(state["step"])])
                if scaler.is_enabled() or processes.all_true(torch.isfinite(loss)):
                    torch.autograd.backward(scaler.scale(loss / batches_per_step))
                    pending += 1
                else:
                    lost += 1
                    _report_nan(state, loss, stop=stop_on_nan_loss)
                tell("batch_end")
                if pending == batches_per_step:
                    _change_weights(current, scaler, optimization_params.get("grad_norm_clip"))
                    step_open, pending = False, 0
                    tell("step_end")
                    state["step"] += 1
            tell("epoch_end")
            if state["step"] == first_step:
                _explain_no_step(state["epoch"], pending, lost, batches_per_step)
            state["epoch"] += 1
        tell("action_end")
        self._finished = True
        return None

    def create_optimizer(
        self, optimizer: str, things: Iterable[nn.Module | Symbol], params: Mapping[str, Any]
    ) -> Optimizer:
        """Return an optimiser by name for all weights of some modules, or of the modules that symbols come from."""
        things = list(things)
        symbols = [thing for thing in things if isinstance(thing, Symbol)]
        modules = [thing for thing in things if isinstance(thing, nn.Module)]
        if len(symbols) + len(modules) < len(things):
            raise TrainingError("an optimiser is made for modules and symbols", got=", ".join(map(repr, things)))
        if symbols:
            modules.append(BatchValues(symbols, self.device).graph)
        weights = nn.ModuleList(modules).to(self.device).parameters()
        trained = [weight for weight in weights if weight.requires_grad]
        if not trained:
            raise TrainingError(
                "there are no weights to train", fix="unfreeze() a module, or check that the loss depends on one"
            )
        return first_generation(optimizer, trained, params)

    def evaluate(self, tensors: Sequence[Symbol]) -> Iterator[dict[str, Any]]:
        """Yield the values of each batch of the tensors' own data layer: unique name -> value."""
        values = BatchValues(tensors, self.device)
        with evaluating(values.graph):
            for batch in values.graph.batches(self.device):
                self._compute(values, batch, tensors)
                yield values.values()

    def infer(
        self,
        tensors: Sequence[Symbol],
        *,
        verbose: bool = True,
        cache: bool = False,
        use_cache: bool = False,
        offload_to_cpu: bool = True,
    ) -> list[list[Any]]:
        """Return, for each symbol, its values for all batches."""
        self._check_cache(cache, use_cache)
        values = BatchValues(tensors, self.device)
        kept: list[dict[str, Any]] = []
        results: list[list[Any]] = [[] for _ in tensors]
        known = self._kept if use_cache and self._kept is not None else None
        batches: Iterable[Any] = ({} for _ in known) if known is not None else values.graph.batches(self.device)
        with evaluating(values.graph):
            for number, batch in enumerate(batches):
                found = self._compute(values, batch, tensors, known[number] if known else None)
                for result, value in zip(results, found, strict=True):
                    result.append(_offload(value) if offload_to_cpu else value)
                if cache:
                    kept.append(values.values())
                if verbose and number & (number + 1) == 0:
                    log.info("infer: batch %d", number + 1)
        if cache:
            self._kept = kept
        return results

    def clear_cache(self) -> None:
        """Forget what ``infer`` kept."""
        self._kept = None

    def save_state_to(self, path: str | Path) -> None:
        """Write step, epoch and the optimisers' state to a file."""
        optimizers = [optimizer.state_dict() for optimizer in self.state["optimizers"]]
        saved = {"step": self.state["step"], "epoch": self.state["epoch"], "optimizer_state": optimizers}
        torch.save(saved, Path(path).expanduser())

    def restore_state_from(self, path: str | Path) -> None:
        """Read what ``save_state_to`` wrote; training goes on from there.

        Raises:
            FileMissingError: there is no such file.
        """
        file = Path(path).expanduser()
        if not file.is_file():
            raise FileMissingError(f"there is no file {file}")
        saved = torch.load(file, map_location=self.device, weights_only=True)
        self.state["step"] = saved["step"]
        self.state["epoch"] = saved["epoch"] if "epoch" in saved else saved["epoch_num"]
        for optimizer, state in zip(self.state["optimizers"], saved["optimizer_state"], strict=False):
            optimizer.load_state_dict(state)
        self._finished = False

    def _turns(
        self, losses: Losses, optimizer: str | Optimizer | None, params: Mapping[str, Any]
    ) -> list[tuple[Optimizer, list[Symbol]]]:
        """Return who minimises what, in turn."""
        if isinstance(losses[0], tuple):
            return [(own, list(symbols)) for own, symbols in cast("Sequence[tuple[Optimizer, list[Symbol]]]", losses)]
        symbols = list(cast("Sequence[Symbol]", losses))
        if isinstance(optimizer, str):
            optimizer = self.create_optimizer(optimizer, symbols, params)
        if not isinstance(optimizer, Optimizer):
            raise TrainingError("an optimiser is a name or a torch.optim.Optimizer", got=repr(optimizer), fix='"adam"')
        return [(optimizer, symbols)]

    def _begin(self, turns: list[tuple[Optimizer, list[Symbol]]], callbacks: Sequence[Callback]) -> BatchValues:
        """Prepare the state and the modules."""
        if self._finished:
            self.state.update(step=0, epoch=0)
        losses = [loss for _, own in turns for loss in own]
        values = BatchValues([*losses, *(s for callback in callbacks for s in callback.wanted(0))], self.device)
        for module in values.graph.children():
            module.train(not (isinstance(module, NeuralModule) and module.is_frozen()))
        processes.share([*values.graph.parameters(), *values.graph.buffers()])
        self.state.update(tensors=values, optimizers=[optimizer for optimizer, _ in turns])
        return values

    def _set_rate(
        self,
        policy: Callable[[float, int, int], float] | None,
        params: Mapping[str, Any],
        callbacks: Sequence[Callback],
    ) -> None:
        groups = [group for optimizer in self.state["optimizers"] for group in optimizer.param_groups]
        if policy is not None:
            rate = policy(params["lr"], self.state["step"], self.state["epoch"])
            for group in groups:
                group["lr"] = rate
        for callback in callbacks:
            if isinstance(callback, ActionCallback):
                callback.learning_rate = groups[0]["lr"]

    def _compute(
        self, values: BatchValues, batch: Any, tensors: Sequence[Symbol], known: dict[str, Any] | None = None
    ) -> list[Any]:
        with torch.no_grad(), self._precision():
            values.begin(batch, known)
            return values.compute(tensors)

    def _precision(self) -> contextlib.AbstractContextManager[Any]:
        if self.level is Optimization.mxprO0:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self._half())

    def _half(self) -> torch.dtype:
        old_gpu = self.device.type == "cuda" and not torch.cuda.is_bf16_supported()
        return torch.float16 if old_gpu else torch.bfloat16

    def _scaler(self) -> torch.amp.GradScaler:
        """Return what scales losses so that float16 gradients do not vanish; bfloat16 does not need it."""
        half = self.level is not Optimization.mxprO0 and self._half() is torch.float16
        return torch.amp.GradScaler(self.device.type, enabled=half)

    def _check_cache(self, cache: bool, use_cache: bool) -> None:
        if cache and use_cache:
            raise TrainingError("cache and use_cache were both set. infer fills the cache, or uses it")
        if cache and processes.world_size() > 1:
            raise TrainingError("infer keeps values in a single process only")
        if cache and self._kept is not None:
            raise TrainingError("cache was set but was not empty", fix="nf.clear_cache()")
        if use_cache and self._kept is None:
            raise TrainingError("use_cache was set, but cache was empty", fix="nf.infer(tensors, cache=True) first")


class _Herald:
    """Tells callbacks, in their order, what happens.

    Raises:
        TrainingError: one of them is no callback, or there are two of the kind that may be there once.
    """

    def __init__(self, callbacks: Sequence[Callback], state: ActionState) -> None:
        for callback in callbacks:
            if not isinstance(callback, Callback):
                raise TrainingError(f"a callback is an ActionCallback or a NeMoCallback, not {callback!r}")
        if sum(isinstance(callback, SimpleLossLoggerCallback) for callback in callbacks) > 1:
            raise TrainingError("there can be one SimpleLossLoggerCallback", fix="give it all tensors")
        self.callbacks, self.state = callbacks, state

    def __call__(self, event: str) -> None:
        for callback in self.callbacks:
            callback.notify(event, self.state)


def _limits(params: Mapping[str, Any]) -> tuple[float, float]:
    epochs, steps = params.get("num_epochs"), params.get("max_steps")
    if epochs is None and steps is None:
        raise TrainingError(
            "the training has no end",
            got=", ".join(params) or "no optimization_params",
            fix='optimization_params={"num_epochs": 3, "lr": 0.001}, or "max_steps"',
        )
    return float("inf") if epochs is None else epochs, float("inf") if steps is None else steps


def _change_weights(optimizer: Optimizer, scaler: torch.amp.GradScaler, clip: float | None) -> None:
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    processes.average(weight.grad for weight in weights if weight.grad is not None)
    if clip:
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(weights, clip)
    scaler.step(optimizer)
    scaler.update()


def _report_nan(state: ActionState, loss: Tensor, *, stop: bool) -> None:
    if stop:
        raise TrainingError(
            "Loss is NaN or inf - exiting",
            got=f"{loss.item()} at step {state['step']} of epoch {state['epoch']}",
            fix="a smaller lr, grad_norm_clip, or a look at the data of this step",
        )
    log.warning("the loss is %s at step %d: this batch is left out", loss.item(), state["step"])


def _explain_no_step(epoch: int, pending: int, lost: int, batches_per_step: int) -> None:
    """Say why a whole epoch went by without a change of the weights; going on would repeat it for ever."""
    if lost:
        raise TrainingError(
            f"the loss was not finite for {lost} batches of epoch {epoch}, and no step was possible",
            fix="a smaller lr, grad_norm_clip, or a look at the data",
        )
    if pending:
        raise TrainingError(
            f"an epoch has {pending} batches, fewer than batches_per_step, so weights would never change",
            got=f"batches_per_step={batches_per_step}",
            fix=f"batches_per_step={pending}",
        )
    raise TrainingError("the data layer gave no batch", fix="check its data set and its length")


def _offload(value: Any) -> Any:
    return value.detach().cpu() if isinstance(value, Tensor) else value
