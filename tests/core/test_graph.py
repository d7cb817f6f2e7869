"""Graphs: what calls with symbols record, and how it runs, nests and draws itself."""

from __future__ import annotations

import copy
import pickle
from collections import namedtuple
from typing import Annotated, Any, NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from seaspeak.core.data_layer import DataLayer
from seaspeak.core.errors import GraphError, NeuralTypeError
from seaspeak.core.graph import NeuralGraph, NmTensor, Symbol, graph_input
from seaspeak.core.module import NeuralModule
from seaspeak.core.types import ChannelType, LabelsType, LossType, NeuralType
from seaspeak.core.types import NeuralTypeComparisonResult as Result
from seaspeak.core.typing import typecheck

CHANNELS = NeuralType("B D", ChannelType())
Channels = Annotated[Tensor, CHANNELS]
Labels = Annotated[Tensor, NeuralType("B D", LabelsType())]


class Points(NamedTuple):
    x: Channels
    y: Labels


class Data(DataLayer):
    batch_size = 4

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name=name)
        x = torch.arange(8.0).view(8, 1)
        self.dataset = TensorDataset(x, 2 * x)

    def forward(self) -> Points:
        return Points(*self.dataset.tensors)


class Scale(NeuralModule):
    """Counts how often it computes."""

    def __init__(self, factor: float = 2.0, name: str | None = None) -> None:
        super().__init__(name=name)
        self.factor = nn.Parameter(torch.tensor(factor))
        self.calls = 0

    @typecheck()
    def forward(self, x: Channels) -> Annotated[Tensor, CHANNELS, "y"]:
        self.calls += 1
        return self.factor * x


class Mean(NeuralModule):
    """Declared as NeMo's classes declare their ports, with an optional input and two outputs."""

    @property
    def input_types(self) -> dict[str, Any]:
        return {"a": CHANNELS, "b": CHANNELS, "weight": NeuralType("B D", ChannelType(), optional=True)}

    @property
    def output_types(self) -> dict[str, Any]:
        return {"mean": CHANNELS, "gap": CHANNELS}

    @typecheck()
    def forward(self, a: Tensor, b: Tensor, weight: Tensor | float = 1.0) -> tuple[Tensor, Tensor]:
        return weight * (a + b) / 2, a - b


class Stack(NeuralModule):
    @typecheck()
    def forward(
        self, parts: list[Channels], options: dict[str, Any] | None = None
    ) -> Annotated[Tensor, CHANNELS, "stacked"]:
        return torch.cat(parts, dim=1) + (options or {}).get("shift", 0)


class Squared(NeuralModule):
    @typecheck()
    def forward(
        self, prediction: Channels, target: Labels
    ) -> Annotated[Tensor, NeuralType(elements_type=LossType()), "loss"]:
        return ((prediction - target) ** 2).mean()


X = torch.tensor([[1.0], [2.0]])


def test_a_call_with_symbols_records_and_a_call_with_tensors_computes() -> None:
    scale, x = Scale(), graph_input("x", CHANNELS)
    recorded = scale(x=x)
    assert isinstance(recorded, Symbol)
    assert scale.calls == 0
    assert torch.equal(scale(x=X), 2 * X)
    assert NmTensor is Symbol


def test_a_data_layer_records_when_called() -> None:
    data = Data()
    x, y = data()
    assert isinstance(data(), Points)
    assert (x.name, y.name) == ("x", "y")
    assert x.neural_type == CHANNELS


def test_what_a_symbol_knows() -> None:
    data, scale = Data(), Scale(name="scale")
    x, _ = data()
    y = scale(x)
    assert y.producer is scale
    assert (y.producer_name, y.output_port_name, y.name) == ("scale", "y", "y")
    assert y.producer_args == {"x": x}
    assert y.ntype == y.neural_type == CHANNELS
    assert y.unique_name == y.unique_name
    assert y.unique_name.startswith("y~~~scale~~~")
    assert y.unique_name != scale(x).unique_name
    assert y.compare(x) is Result.SAME
    assert CHANNELS.compare(y) is Result.SAME
    assert repr(y) == "Symbol('y', ChannelType, axes B D, from scale)"
    assert graph_input("z", CHANNELS).producer_name == "graph inputs"
    y.rename("prediction")
    assert y.name == "prediction"
    with pytest.raises(GraphError, match="the name 'loss' stands for the sum"):
        y.rename("loss")


def test_several_outputs_come_as_a_named_tuple_of_the_modules_name() -> None:
    x = graph_input("x", CHANNELS)
    recorded = Mean()(a=x, b=x)
    assert type(recorded).__name__ == "MeanOutput"
    assert recorded._fields == ("mean", "gap")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: Squared()(prediction=x), NeuralTypeError, "Squared needs input 'target'"),
        (lambda x: Squared()(x, x), NeuralTypeError, "input 'target' of Squared does not accept graph input 'x'"),
        (lambda x: Scale()(z=x), NeuralTypeError, "Wrong input port name: z"),
        (lambda x: Scale()(x, x), GraphError, "Scale takes at most 1 arguments by position, got 2"),
        (lambda x: Stack()([[x]]), NeuralTypeError, "is nested in a list of lists"),
        (lambda x: Stack()(x), NeuralTypeError, "is nested in no list"),
        (lambda x: torch.relu(x), GraphError, "relu was called with a symbol.*\n +fix +put the computation"),
        (lambda x: NeuralGraph(outputs=[X]), GraphError, "outputs of a graph are symbols.*\n +got +Tensor"),
        (lambda x: NeuralGraph(outputs=[]), GraphError, "at least one output"),
        (lambda x: NeuralGraph(outputs=x, inputs=[x, x]), GraphError, "two inputs of a graph are called 'x'"),
        (lambda x: NeuralGraph(outputs=x, inputs=[Scale()(x)]), GraphError, "cannot be an input of a graph"),
    ],
)
def test_mistakes_are_found_while_building(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(graph_input("x", CHANNELS))


def test_a_module_that_declares_nothing_cannot_record() -> None:
    class Silent(NeuralModule):
        def forward(self, x: Tensor) -> Tensor:
            return x

    class NoOutput(NeuralModule):
        def forward(self, x: Channels) -> Tensor:
            return x

    with pytest.raises(GraphError, match="Silent cannot be called with symbols: it declares no inputs"):
        Silent()(graph_input("x", CHANNELS))
    with pytest.raises(GraphError, match="it declares no outputs"):
        NoOutput()(graph_input("x", CHANNELS))


def test_checks_that_are_off_are_off_for_symbols_too() -> None:
    x = graph_input("x", NeuralType("B D", LabelsType()))
    with typecheck.disable_semantic_checks():
        assert Scale()(x=x).name == "y"
        with pytest.raises(NeuralTypeError, match="Wrong input port name"):
            Scale()(z=x)
    with typecheck.disable_checks():
        assert Scale()(z=x).name == "y"


def test_a_graph_is_a_module_with_ports() -> None:
    x = graph_input("x", CHANNELS)
    first, second = Scale(2.0), Scale(3.0)
    graph = NeuralGraph(outputs=second(first(x)))
    assert graph.input_types == {"x": CHANNELS}
    assert graph.output_types == {"y": CHANNELS}
    assert torch.equal(graph(x=X), 6 * X)
    assert torch.equal(graph(X), 6 * X)
    assert graph(X).neural_type == CHANNELS
    assert list(graph.state_dict()) == ["scale0.factor", "scale1.factor"]
    assert graph.num_weights == 2
    assert (len(graph), list(graph), bool(graph)) == (2, ["scale0", "scale1"], True)
    assert graph["scale0"] is first
    with pytest.raises(KeyError, match="no module 'scale2'; did you mean"):
        graph["scale2"]
    with pytest.raises(NeuralTypeError, match="NeuralGraph needs input 'x'"):
        graph(None)


def test_a_module_used_twice_is_one_module_and_two_steps() -> None:
    x = graph_input("x", CHANNELS)
    scale = Scale(3.0)
    graph = NeuralGraph(outputs=scale(scale(x)))
    assert (len(graph), len(graph.steps)) == (1, 2)
    assert torch.equal(graph(x=X), 9 * X)


def test_the_same_call_twice_is_one_step() -> None:
    data, scale = Data(), Scale()
    x, _ = data()
    _, y = data()
    graph = NeuralGraph(outputs=[scale(x), scale(x), y])
    assert [step.module for step in graph.steps] == ["data0", "scale0"]
    next(iter(graph.run(next(graph.batches()))))
    assert scale.calls == 1


def test_names_that_were_given_are_kept_and_must_be_free() -> None:
    x = graph_input("x", CHANNELS)
    graph = NeuralGraph(outputs=Scale(name="encoder")(Scale()(x)), name="net")
    assert list(graph) == ["scale0", "encoder"]
    assert graph.name == "net"
    for taken in ("forward", "a.b"):
        with pytest.raises(GraphError, match=f"cannot be called '{taken}'"):
            NeuralGraph(outputs=Scale(name=taken)(x))
    with pytest.raises(GraphError, match="cannot be called 'twin'"):
        NeuralGraph(outputs=Scale(name="twin")(Scale(name="twin")(x)))


def test_outputs_of_one_name_get_longer_ones() -> None:
    x = graph_input("x", CHANNELS)
    scale = Scale()
    first = scale(x)
    graph = NeuralGraph(outputs=[first, scale(first), x, graph_input("x2", CHANNELS)])
    assert list(graph.outputs) == ["y", "1_scale0_y", "x", "x2"]
    assert graph(x=X, x2=X)[1].tolist() == (4 * X).tolist()
    assert list(NeuralGraph(outputs=[x, x]).outputs) == ["x", "input_x"]
    named = NeuralGraph(outputs={"once": first, "twice": scale(first)})
    assert torch.equal(named(x=X).twice, 4 * X)
    assert type(named(x=X)).__name__ == "NeuralGraphOutput"


def test_inputs_come_in_the_order_given() -> None:
    a, b = graph_input("a", CHANNELS), graph_input("b", CHANNELS)
    outputs = Mean()(b=b, a=a)
    assert list(NeuralGraph(outputs=outputs).input_types) == ["b", "a"]
    graph = NeuralGraph(outputs=iter(outputs), inputs=[a, b])
    assert list(graph.input_types) == ["a", "b"]
    assert graph(X, 3 * X).gap.tolist() == (-2 * X).tolist()


def test_only_what_is_asked_for_is_computed() -> None:
    x = graph_input("x", CHANNELS)
    left, right, last = Scale(2.0), Scale(3.0), Scale(5.0)
    graph = NeuralGraph(outputs={"left": left(x), "right": last(right(x))})
    assert torch.equal(graph.run({"x": X}, ["left"])["left"], 2 * X)
    assert (left.calls, right.calls, last.calls) == (1, 0, 0)
    assert graph.run({"x": X}, []) == {}
    assert list(graph.run({"x": X})) == ["left", "right"]
    assert (left.calls, right.calls, last.calls) == (2, 1, 1)


def test_a_cache_keeps_what_was_computed() -> None:
    x = graph_input("x", CHANNELS)
    first, second = Scale(2.0), Scale(3.0)
    middle = first(x)
    graph = NeuralGraph(outputs={"middle": middle, "end": second(middle)})
    cache: dict[int, Any] = {}
    graph.run({"x": X}, ["middle"], cache=cache)
    assert torch.equal(graph.run(outputs=["end"], cache=cache)["end"], 6 * X)
    graph.run(outputs=["middle", "end"], cache=cache)
    assert (first.calls, second.calls) == (1, 1)


def test_values_that_nobody_needs_any_more_are_let_go() -> None:
    import weakref

    x = graph_input("x", CHANNELS)
    made: list[Any] = []

    class Watch(Scale):
        def forward(self, x: Tensor) -> Tensor:
            made.append(weakref.ref(result := super().forward(x)))
            alive.append(sum(ref() is not None for ref in made))
            return result

    alive: list[int] = []
    symbol = x
    for _ in range(5):
        symbol = Watch()(symbol)
    with torch.no_grad():
        NeuralGraph(outputs=symbol)(x=X)
    assert max(alive) == 2


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda graph: graph.run({"x": X}, ["mean_"]), "no output 'mean_'.*\n.*\n +fix +did you mean 'mean'"),
        (lambda graph: graph.run({"X": X}), "the graph has no input 'X'"),
        (lambda graph: graph.run({}), "the graph needs its input 'x'\n +expected ChannelType, axes B D"),
        (lambda graph: graph.batches(), "no data layer.*\n +fix +call it with its inputs: x, weight"),
    ],
)
def test_mistakes_in_running(run: Any, message: str) -> None:
    x, weight = graph_input("x", CHANNELS), graph_input("weight", CHANNELS.as_optional())
    graph = NeuralGraph(outputs=Mean()(a=x, b=x, weight=weight), inputs=[x, weight])
    with pytest.raises(GraphError, match=message):
        run(graph)


def test_an_optional_input_may_be_left_out() -> None:
    x, weight = graph_input("x", CHANNELS), graph_input("weight", CHANNELS.as_optional())
    graph = NeuralGraph(outputs={"mean": Mean()(a=x, b=x, weight=weight).mean, "weight": weight})
    assert graph.run({"x": X}, ["mean"])["mean"].tolist() == X.tolist()
    assert graph.run({"x": X, "weight": 3 * X}, ["mean"])["mean"].tolist() == (3 * X * X).tolist()
    with pytest.raises(GraphError, match="output 'weight' of the graph has no value"):
        graph.run({"x": X})


def test_lists_constants_and_dicts_are_arguments_too() -> None:
    x = graph_input("x", CHANNELS)
    stacked = Stack()([x, Scale()(x)], options={"shift": 1})
    graph = NeuralGraph(outputs=stacked)
    assert graph(x=X).tolist() == [[2, 3], [3, 5]]
    assert graph.draw().count("→ parts") == 2


def test_a_symbol_may_stand_for_a_list() -> None:
    class Split(NeuralModule):
        def forward(self, x: Channels) -> Annotated[list[Tensor], [CHANNELS], "parts"]:
            return list(x.split(1))

    x = graph_input("x", CHANNELS)
    parts = Split()(x)
    graph = NeuralGraph(outputs=Stack()(parts))
    assert graph(x=X).tolist() == [[1.0, 2.0]]
    assert NeuralGraph(outputs=parts).output_types == {"parts": [CHANNELS]}
    with pytest.raises(NeuralTypeError, match="is nested in a list"):
        Scale()(parts)


def test_a_graph_with_a_data_layer_runs_on_its_batches() -> None:
    data, scale, loss = Data(), Scale(), Squared()
    x, y = data()
    graph = NeuralGraph(outputs={"loss": loss(scale(x), y), "prediction": scale(x)})
    assert graph.data_layer is data
    assert graph.input_types == {}
    losses = [graph.run(batch, ["loss"])["loss"].item() for batch in graph.batches()]
    assert losses == [0.0, 0.0]
    with pytest.raises(GraphError, match=r"needs a batch of data0.*\n +fix +for batch in graph\.batches"):
        graph.run()


def test_a_batch_carries_the_types_of_the_data_layer() -> None:
    batch = next(Data().batches())
    assert list(batch) == ["x", "y"]
    assert batch["y"].neural_type == NeuralType("B D", LabelsType())
    assert len(Data()) == 8


def test_batches_of_one_tensor_of_dicts_and_from_iterators() -> None:
    class Single(DataLayer):
        @property
        def output_types(self) -> dict[str, Any]:
            return {"x": CHANNELS}

    single, named, pairs = Single(), Data(), Data()
    single.dataset = [torch.zeros(1), torch.ones(1)]
    assert [batch["x"].item() for batch in single.batches()] == [0, 1]
    named.dataset, named.data_iterator = None, [{"y": X, "x": 2 * X}]
    assert next(named.batches())["x"].tolist() == (2 * X).tolist()
    Pair = namedtuple("Pair", "x y")
    pairs.dataset, pairs.data_iterator = None, [Pair(X, [X])]
    with pytest.raises(NeuralTypeError, match="output 'y' of Data is nested in a list"):
        next(pairs.batches())
    pairs.data_iterator = None
    with pytest.raises(GraphError, match="Data has no data"):
        next(pairs.batches())


def test_two_data_layers_are_one_too_many() -> None:
    (x, _), (_, y) = Data()(), Data()()
    graph = NeuralGraph(outputs=Squared()(x, y))
    with pytest.raises(GraphError, match="one data layer, this one has 2: data0, data1"):
        graph.batches()


def test_a_module_without_inputs_that_is_no_data_layer_computes_in_a_graph() -> None:
    class Prior(NeuralModule):
        def forward(self) -> Annotated[Tensor, CHANNELS, "prior"]:
            return torch.ones(2, 1)

    x = graph_input("x", CHANNELS)
    graph = NeuralGraph(outputs=Mean()(x, Prior()()).mean)
    assert graph(x=X).tolist() == [[1.0], [1.5]]


def test_a_graph_called_with_symbols_repeats_its_calls() -> None:
    x = graph_input("x", CHANNELS)
    scale = Scale(3.0)
    inner = NeuralGraph(outputs={"end": scale(scale(x)), "start": scale(x)})
    data = Data()
    points = data()
    recorded = inner(x=points.x)
    assert recorded._fields == ("end", "start")
    assert recorded.end.producer is scale
    outer = NeuralGraph(outputs=Squared()(recorded.end, points.y))
    assert list(outer) == ["data0", "scale0", "squared0"]
    assert [step.module for step in outer.steps] == ["data0", "scale0", "scale0", "squared0"]
    values = outer.run(next(outer.batches()))
    assert values["loss"] == ((9 - 2) ** 2 * torch.arange(4.0) ** 2).mean()
    with pytest.raises(NeuralTypeError, match="input 'x' of NeuralGraph does not accept output 'y' of Data"):
        inner(x=points.y)


def test_a_graph_with_data_called_without_arguments_repeats_itself() -> None:
    data = Data()
    x, y = data()
    graph = NeuralGraph(outputs=[Scale()(x), y])
    again = graph()
    assert [symbol.name for symbol in again] == ["y", "0_data0_y"]
    assert again[1].producer is data


def test_an_optional_input_may_stay_open_in_a_nested_graph() -> None:
    x, weight = graph_input("x", CHANNELS), graph_input("weight", CHANNELS.as_optional())
    inner = NeuralGraph(outputs=Mean()(a=x, b=x, weight=weight).mean, inputs=[x, weight])
    outer = NeuralGraph(outputs=inner(graph_input("x", CHANNELS)))
    assert outer(x=X).tolist() == X.tolist()


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda graph: pickle.loads(pickle.dumps(graph))])
def test_a_copy_has_its_own_weights(duplicate: Any) -> None:
    x = graph_input("x", CHANNELS)
    scale = Scale(3.0)
    graph = NeuralGraph(outputs=scale(scale(x)))
    other = duplicate(graph)
    assert torch.equal(other(x=X), 9 * X)
    with torch.no_grad():
        scale.factor.zero_()
    assert torch.equal(other(x=X), 9 * X)
    assert torch.equal(graph(x=X), 0 * X)


def test_deep_graphs_can_be_traced_and_copied() -> None:
    x = symbol = graph_input("x", CHANNELS)
    scale = Scale(1.0)
    for _ in range(2000):
        symbol = scale(symbol)
    graph = NeuralGraph(outputs=symbol, inputs=[x])
    assert len(graph.steps) == 2000
    assert len(copy.deepcopy(graph).steps) == 2000


def test_a_graph_compiles_and_exports() -> None:
    x = graph_input("x", CHANNELS)

    class Double(NeuralModule):
        def forward(self, x: Channels) -> Annotated[Tensor, CHANNELS, "y"]:
            return x + x

    graph = NeuralGraph(outputs=Double()(Double()(x)))
    compiled = torch.compile(graph, backend="eager", fullgraph=True)
    assert torch.equal(compiled(x=X), 4 * X)
    program = torch.export.export(graph, (), {"x": X})
    assert [str(node.target) for node in program.graph.nodes if node.op == "call_function"] == ["aten.add.Tensor"] * 2


def test_the_drawing_shows_steps_ports_and_types() -> None:
    data = Data()
    x, y = data()
    prediction = Scale(name="net")(x)
    graph = NeuralGraph(outputs={"prediction": prediction, "loss": Squared()(prediction, y)})
    assert graph.draw().splitlines() == [
        "flowchart LR",
        '    step0["data0<br/>Data"]',
        '    step1["net<br/>Scale"]',
        '    step0 -- "x<br/>ChannelType, axes B D" --> step1',
        '    step2["squared0<br/>Squared"]',
        '    step1 -- "y → prediction<br/>ChannelType, axes B D" --> step2',
        '    step0 -- "y → target<br/>LabelsType, axes B D" --> step2',
        '    out0(["prediction"])',
        '    step1 -- "y → prediction<br/>ChannelType, axes B D" --> out0',
        '    out1(["loss"])',
        '    step2 -- "loss<br/>LossType" --> out1',
    ]
    lists = NeuralGraph(outputs=Stack()([graph_input("x", CHANNELS)]))
    assert '    in0(["x"])' in lists.draw()


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=12), st.data())
def test_a_graph_computes_what_its_modules_compute_by_hand(links: list[tuple[int, int]], data: st.DataObject) -> None:
    """Random graphs: each step takes the mean, or the gap, of two earlier values."""
    mean = Mean()
    symbols: list[Any] = [graph_input("x", CHANNELS)]
    values = [X]
    for first, second in links:
        a, b = first % len(symbols), second % len(symbols)
        symbols.extend(mean(symbols[a], symbols[b]))
        values.extend(mean(a=values[a], b=values[b]))
    wanted = data.draw(st.lists(st.sampled_from(range(len(symbols))), min_size=1, max_size=4, unique=True))
    graph = NeuralGraph(outputs={f"o{i}": symbols[i] for i in wanted}, inputs=symbols[:1])
    for name, value in graph.run({"x": X}).items():
        assert torch.equal(value, values[int(name[1:])])
