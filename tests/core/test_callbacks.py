"""Callbacks of both families."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from seaspeak.core.callbacks import ActionCallback, ActionState, EvaluatorCallback
from seaspeak.core.errors import TrainingError
from seaspeak.training.engine import Engine
from seaspeak.tutorials import L1Loss, RealFunctionDataLayer
from tests.training.programs import CPU, Diary, program, train


def test_older_callbacks_are_told_without_batches_and_know_where_they_are() -> None:
    seen: list[Any] = []

    class Old(ActionCallback):
        def on_action_start(self) -> None:
            seen.append("start")

        def on_iteration_start(self) -> None:
            seen.append(("iteration", self.step, self.epoch_num))

        def on_iteration_end(self) -> None:
            assert isinstance(self.action, Engine)
            assert loss.unique_name in self.registered_tensors
            assert self.learning_rate == 1e-4
            assert (self.local_rank, self.global_rank) == (None, None)
            assert self.logger.name.startswith("seaspeak")

    _, _, loss = program(batches=2)
    train([loss], callbacks=[Old()])
    assert seen == ["start", ("iteration", 0, 0), ("iteration", 1, 0)]
    with pytest.raises(TrainingError, match="Old is not part of a training yet"):
        _ = Old().step


def test_a_second_training_starts_anew_and_a_restored_one_goes_on(tmp_path: Path) -> None:
    _, _, loss = program(batches=2)
    diary = Diary()
    engine = train([loss], params={"num_epochs": 2})
    assert (engine.state["step"], engine.state["epoch"]) == (4, 2)
    engine.state.save_state_to(tmp_path / "trainer.pt")
    train([loss], engine, callbacks=[diary])
    assert diary.events[0] == ("action_start", 0, 0)

    class Resume(Diary):
        def on_action_start(self, state: ActionState) -> None:
            state.restore_state_from(tmp_path / "trainer.pt")

    resumed = Resume()
    train([loss], params={"num_epochs": 3}, callbacks=[resumed])
    assert resumed.events[1] == ("epoch_start", 4, 2)
    old = torch.load(tmp_path / "trainer.pt", weights_only=True)
    old["epoch_num"] = old.pop("epoch")
    torch.save(old, tmp_path / "old.pt")
    fresh = Engine(CPU)
    fresh.restore_state_from(tmp_path / "old.pt")
    assert fresh.state["epoch"] == 2
    with pytest.raises(FileNotFoundError, match=r"there is no file .*nothing\.pt"):
        fresh.restore_state_from(tmp_path / "nothing.pt")


def test_evaluation_goes_over_its_own_data_and_leaves_the_training_alone() -> None:
    _, net, loss = program(batches=4)
    points = RealFunctionDataLayer(5, n=10)
    x, y = points()
    prediction = net(x)
    error = L1Loss()(prediction, y)
    results: list[tuple[int, int, bool]] = []

    def each(values: dict[str, list[Any]], found: dict[str, Any]) -> None:
        found.setdefault("errors", []).append(values[error.unique_name][0].item())
        assert not net.training

    def done(found: dict[str, Any]) -> dict[str, float]:
        results.append((evaluator.step, len(found["errors"]), net.training))
        return {"error": sum(found["errors"])}

    written: list[tuple[str, int]] = []

    class Writer:
        def add_scalar(self, name: str, value: float, step: int) -> None:
            written.append((name, step))

    evaluator = EvaluatorCallback([error], each, done, eval_step=2, tb_writer=Writer())
    train([loss], callbacks=[evaluator])
    assert results == [(0, 2, True), (2, 2, True), (4, 2, True)]
    assert written == [("error", 0), ("error", 2), ("error", 4)]


def test_evaluation_by_epochs_and_not_at_the_start() -> None:
    _, _, loss = program(batches=2)
    steps: list[int] = []
    settings = {"user_iter_callback": lambda values, found: None}
    by_epoch = EvaluatorCallback(
        loss,
        user_epochs_done_callback=lambda found: steps.append(by_epoch.step),
        eval_step=None,
        eval_epoch=2,
        **settings,
    )
    train([loss], params={"num_epochs": 4}, callbacks=[by_epoch])
    assert steps == [4, 8, 8]
    late: list[int] = []
    later = EvaluatorCallback(
        loss, user_epochs_done_callback=lambda found: late.append(later.step), eval_at_start=False, **settings
    )
    train([loss], callbacks=[later])
    assert late == [1, 2]


@pytest.mark.parametrize("when", [{"eval_step": None}, {"eval_step": 0}, {"eval_step": None, "eval_epoch": -1}])
def test_an_evaluator_must_know_when(when: dict[str, Any]) -> None:
    _, _, loss = program()
    with pytest.raises(ValueError, match="every how many steps or epochs"):
        EvaluatorCallback([loss], lambda values, found: None, lambda found: None, **when)
