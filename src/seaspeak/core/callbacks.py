"""Callbacks: what is told about the progress of ``nf.train``.

Two families, as in NeMo. The older one (``ActionCallback``) has hooks without arguments and looks at itself
(``self.step``); the newer one (``NeMoCallback``) is given the state. An *action* is one call of ``train``; a *step*
changes weights once; a *batch* is smaller than a step when gradients are accumulated.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seaspeak.core import processes
from seaspeak.core.errors import TrainingError
from seaspeak.core.symbols import Symbol

if TYPE_CHECKING:
    from seaspeak.core.factory import Engine

log = logging.getLogger(__name__)


class ActionState(dict[str, Any]):
    """Where an action stands.

    Keys: ``step`` and ``epoch`` (from 0; during a step, its number), ``tensors`` (values of the current batch, see
    ``get_tensor`` there), ``optimizers``, ``local_rank``, ``global_rank``.
    """

    def __init__(self, engine: Engine) -> None:
        ranks = {"local_rank": engine.local_rank, "global_rank": processes.rank()}
        super().__init__(step=0, epoch=0, tensors=None, optimizers=[], **ranks)
        self.engine = engine

    def save_state_to(self, path: str | Path) -> None:
        """Write step, epoch and the optimisers' state to a file."""
        self.engine.save_state_to(path)

    def restore_state_from(self, path: str | Path) -> None:
        """Read what ``save_state_to`` wrote."""
        self.engine.restore_state_from(path)


class Callback:
    """What both families share."""

    def notify(self, event: str, state: ActionState) -> None:
        """Take note of ``action_start``, ``epoch_start``, ``step_start``, ``batch_start``, or one of the ends."""
        raise NotImplementedError

    def wanted(self, step: int) -> Sequence[Symbol]:
        """Return the symbols that are computed together with the losses of this step."""
        return ()


class ActionCallback(Callback):
    """Older family: hooks without arguments; an iteration is a step."""

    _state: ActionState | None = None
    learning_rate: float | None = None

    def notify(self, event: str, state: ActionState) -> None:
        """Call the hook of the event."""
        self._state = state
        hook = getattr(self, "on_" + event.replace("step", "iteration"), None)
        if hook is not None:
            hook()

    def on_action_start(self) -> None:
        """Training starts."""

    def on_action_end(self) -> None:
        """Training ends."""

    def on_epoch_start(self) -> None:
        """A pass over the data starts."""

    def on_epoch_end(self) -> None:
        """A pass over the data ends."""

    def on_iteration_start(self) -> None:
        """A step starts."""

    def on_iteration_end(self) -> None:
        """A step ends."""

    @property
    def state(self) -> ActionState:
        """Where the action stands.

        Raises:
            TrainingError: the callback has not been given to ``nf.train``.
        """
        if self._state is None:
            raise TrainingError(
                f"{type(self).__name__} is not part of a training yet", fix="nf.train(..., callbacks=[callback])"
            )
        return self._state

    @property
    def action(self) -> Engine:
        """The engine that trains."""
        return self.state.engine

    @property
    def step(self) -> int:
        """Number of the current step."""
        return int(self.state["step"])

    @property
    def epoch_num(self) -> int:
        """Number of the current epoch."""
        return int(self.state["epoch"])

    @property
    def registered_tensors(self) -> Mapping[str, Any]:
        """Unique name of a symbol -> its value in the current batch."""
        return self.state["tensors"].values()  # type: ignore[no-any-return]  # the state is a plain dict

    @property
    def local_rank(self) -> int | None:
        """Number of this process on its machine; ``None`` if it is the only one."""
        return self.state["local_rank"]  # type: ignore[no-any-return]  # the state is a plain dict

    @property
    def global_rank(self) -> int | None:
        """Number of this process among all; ``None`` if it is the only one."""
        return self.state["global_rank"]  # type: ignore[no-any-return]  # the state is a plain dict

    @property
    def logger(self) -> logging.Logger:
        """Where the callback writes."""
        return log


class NeMoCallback(Callback):
    """Newer family: each hook is given the state."""

    def notify(self, event: str, state: ActionState) -> None:
        """Call the hook of the event."""
        getattr(self, f"on_{event}")(state)

    def on_action_start(self, state: ActionState) -> None:
        """Training starts."""

    def on_epoch_start(self, state: ActionState) -> None:
        """A pass over the data starts."""

    def on_step_start(self, state: ActionState) -> None:
        """A step starts."""

    def on_batch_start(self, state: ActionState) -> None:
        """A batch starts."""

    def on_batch_end(self, state: ActionState) -> None:
        """A batch ends."""

    def on_step_end(self, state: ActionState) -> None:
        """A step ends."""

    def on_epoch_end(self, state: ActionState) -> None:
        """A pass over the data ends."""

    def on_action_end(self, state: ActionState) -> None:
        """Training ends."""


class SimpleLogger(NeMoCallback):
    """Logs values at the end of steps.

    Args:
        step_freq: every how many steps, the first (0) included.
        tensors_to_log: symbols, their names, or ``"loss"`` for the sum of the losses.
    """

    def __init__(self, step_freq: int = 100, tensors_to_log: Sequence[str | Symbol] = ("loss",)) -> None:
        self.step_freq, self.tensors_to_log = step_freq, list(tensors_to_log)

    def wanted(self, step: int) -> Sequence[Symbol]:
        """Return the symbols, on steps that are logged."""
        return [t for t in self.tensors_to_log if isinstance(t, Symbol)] if step % self.step_freq == 0 else ()

    def on_step_end(self, state: ActionState) -> None:
        """Log ``<name>: <value>`` for each tensor."""
        if state["step"] % self.step_freq == 0:
            for tensor in self.tensors_to_log:
                value = state["tensors"].get_tensor(tensor).detach().cpu().numpy()
                log.info("%s: %s", tensor.name if isinstance(tensor, Symbol) else tensor, value)


class SimpleLossLoggerCallback(ActionCallback):
    """Shows the loss, and whatever else, as training goes on.

    Args:
        tensors: symbols whose values are shown; they are computed on the steps that need them.
        print_func: called with the list of their values.
        get_tb_values: values -> list of (name, value) for TensorBoard.
        log_to_tb_func: called with the TensorBoard writer, the values and the step.
        step_freq: every how many steps.
        tb_writer: a TensorBoard writer; it is closed at the end.
    """

    def __init__(
        self,
        tensors: Symbol | Sequence[Symbol],
        print_func: Callable[[list[Any]], object] | None = None,
        get_tb_values: Callable[[list[Any]], Iterable[tuple[str, Any]]] | None = None,
        log_to_tb_func: Callable[[Any, list[Any], int], object] | None = None,
        step_freq: int = 25,
        tb_writer: Any = None,
    ) -> None:
        self.tensors = [tensors] if isinstance(tensors, Symbol) else list(tensors)
        self.print_func, self.get_tb_values, self.log_to_tb_func = print_func, get_tb_values, log_to_tb_func
        self.step_freq, self.tb_writer = step_freq, tb_writer
        self._started = {"action": 0.0, "epoch": 0.0, "step": 0.0}

    def wanted(self, step: int) -> Sequence[Symbol]:
        """Return the tensors, on steps that are shown."""
        return self.tensors if step % self.step_freq == 0 else ()

    def on_action_start(self) -> None:
        """Note the time."""
        log.info("Starting .....")
        self._started["action"] = time.perf_counter()

    def on_epoch_start(self) -> None:
        """Note the time."""
        log.info("Starting epoch %d", self.epoch_num)
        self._started["epoch"] = time.perf_counter()

    def on_epoch_end(self) -> None:
        """Log how long the epoch took."""
        seconds = time.perf_counter() - self._started["epoch"]
        log.info("Finished epoch %d in %.2f s", self.epoch_num, seconds)
        self._write("misc/epoch_time", seconds)

    def on_iteration_start(self) -> None:
        """Note the time."""
        self._started["step"] = time.perf_counter()

    def on_iteration_end(self) -> None:
        """Show the values."""
        if self.step % self.step_freq:
            return
        values = [self.state["tensors"].get_tensor(tensor) for tensor in self.tensors]
        log.info("Step: %d", self.step)
        if self.print_func is not None:
            self.print_func(values)
        if self.tb_writer is not None:
            self._write_all(values)

    def on_action_end(self) -> None:
        """Log how long it took, and close the writer."""
        log.info("Done in %.2f s", time.perf_counter() - self._started["action"])
        if self.tb_writer is not None:
            self.tb_writer.close()

    def _write_all(self, values: list[Any]) -> None:
        for name, value in self.get_tb_values(values) if self.get_tb_values else ():
            self._write(name, value)
        if self.log_to_tb_func is not None:
            self.log_to_tb_func(self.tb_writer, values, self.step)
        self._write("misc/step_time", time.perf_counter() - self._started["step"])
        if self.learning_rate is not None:
            self._write("param/lr", self.learning_rate)

    def _write(self, name: str, value: Any) -> None:
        if self.tb_writer is not None:
            self.tb_writer.add_scalar(name, value, self.step)


class EvaluatorCallback(ActionCallback):
    """Evaluates as training goes on, and at its end.

    Args:
        eval_tensors: symbols that are computed over the data layer they come from.
        user_iter_callback: called after each batch with ``{unique name: [value]}`` and a dict of your own.
        user_epochs_done_callback: called after the last batch with that dict; what it returns (name -> number) is
            logged.
        tb_writer: a TensorBoard writer.
        tb_writer_func: called with the writer, what was returned, and the step, instead of one scalar a name.
        eval_step: every how many steps.
        eval_epoch: every how many epochs.
        eval_at_start: also before the first step is evaluated at step 0.

    Raises:
        TrainingError: neither ``eval_step`` nor ``eval_epoch``, or one that is not positive (also a ``ValueError``).
    """

    def __init__(
        self,
        eval_tensors: Sequence[Symbol],
        user_iter_callback: Callable[[dict[str, list[Any]], dict[str, Any]], object],
        user_epochs_done_callback: Callable[[dict[str, Any]], Mapping[str, Any] | None],
        tb_writer: Any = None,
        tb_writer_func: Callable[[Any, Any, int], object] | None = None,
        eval_step: int | None = 1,
        eval_epoch: int | None = None,
        eval_at_start: bool = True,
    ) -> None:
        if (eval_step is None and eval_epoch is None) or any(n is not None and n <= 0 for n in (eval_step, eval_epoch)):
            raise TrainingError(
                "an EvaluatorCallback needs to know every how many steps or epochs it evaluates",
                got=f"eval_step={eval_step}, eval_epoch={eval_epoch}",
                fix="eval_step=100, or eval_epoch=1",
            )
        self.eval_tensors = [eval_tensors] if isinstance(eval_tensors, Symbol) else list(eval_tensors)
        self.user_iter_callback, self.user_epochs_done_callback = user_iter_callback, user_epochs_done_callback
        self.tb_writer, self.tb_writer_func = tb_writer, tb_writer_func
        self.eval_step, self.eval_epoch, self.eval_at_start = eval_step, eval_epoch, eval_at_start
        self.global_var_dict: dict[str, Any] = {}

    def on_iteration_end(self) -> None:
        """Evaluate, if it is time."""
        if self.eval_step is not None and self.step % self.eval_step == 0 and (self.step > 0 or self.eval_at_start):
            self.evaluate()

    def on_epoch_end(self) -> None:
        """Evaluate, if it is time."""
        if self.eval_epoch is not None and (self.epoch_num + 1) % self.eval_epoch == 0:
            self.evaluate()

    def on_action_end(self) -> None:
        """Evaluate a last time."""
        self.evaluate()

    def evaluate(self) -> None:
        """Go over the data once."""
        self.global_var_dict.clear()
        for values in self.action.evaluate(self.eval_tensors):
            self.user_iter_callback({name: [value] for name, value in values.items()}, self.global_var_dict)
        found = self.user_epochs_done_callback(self.global_var_dict)
        if not isinstance(found, Mapping):
            return
        log.info("Evaluation at step %d: %s", self.step, ", ".join(f"{name} {value}" for name, value in found.items()))
        if self.tb_writer is not None and self.tb_writer_func is not None:
            self.tb_writer_func(self.tb_writer, found, self.step)
        elif self.tb_writer is not None:
            for name, value in found.items():
                self.tb_writer.add_scalar(name, value, self.step)
