"""Graphs: what is found by walking back from symbols, as one module.

A graph has ports, runs, nests and compiles, and its state is that of the modules in it. It keeps a flat list of steps
rather than the symbols it was made from, so that it can be copied, pickled and written down.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from seaspeak.core.data_layer import DataLayer
from seaspeak.core.errors import GraphError, nearest
from seaspeak.core.graph.draw import mermaid
from seaspeak.core.graph.steps import Slot, Step, declaration, fill, innermost, slots_in
from seaspeak.core.graph.trace import Outputs, Trace, as_list
from seaspeak.core.module import NeuralModule
from seaspeak.core.ports import PortTypes
from seaspeak.core.symbols import Call, Symbol, named_arguments, packed
from seaspeak.core.typing import typecheck

Order = tuple[tuple[Step, tuple[int, ...]], ...]


class NeuralGraph(NeuralModule):
    """The modules and calls that some symbols depend on, as one module.

    Args:
        outputs: one symbol, a list of them, or a dict name -> symbol. In a list, each is called by its ``name``; where
            two are called alike, the later one is ``<step>_<module>_<port>``.
        inputs: symbols made by ``graph_input``, in the order of the graph's arguments; those that are needed and not
            listed follow in the order in which they are found.
        name: what drawings and other graphs call it.

    Raises:
        GraphError: an output is no symbol, or two inputs have one name.
    """

    def __init__(self, *, outputs: Outputs, inputs: Iterable[Symbol] = (), name: str | None = None) -> None:
        super().__init__(name=name)
        self.__dict__["_constructor_call"] = ((), {})  # symbols refer to modules that need not be part of this graph
        trace = Trace(self)
        symbols = as_list(outputs := outputs if isinstance(outputs, (Symbol, Mapping)) else list(outputs))
        for symbol in inputs:
            trace.add_input(symbol)
        for symbol in symbols:
            trace.add(symbol)
        self.steps: tuple[Step, ...] = tuple(trace.steps)
        self.inputs: dict[str, Slot] = trace.inputs
        self.outputs: dict[str, Slot] = trace.output_slots(outputs)
        self._input_types = trace.input_types
        self._output_types = {name: declaration(s) for name, s in zip(self.outputs, symbols, strict=True)}
        self._places = {**self._batch_slots(), **self.inputs}
        self._orders: dict[tuple[str, ...], Order] = {}

    @property
    def input_types(self) -> PortTypes:
        """The inputs of the graph."""
        return self._input_types

    @property
    def output_types(self) -> PortTypes:
        """The outputs of the graph."""
        return self._output_types

    def __len__(self) -> int:
        """How many different modules there are."""
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the modules."""
        return iter(self._modules)

    def __getitem__(self, name: str) -> NeuralModule:
        """Return the module of this name."""
        if name not in self._modules:
            hint = nearest(name, self._modules) or "it has " + ", ".join(self._modules)
            raise KeyError(f"the graph has no module {name!r}; {hint}")
        return self._modules[name]  # type: ignore[return-value]  # a graph holds neural modules alone

    @property
    def data_layer(self) -> DataLayer | None:
        """The module that gives the batches, if the graph has one.

        Raises:
            GraphError: it has several.
        """
        found = [name for name, module in self._modules.items() if isinstance(module, DataLayer)]
        if len(found) > 1:
            raise GraphError(
                f"a graph takes its batches from one data layer, this one has {len(found)}: {', '.join(found)}",
                fix="put the data into one data layer with the ports of both",
            )
        return self[found[0]] if found else None  # type: ignore[return-value]  # a DataLayer, as found above

    @typecheck()
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute all outputs: one value, or a named tuple ``NeuralGraphOutput``."""
        values = self.run({**dict(zip(self.inputs, args, strict=False)), **kwargs})
        return next(iter(values.values())) if len(values) == 1 else packed(self, values)

    def run(
        self,
        inputs: Mapping[str, Any] | None = None,
        outputs: Iterable[str] | None = None,
        *,
        cache: dict[int, Any] | None = None,
    ) -> dict[str, Any]:
        """Compute some outputs, and only what they need.

        Args:
            inputs: input name -> value; in a graph with a data layer, also output port of the data layer -> value.
            outputs: names of the outputs; all of them if not given.
            cache: keeps every value that is computed; what is in it is not computed again. An empty dict starts one.

        Raises:
            GraphError: an output or input that the graph does not have, or an input that is missing.
        """
        wanted = tuple(self.outputs if outputs is None else outputs)
        self._require_known(wanted)
        values: dict[int, Any] = {} if cache is None else cache
        self._place(inputs or {}, values)
        if cache is None:
            for step, finished in self._order(wanted):
                self._execute(step, values)
                for number in finished:
                    values.pop(number, None)
        else:
            for step in self._needed(wanted, known=set(values)):
                self._execute(step, values)
        return {name: self._value(name, values) for name in wanted}

    def batches(self, device: torch.device | str = "cpu", epoch: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield one epoch of batches of the graph's data layer, each as ``run`` takes it; see ``DataLayer.batches``.

        Raises:
            GraphError: the graph has no data layer.
        """
        layer = self.data_layer
        if layer is None:
            raise GraphError("this graph has no data layer", fix="call it with its inputs: " + ", ".join(self.inputs))
        return layer.batches(device, epoch)

    def record(self, *args: Any, **kwargs: Any) -> Any:
        """Repeat the calls of this graph with symbols: the same modules, new symbols."""
        given = named_arguments(self, args, kwargs)
        values = {slot.number: given[name] for name, slot in self.inputs.items() if name in given}
        for step in self.steps:
            arguments = {port: fill(source, values) for port, source in self._given(step, values).items()}
            call = Call(self[step.module], arguments, step.declared)
            for port, slot in step.outputs.items():
                values[slot.number] = call.outputs[port]
        outputs = {name: values[slot.number] for name, slot in self.outputs.items()}
        for name, symbol in outputs.items():
            symbol.name = name
        return packed(self, outputs)

    def draw(self) -> str:
        """Return a drawing in the language of Mermaid, which code hosts and editors show as a picture."""
        return mermaid(self)

    def _batch_slots(self) -> dict[str, Slot]:
        slots: dict[str, Slot] = {}
        for step in self.steps:
            if isinstance(self._modules[step.module], DataLayer):
                slots.update(step.outputs)
        return slots

    def _require_known(self, wanted: Iterable[str]) -> None:
        for name in wanted:
            if name not in self.outputs:
                raise GraphError(
                    f"the graph has no output {name!r}",
                    expected=", ".join(self.outputs),
                    fix=nearest(name, self.outputs),
                )

    def _place(self, inputs: Mapping[str, Any], values: dict[int, Any]) -> None:
        for name, value in inputs.items():
            if name not in self._places:
                raise GraphError(
                    f"the graph has no input {name!r}",
                    expected=", ".join(self._places) or "no inputs",
                    fix=nearest(name, self._places),
                )
            values[self._places[name].number] = value

    def _order(self, wanted: tuple[str, ...]) -> Order:
        """Return the steps to execute, each with the slots that nobody needs after it; remembered for each question."""
        if wanted not in self._orders:
            kept = {self.outputs[name].number for name in wanted}
            order: list[tuple[Step, tuple[int, ...]]] = []
            for step in reversed(self._needed(wanted, known=set())):
                touched = {*step.needs, *step.gives}
                order.append((step, tuple(sorted(touched - kept))))
                kept |= touched
            self._orders[wanted] = tuple(reversed(order))
        return self._orders[wanted]

    def _needed(self, wanted: Iterable[str], *, known: set[int]) -> list[Step]:
        """Return the steps that some outputs need, in order, without those whose values are known."""
        missing = {self.outputs[name].number for name in wanted} - known
        needed = []
        for step in reversed(self.steps):
            if not missing.isdisjoint(step.gives):
                needed.append(step)
                missing |= set(step.needs) - known
        return needed[::-1]

    def _execute(self, step: Step, values: dict[int, Any]) -> None:
        module = self._modules[step.module]
        if isinstance(module, DataLayer):
            self._require_batch(step, values)
            return
        arguments = {port: fill(source, values) for port, source in self._given(step, values).items()}
        # torch leaves __call__ untyped
        result = module(**arguments) if arguments else nn.Module.__call__(module)  # type: ignore[misc]
        step.store(result, values)

    def _given(self, step: Step, values: Mapping[int, Any]) -> dict[str, Any]:
        """Return the arguments of a step without those that come from optional inputs which were not given."""
        missing = [number for number in step.needs if number not in values]
        if not missing:
            return step.arguments
        for name, slot in self.inputs.items():
            if slot.number in missing and not innermost(self._input_types[name]).optional:
                raise GraphError(
                    f"the graph needs its input {name!r}", expected=innermost(self._input_types[name]).text
                )
        return {port: s for port, s in step.arguments.items() if not set(missing) & set(slots_in(s))}

    def _require_batch(self, step: Step, values: dict[int, Any]) -> None:
        missing = [port for port, slot in step.outputs.items() if slot.number not in values]
        if len(missing) == len(step.outputs):
            raise GraphError(
                f"the graph needs a batch of {step.module}", fix="for batch in graph.batches(): graph.run(batch)"
            )

    def _value(self, name: str, values: Mapping[int, Any]) -> Any:
        number = self.outputs[name].number
        if number not in values:
            raise GraphError(f"output {name!r} of the graph has no value: what it is made from was not given")
        return values[number]
