"""The first generation's front door."""

from __future__ import annotations

import contextvars
import random
from typing import Any

import numpy as np
import pytest
import torch

import seaspeak
from seaspeak.core.callbacks import Callback, EvaluatorCallback, SimpleLogger, SimpleLossLoggerCallback
from seaspeak.core.errors import ConfigError, TrainingError
from seaspeak.core.factory import NeuralModuleFactory
from seaspeak.core.graph import NeuralGraph, Symbol
from seaspeak.core.modes import DeploymentFormat, DeviceType, OperationMode, Optimization
from seaspeak.tutorials import MSELoss, RealFunctionDataLayer, TaylorNet
from tests.core.quiet import quiet_logging  # noqa: F401  (a fixture)

pytestmark = pytest.mark.usefixtures("quiet_logging")


@pytest.fixture
def factory() -> NeuralModuleFactory:
    return NeuralModuleFactory(placement=DeviceType.CPU)


def program() -> tuple[RealFunctionDataLayer, TaylorNet, Symbol]:
    torch.manual_seed(0)
    np.random.seed(0)
    data, net = RealFunctionDataLayer(12, n=24), TaylorNet(dim=4)
    x, y = data()
    return data, net, MSELoss()(net(x), y)


PARAMS = {"num_epochs": 1, "lr": 1e-4}


def test_numbers_of_the_enumerations_are_nemos() -> None:
    assert {item.name: item.value for item in DeploymentFormat} == {
        "AUTO": 0,
        "PYTORCH": 1,
        "TORCHSCRIPT": 2,
        "ONNX": 3,
        "TRTONNX": 4,
        "JARVIS": 5,
    }
    assert {item.name: item.value for item in OperationMode} == {"training": 0, "evaluation": 1, "both": 2}
    assert [item.value for item in Optimization] == [0, 1, 2, 3]
    assert {item.name: item.value for item in DeviceType} == {"GPU": 1, "CPU": 2, "AllGpu": 3}


def test_without_a_gpu_the_cpu_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    factory = NeuralModuleFactory()
    assert factory.placement is DeviceType.CPU
    assert factory.device == torch.device("cpu")
    with pytest.raises(ValueError, match=r"there is no GPU.*\n +fix +placement=DeviceType\.CPU"):
        NeuralModuleFactory(placement=DeviceType.AllGpu)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert NeuralModuleFactory().device == torch.device("cuda")


@pytest.mark.parametrize("level", ["O2", "x2", Optimization.mxprO2])
def test_levels_may_be_text(level: Any) -> None:
    assert NeuralModuleFactory(optimization_level=level).optim_level is Optimization.mxprO2


@pytest.mark.parametrize("level", ["O4", "O", "full"])
def test_an_unknown_level_is_refused(level: str) -> None:
    with pytest.raises(ConfigError, match=f"Unknown optimization value {level}"):
        NeuralModuleFactory(optimization_level=level)


def test_a_seed_seeds_everything() -> None:
    def draw() -> tuple[float, float, float]:
        NeuralModuleFactory(random_seed=5, set_default=False)
        return torch.rand(1).item(), float(np.random.rand()), random.random()

    assert draw() == draw()
    assert torch.backends.cudnn.deterministic
    with pytest.raises(ValueError, match="random_seed asks for the same numbers"):
        NeuralModuleFactory(random_seed=1, cudnn_benchmark=True)


def test_the_default_factory_belongs_to_its_context() -> None:
    def inside() -> None:
        first = NeuralModuleFactory()
        assert NeuralModuleFactory.get_default_factory() is first
        NeuralModuleFactory(set_default=False)
        assert NeuralModuleFactory.get_default_factory() is first
        second = NeuralModuleFactory()
        assert NeuralModuleFactory.get_default_factory() is second
        NeuralModuleFactory.set_default_factory(first)
        assert NeuralModuleFactory.get_default_factory() is first
        NeuralModuleFactory.reset_default_factory()
        assert NeuralModuleFactory.get_default_factory() is None

    before = NeuralModuleFactory.get_default_factory()
    contextvars.copy_context().run(inside)
    assert NeuralModuleFactory.get_default_factory() is before


def test_modules_need_no_factory() -> None:
    contextvars.Context().run(lambda: TaylorNet(dim=2)(x=torch.ones(1, 1)))


def test_train_infer_and_reset(factory: NeuralModuleFactory) -> None:
    _, net, loss = program()
    before = net.fc1.weight.detach().clone()
    factory.train([loss], optimizer="sgd", optimization_params=PARAMS)
    assert not torch.equal(net.fc1.weight, before)
    assert factory.engine.state["step"] == 2
    assert len(factory.infer([loss])[0]) == 2
    assert len(factory.infer(loss)[0]) == 2  # type: ignore[arg-type]
    factory.infer([loss], cache=True, verbose=False)
    factory.clear_cache()
    factory.reset_trainer()
    assert factory.engine.state["step"] == 0


def test_a_single_symbol_is_a_list_of_one(factory: NeuralModuleFactory) -> None:
    _, _, loss = program()
    factory.train(loss, optimizer="adam", optimization_params=PARAMS, batches_per_step=2)  # type: ignore[arg-type]
    assert factory.engine.state["step"] == 1
    factory.train(loss, optimizer="adam", optimization_params=PARAMS, reset=True)  # type: ignore[arg-type]
    assert factory.engine.state["step"] == 2


def test_optimisers_by_name(factory: NeuralModuleFactory) -> None:
    _, net, loss = program()
    by_module = factory.create_optimizer("novograd", net, {"lr": 1.0})
    by_symbol = factory.create_optimizer("adam_w", [loss], {"lr": 1.0})
    assert by_module.param_groups[0]["betas"] == (0.95, 0.25)
    assert len(by_symbol.param_groups[0]["params"]) == 2
    with pytest.raises(LookupError, match="no optimizer is called 'adma'"):
        factory.create_optimizer("adma", net, {"lr": 1.0})


def test_only_the_losses_of_a_training_graph_are_minimised(factory: NeuralModuleFactory) -> None:
    data, net, _ = program()
    x, y = data()
    prediction = net(x)
    graph = NeuralGraph(outputs=[prediction, MSELoss()(prediction, y)])
    before = net.fc1.weight.detach().clone()
    factory.train(training_graph=graph, optimizer="sgd", optimization_params=PARAMS)
    assert not torch.equal(net.fc1.weight, before)
    single = NeuralGraph(outputs=MSELoss()(prediction, y))
    factory.train(training_graph=single, optimizer="sgd", optimization_params=PARAMS)
    with pytest.raises(TrainingError, match="tensors_to_optimize or training_graph, not both"):
        factory.train([prediction], graph)
    with pytest.raises(TrainingError, match="no output of the training graph is a LossType"):
        factory.train(training_graph=NeuralGraph(outputs=prediction))
    from seaspeak.core.graph import graph_input

    with pytest.raises(TrainingError, match="has a data layer among its modules"):
        factory.train(training_graph=NeuralGraph(outputs=net(graph_input("x", x.ntype))))


def test_eval_goes_once_over_the_data(factory: NeuralModuleFactory) -> None:
    _, _, loss = program()
    batches: list[Any] = []
    callback = EvaluatorCallback([loss], lambda values, found: batches.append(values), lambda found: None)
    factory.eval([callback])
    assert len(batches) == 2
    with pytest.raises(ValueError, match="needs at least one EvaluatorCallback"):
        factory.eval([])
    with pytest.raises(TypeError, match="EvaluatorCallbacks only"):
        factory.eval([SimpleLossLoggerCallback([loss])])  # type: ignore[list-item]


# ------------------------------------------------------------------------------------------------------- its callbacks


class Board:
    """Stands for TensorBoard's writer."""

    def __init__(self) -> None:
        self.written: list[tuple[str, int]] = []
        self.closed = False

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.written.append((name, step))

    def close(self) -> None:
        self.closed = True


def test_the_loss_is_shown_every_so_many_steps(factory: NeuralModuleFactory, caplog: pytest.LogCaptureFixture) -> None:
    data, _, loss = program()
    data.batch_size = 1
    shown: list[float] = []
    callback = SimpleLossLoggerCallback([loss], print_func=lambda values: shown.append(values[0].item()), step_freq=10)
    with caplog.at_level("INFO", logger="seaspeak"):
        factory.train([loss], callbacks=[callback], optimizer="sgd", optimization_params=PARAMS)
    assert len(shown) == 3
    messages = [record.getMessage() for record in caplog.records]
    assert [text for text in messages if text.startswith("Step")] == ["Step: 0", "Step: 10", "Step: 20"]
    assert messages[0] == "Starting ....."
    assert SimpleLossLoggerCallback(loss).step_freq == 25


def test_what_tensorboard_is_given(factory: NeuralModuleFactory) -> None:
    _, _, loss = program()
    board, custom = Board(), []
    callback = SimpleLossLoggerCallback(
        [loss],
        get_tb_values=lambda values: [("loss", values[0])],
        log_to_tb_func=lambda writer, values, step: custom.append(step),
        step_freq=1,
        tb_writer=board,
    )
    factory.train([loss], callbacks=[callback], optimizer="sgd", optimization_params=PARAMS)
    assert custom == [0, 1]
    assert board.closed
    assert board.written == [
        *((name, step) for step in (0, 1) for name in ("loss", "misc/step_time", "param/lr")),
        ("misc/epoch_time", 2),
    ]


def test_the_simple_logger_takes_names_and_symbols(
    factory: NeuralModuleFactory, caplog: pytest.LogCaptureFixture
) -> None:
    data, net, loss = program()
    prediction = net(data().x)
    prediction.rename("another")
    with caplog.at_level("INFO", logger="seaspeak"):
        factory.train(
            [loss],
            callbacks=[SimpleLogger(step_freq=2, tensors_to_log=["loss", prediction])],
            optimizer="sgd",
            optimization_params=PARAMS,
        )
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["loss", "another"]


def test_an_evaluation_may_be_written_by_a_function_of_ones_own(factory: NeuralModuleFactory) -> None:
    _, _, loss = program()
    seen: list[Any] = []
    callback = EvaluatorCallback(
        [loss],
        lambda values, found: None,
        lambda found: {"error": 1.0},
        tb_writer="writer",
        tb_writer_func=lambda writer, values, step: seen.append((writer, values, step)),
    )
    factory.eval([callback])
    assert seen == [("writer", {"error": 1.0}, 0)]


def test_the_base_of_callbacks_does_nothing_by_itself() -> None:
    with pytest.raises(NotImplementedError):
        Callback().notify("step_end", None)  # type: ignore[arg-type]
    assert Callback().wanted(0) == ()


def test_the_package_offers_what_the_article_uses() -> None:
    assert seaspeak.core.NeuralModuleFactory is NeuralModuleFactory
    assert seaspeak.core.SimpleLossLoggerCallback is SimpleLossLoggerCallback
    assert seaspeak.tutorials.TaylorNet is TaylorNet
    assert callable(seaspeak.logging.info)
