"""The loop behind ``nf.train``: NeMo 0.11's numbers, its order of events, and where it would hang or go wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from seaspeak.core.callbacks import (
    ActionState,
    NeMoCallback,
    SimpleLossLoggerCallback,
)
from seaspeak.core.errors import SeaspeakError, TrainingError
from seaspeak.core.graph import NeuralGraph, Symbol
from seaspeak.core.modes import Optimization
from seaspeak.core.module import Loss, NeuralModule
from seaspeak.core.types import ChannelType, LossType, NeuralType
from seaspeak.core.typing import typecheck
from seaspeak.training.engine import Engine
from seaspeak.training.lr_policies import CosineAnnealing
from seaspeak.tutorials import L1Loss, MSELoss, RealFunctionDataLayer, TaylorNet
from tests.fixture import Fixture
from tests.training.programs import CPU, Diary, program, train


class Curve(NeMoCallback):
    """Keeps loss and learning rate of every step."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.rates: list[float] = []

    def on_step_end(self, state: ActionState) -> None:
        self.losses.append(state["tensors"].get_tensor("loss").item())
        self.rates.append(state["optimizers"][0].param_groups[0]["lr"])


# -------------------------------------------------------------------------------------- NeMo's numbers


@pytest.mark.parametrize("name", ["sgd", "adam", "novograd_cosine"])
def test_training_and_inference_give_nemos_numbers(shared: Path, name: str) -> None:
    fixture = Fixture(shared / "fixtures" / "core" / "v011_dag_train_infer")
    arrays, settings = fixture.group(name), dict(fixture.config["optimizers"][name])
    data, net = RealFunctionDataLayer(fixture.config["batch_size"]), TaylorNet(fixture.config["dim"])
    data.dataset = TensorDataset(torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"]))
    net.load_state_dict(
        {f"fc1.{part}": torch.from_numpy(arrays[f"initial_{part}"]) for part in ("weight", "bias")}, strict=True
    )
    x, y = data()
    prediction = net(x=x)
    loss = MSELoss()(predictions=prediction, target=y)
    policy = CosineAnnealing(total_steps=12, warmup_steps=3, min_lr=1e-4) if settings.pop("lr_policy", None) else None
    curve = Curve()
    params = {"num_epochs": fixture.config["num_epochs"], **settings}
    engine = train([loss], optimizer=name.split("_")[0], params=params, callbacks=[curve], lr_policy=policy)

    fixture.assert_close(f"{name}/losses", np.array(curve.losses, dtype=np.float32))
    fixture.assert_close(f"{name}/lr", np.array(curve.rates, dtype=np.float32))
    fixture.assert_close(f"{name}/final_weight", net.fc1.weight)
    fixture.assert_close(f"{name}/final_bias", net.fc1.bias)
    predictions, losses = engine.infer([prediction, loss])
    fixture.assert_close(f"{name}/infer_y_pred", torch.cat(predictions))
    fixture.assert_close(f"{name}/infer_loss", torch.stack(losses))


# --------------------------------------------------------------------------------- the order of events


def test_events_come_in_nemos_order() -> None:
    _, _, loss = program(batches=2)
    diary = Diary()
    train([loss], params={"num_epochs": None, "max_steps": 3}, callbacks=[diary])
    steps = [("step_start", "batch_start", "batch_end", "step_end")]
    expected = [("action_start", 0, 0), ("epoch_start", 0, 0)]
    expected += [(event, step, 0) for step in (0, 1) for event in steps[0]]
    expected += [("epoch_end", 2, 0), ("epoch_start", 2, 1)]
    expected += [(event, 2, 1) for event in steps[0]]
    expected += [("epoch_end", 3, 1), ("action_end", 3, 2)]
    assert diary.events == expected


def test_a_limit_at_the_end_of_an_epoch_starts_no_other() -> None:
    _, _, loss = program(batches=2)
    diary = Diary()
    train([loss], params={"num_epochs": None, "max_steps": 4}, callbacks=[diary])
    assert (diary.count("epoch_start"), diary.count("epoch_end"), diary.count("step_end")) == (2, 2, 4)


def test_accumulated_batches_make_fewer_steps() -> None:
    _, _, loss = program(batches=4)
    diary = Diary()
    train([loss], params={"num_epochs": 2}, batches_per_step=2, callbacks=[diary])
    assert (diary.count("step_end"), diary.count("batch_end")) == (4, 8)


def test_accumulating_two_batches_is_one_step_with_their_mean_gradient() -> None:
    _, net, loss = program(batches=2)
    train([loss], batches_per_step=2)
    accumulated = net.fc1.weight.detach().clone()
    data, net, loss = program(batches=2)
    data.batch_size = 24
    train([loss])
    torch.testing.assert_close(net.fc1.weight, accumulated)


def test_optimisers_state_is_saved_and_restored(tmp_path: Path) -> None:
    _, _, loss = program()
    engine = train([loss], optimizer="adam", params={"lr": 3.0})
    engine.save_state_to(tmp_path / "trainer.pt")
    other = train([loss], optimizer="adam", params={"lr": 1.0})
    other.restore_state_from(tmp_path / "trainer.pt")
    assert other.state["optimizers"][0].param_groups[0]["lr"] == 3.0
    assert other.state["step"] == 2


# ----------------------------------------------------------------------------------- what is minimised


def test_several_losses_are_summed() -> None:
    data, net, _ = program()
    x, y = data()
    prediction = net(x)
    losses = [MSELoss()(prediction, y), L1Loss()(prediction, y)]
    seen: list[tuple[float, float]] = []

    class Sum(NeMoCallback):
        def on_batch_end(self, state: ActionState) -> None:
            values = state["tensors"]
            seen.append((values.get_tensor("loss").item(), sum(values.get_tensor(loss).item() for loss in losses)))

    train(losses, callbacks=[Sum()])
    assert seen
    assert all(total == pytest.approx(parts) for total, parts in seen)


def test_optimisers_take_turns_and_change_only_their_own_weights() -> None:
    data, first, _ = program(batches=2)
    second = TaylorNet(dim=4)
    x, y = data()
    losses = [MSELoss()(first(x), y), MSELoss()(second(x), y)]
    engine = Engine(CPU)
    nets = (first, second)
    turns = [
        (engine.create_optimizer("sgd", [net], {"lr": 1e-4}), [loss]) for net, loss in zip(nets, losses, strict=True)
    ]
    changed: list[list[bool]] = []

    class Watch(NeMoCallback):
        def on_step_start(self, state: ActionState) -> None:
            self.before = [net.fc1.weight.detach().clone() for net in nets]

        def on_step_end(self, state: ActionState) -> None:
            changed.append([not torch.equal(net.fc1.weight, old) for net, old in zip(nets, self.before, strict=True)])

    train(turns, engine, callbacks=[Watch()])
    assert changed == [[True, False], [False, True]]
    with pytest.raises(TrainingError, match=r"take turns.*\n +fix +batches_per_step=1"):
        train(turns, engine, batches_per_step=2)


def test_an_optimiser_of_ones_own() -> None:
    _, net, loss = program()
    before = net.fc1.weight.detach().clone()
    train([loss], optimizer=torch.optim.RMSprop(net.parameters(), lr=0.1))
    assert not torch.equal(net.fc1.weight, before)


def test_gradients_are_clipped() -> None:
    _, net, loss = program(batches=1)
    before = net.fc1.weight.detach().clone()
    train([loss], params={"lr": 1.0, "grad_norm_clip": 0.5, "momentum": 0.0})
    change = torch.cat([(net.fc1.weight - before).flatten()])
    assert change.norm() <= 0.5 + 1e-6
    assert change.norm() > 0.1


def test_frozen_modules_stay_as_they_are_and_in_evaluation_mode() -> None:
    class Normed(TaylorNet):
        def __init__(self) -> None:
            super().__init__(dim=4)
            self.norm = nn.BatchNorm1d(1)

    data, net, _ = program()
    frozen = Normed()
    frozen.freeze()
    x, y = data()
    train([MSELoss()(net(frozen(x)), y)])
    assert not frozen.training
    assert net.training
    frozen_too, net = TaylorNet(dim=4), TaylorNet(dim=4)
    frozen_too.freeze()
    with pytest.raises(TrainingError, match=r"no weights to train.*\n +fix +unfreeze\(\)"):
        train([MSELoss()(frozen_too(x), y)])


@pytest.mark.parametrize("level", list(Optimization))
def test_every_precision_level_learns(level: Optimization) -> None:
    _, _, loss = program(batches=8)
    curve = Curve()
    train([loss], Engine(CPU, level), params={"num_epochs": 4, "lr": 3e-4}, callbacks=[curve])
    assert curve.losses[-1] < curve.losses[0] / 2


def test_half_precision_is_used_where_it_was_asked_for() -> None:
    _, net, loss = program()
    dtypes: set[torch.dtype] = set()
    net.fc1.register_forward_hook(lambda module, inputs, output: dtypes.add(output.dtype))
    train([loss], Engine(CPU, Optimization.mxprO1))
    assert dtypes == {torch.bfloat16}
    assert net.fc1.weight.dtype == torch.float32


# ------------------------------------------------------------------------- what would hang or go wrong


class Diverging(Loss):
    """Its loss is NaN in the batches whose numbers are given."""

    def __init__(self, *bad: int) -> None:
        super().__init__()
        self.bad, self.batch = bad, -1

    @typecheck()
    def forward(
        self, predictions: Annotated[Tensor, NeuralType("B D", ChannelType())]
    ) -> Annotated[Tensor, NeuralType(elements_type=LossType()), "loss"]:
        self.batch += 1
        return predictions.mean() * (float("nan") if self.batch in self.bad else 1.0)


def diverging(*bad: int, batches: int = 3) -> tuple[TaylorNet, Symbol]:
    data, net, _ = program(batches=batches)
    return net, Diverging(*bad)(net(data().x))


@pytest.mark.parametrize("level", [Optimization.mxprO0, Optimization.mxprO1])
def test_a_batch_without_a_finite_loss_is_left_out_and_reported(
    level: Optimization, caplog: pytest.LogCaptureFixture
) -> None:
    net, loss = diverging(1)
    diary = Diary()
    train([loss], Engine(CPU, level), callbacks=[diary])
    assert torch.isfinite(net.fc1.weight).all()
    assert (diary.count("batch_start"), diary.count("batch_end")) == (3, 3)
    assert (diary.count("step_start"), diary.count("step_end")) == (2, 2)
    assert "the loss is nan at step 1: this batch is left out" in caplog.text


def test_stop_on_nan_loss() -> None:
    _, loss = diverging(1)
    with pytest.raises(ValueError, match=r"Loss is NaN or inf - exiting\n +got +nan at step 1 of epoch 0"):
        train([loss], stop_on_nan_loss=True)


def test_training_on_nothing_but_nan_ends() -> None:
    _, loss = diverging(*range(100))
    with pytest.raises(TrainingError, match="not finite for 3 batches of epoch 0"):
        train([loss], params={"num_epochs": None, "max_steps": 5})


def test_more_batches_a_step_than_there_are_is_an_error_and_not_an_endless_loop() -> None:
    _, _, loss = program(batches=2)
    with pytest.raises(TrainingError, match="an epoch has 2 batches, fewer than batches_per_step"):
        train([loss], params={"num_epochs": None, "max_steps": 5}, batches_per_step=3)


def test_an_empty_data_set_is_an_error() -> None:
    data, _, loss = program()
    data.dataset = TensorDataset(torch.zeros(0, 1), torch.zeros(0, 1))
    with pytest.raises(TrainingError, match="the data layer gave no batch"):
        train([loss])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"params": {"num_epochs": None}}, "the training has no end.*\n.*\n +fix +optimization_params="),
        ({"params": {"lr": None, "num_epochs": 1}, "optimizer": None}, "an optimiser is a name or"),
        ({"optimizer": "sgdd"}, "no optimizer is called 'sgdd'"),
        ({"callbacks": [print]}, "a callback is an ActionCallback or a NeMoCallback"),
    ],
)
def test_mistakes_in_the_arguments(options: dict[str, Any], message: str) -> None:
    _, _, loss = program()
    with pytest.raises(SeaspeakError, match=message):
        train([loss], **options)


def test_there_is_one_logger_of_the_loss() -> None:
    _, _, loss = program()
    with pytest.raises(TrainingError, match="there can be one SimpleLossLoggerCallback"):
        train([loss], callbacks=[SimpleLossLoggerCallback([loss]), SimpleLossLoggerCallback([loss])])


def test_a_loss_is_one_number() -> None:
    data, net, _ = program()
    with pytest.raises(TrainingError, match=r"'y_pred' cannot be minimised.*\n +got +\(12, 1\)"):
        train([net(data().x)])


def test_optimisers_are_made_for_modules_and_symbols() -> None:
    _, net, loss = program()
    engine = Engine(CPU)
    by_symbol = engine.create_optimizer("sgd", [loss], {"lr": 1})
    assert {id(p) for p in by_symbol.param_groups[0]["params"]} == {id(p) for p in net.parameters()}
    with pytest.raises(TrainingError, match="made for modules and symbols"):
        engine.create_optimizer("sgd", ["net"], {"lr": 1})  # type: ignore[list-item]


# ----------------------------------------------------------------------------- values, infer, evaluate


def test_tensors_are_found_by_symbol_by_name_and_by_unique_name() -> None:
    data, net, _ = program()
    x, y = data()
    prediction = net(x)
    loss = MSELoss()(prediction, y)
    extra = L1Loss()(prediction, y)
    extra.rename("absolute")
    checked: list[bool] = []

    class Look(NeMoCallback):
        def wanted(self, step: int) -> list[Symbol]:
            return [extra] if step == 0 else []

        def on_batch_end(self, state: ActionState) -> None:
            values = state["tensors"]
            named = values.get_tensor("y_pred")
            assert values.get_tensor(prediction) is named
            assert values.get_tensor(prediction.unique_name) is named
            if state["step"] > 0:
                with pytest.raises(LookupError, match="'absolute' was not computed"):
                    values.get_tensor("absolute", compute=False)
            torch.testing.assert_close(values.get_tensor("absolute"), (named - values.get_tensor("y")).abs().mean())
            with pytest.raises(LookupError, match=r"no tensor is called 'y_prd'.*\n.*\n +fix +did you mean 'y_pred'"):
                values.get_tensor("y_prd")
            checked.append(True)

    train([loss], callbacks=[Look()])
    assert len(checked) == 2


def test_infer_computes_what_was_asked_for_batch_by_batch() -> None:
    data, net, loss = program(batches=3)
    before = [module.training for module in net.modules()]
    predictions, losses = Engine(CPU).infer([net(data().x), loss], verbose=False)
    assert [value.shape for value in predictions] == [(12, 1)] * 3
    assert not any(value.requires_grad for value in predictions + losses)
    assert [module.training for module in net.modules()] == before


def test_infer_keeps_and_reuses_values() -> None:
    class Count(NeuralModule):
        calls = 0

        def forward(
            self, x: Annotated[Tensor, NeuralType("B D", ChannelType())]
        ) -> Annotated[Tensor, NeuralType("B D", ChannelType()), "x"]:
            self.calls += 1
            return x + 1

    data, _, _ = program(batches=2)
    first, second = Count(), Count()
    middle = first(data().x)
    end = second(middle)
    engine = Engine(CPU)
    (kept,) = engine.infer([middle], cache=True)
    (ends,) = engine.infer([end], use_cache=True)
    assert (first.calls, second.calls) == (2, 2)
    assert all(torch.equal(a + 1, b) for a, b in zip(kept, ends, strict=True))
    with pytest.raises(ValueError, match=r"cache was set but was not empty\n +fix +nf\.clear_cache"):
        engine.infer([middle], cache=True)
    with pytest.raises(ValueError, match="cache and use_cache were both set"):
        engine.infer([middle], cache=True, use_cache=True)
    engine.clear_cache()
    with pytest.raises(ValueError, match="use_cache was set, but cache was empty"):
        engine.infer([end], use_cache=True)


def test_infer_leaves_values_that_are_no_tensors_and_devices_alone() -> None:
    data, net, _ = program(batches=1)
    ((value,),) = Engine(CPU).infer([net(data().x)], offload_to_cpu=False)
    assert isinstance(value, Tensor)


def test_without_losses_only_the_end_is_told() -> None:
    diary = Diary()
    Engine(CPU).train([], optimizer="sgd", optimization_params={"num_epochs": 1}, callbacks=[diary])
    assert diary.events == [("action_end", 0, 0)]


def test_the_modules_are_the_users_own() -> None:
    _, net, loss = program()
    graph = NeuralGraph(outputs=loss)
    before = net.fc1.weight.detach().clone()
    train([loss])
    assert graph["taylornet0"] is net
    assert not torch.equal(net.fc1.weight, before)
