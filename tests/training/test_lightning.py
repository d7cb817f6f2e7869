"""A model is born a LightningModule where Lightning is, and is plain torch where it is not."""

from __future__ import annotations

import copy
import importlib
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from seaspeak.core import Model, registry
from seaspeak.core.errors import ModelError
from seaspeak.training import lightning as form
from tests.tiny import TinyModel, tiny_config

PACKAGES = ["lightning.pytorch", "pytorch_lightning"]
ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.filterwarnings("ignore:The '.*' does not have many workers"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
    pytest.mark.filterwarnings("ignore:GPU available but not used"),
    pytest.mark.filterwarnings("ignore:Total length of `list` across ranks is zero"),  # no validation data
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists"),
    pytest.mark.filterwarnings("ignore:`isinstance\\(treespec, LeafSpec\\)` is deprecated"),
]

DATA = {
    "train_ds": {"items": 16},
    "validation_ds": {"items": 8, "seed": 1},
    "optim": {"name": "sgd", "lr": 0.05},
}


@pytest.fixture(params=PACKAGES)
def pl(request):
    return importlib.import_module(request.param)


@pytest.fixture
def plain_born(monkeypatch):
    """Make models in a process that has not imported Lightning, as far as they can see."""

    def make(cls=TinyModel, cfg=None):
        with monkeypatch.context() as hidden:
            for name in PACKAGES:
                hidden.delitem(sys.modules, name, raising=False)
            return cls(cfg or tiny_config())

    return make


def trainer_of(pl, folder, **settings):
    defaults = {
        "default_root_dir": folder,
        "max_epochs": 1,
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
    }
    return pl.Trainer(**{**defaults, **settings})


def test_a_trainer_among_the_arguments_makes_a_module_of_its_package(pl, tmp_path):
    trainer = trainer_of(pl, tmp_path)
    model = TinyModel(tiny_config(), trainer=trainer)
    assert isinstance(model, pl.LightningModule)
    assert isinstance(model, TinyModel)
    assert model.trainer is trainer


def test_the_loaded_package_decides_without_a_trainer():
    importlib.import_module("lightning.pytorch")
    assert isinstance(TinyModel(tiny_config()), importlib.import_module("lightning.pytorch").LightningModule)


def test_a_process_without_lightning_has_plain_objects(plain_born):
    model = plain_born()
    assert type(model) is TinyModel
    assert model.trainer is None
    model.log("x", torch.tensor(2.0, requires_grad=True))
    model.log_dict({"y": 1.0})
    assert model.logged["x"] == 2.0
    assert not model.logged["x"].requires_grad
    assert model.logged["y"] == 1.0
    assert model.device == torch.device("cpu")


def test_inference_loads_no_lightning():
    program = textwrap.dedent("""
        import sys, torch
        from tests.tiny import TinyModel, tiny_config
        model = TinyModel(tiny_config())
        model(x=torch.zeros(1, 3))
        assert type(model) is TinyModel
        print([name for name in sys.modules if "lightning" in name and not name.startswith("seaspeak")])
    """)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_form_has_the_name_of_the_class_and_is_no_class_of_its_own(pl, tmp_path):
    model = TinyModel(tiny_config(), trainer=trainer_of(pl, tmp_path))
    made = type(model)
    assert (made.__name__, made.__qualname__, made.__module__) == ("TinyModel", "TinyModel", "tests.tiny")
    assert made is form.lightning_form(TinyModel, pl.__name__)
    assert made not in registry.family(Model)
    assert registry.resolve("tests.tiny.TinyModel") is TinyModel
    assert model.cfg.target == "tests.tiny.TinyModel"


def test_the_model_comes_before_lightning_in_the_order_of_methods(pl, tmp_path):
    order = type(TinyModel(tiny_config(), trainer=trainer_of(pl, tmp_path))).__mro__
    assert order.index(Model) < order.index(pl.LightningModule)


def test_subclass_hooks_of_users_do_not_hear_of_forms(pl, tmp_path):
    heard = []

    class Counted(TinyModel):
        def __init_subclass__(cls):
            heard.append(cls)

    Counted(tiny_config(), trainer=trainer_of(pl, tmp_path))
    assert heard == []


def test_fit_trains_logs_and_checkpoints_without_prefix(pl, tmp_path):
    csv = importlib.import_module(f"{pl.__name__}.loggers").CSVLogger(tmp_path, name="run", version=0)
    trainer = trainer_of(pl, tmp_path, max_epochs=4, logger=csv, log_every_n_steps=1)
    model = TinyModel(tiny_config(**DATA), trainer=trainer)
    before = model.loss(next(iter(model.train_dataloader()))).item()
    trainer.fit(model)
    assert model.loss(next(iter(model.train_dataloader()))).item() < before / 2
    assert trainer.callback_metrics["val_loss"] > 0
    metrics = (tmp_path / "run" / "version_0" / "metrics.csv").read_text()
    assert "train_loss" in metrics.splitlines()[0]
    assert "val_loss" in metrics.splitlines()[0]
    assert "inputs: 3" in (tmp_path / "run" / "version_0" / "hparams.yaml").read_text()
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    keys = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"].keys()
    assert set(keys) == {"layer.linear.weight", "layer.linear.bias"}


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(pl, tmp_path):
    def run(epochs, resume=None):
        torch.manual_seed(0)
        trainer = trainer_of(pl, tmp_path, max_epochs=epochs)
        model = TinyModel(tiny_config(**DATA, seed=1), trainer=trainer)
        trainer.fit(model, ckpt_path=resume)
        trainer.save_checkpoint(tmp_path / f"{epochs}.ckpt")
        return model

    whole = run(4)
    run(2)
    resumed = run(4, tmp_path / "2.ckpt")
    torch.testing.assert_close(resumed.state_dict(), whole.state_dict(), rtol=0, atol=0)


def test_the_plain_class_loads_a_checkpoint_without_lightning(pl, tmp_path):
    trainer = trainer_of(pl, tmp_path)
    model = TinyModel(tiny_config(**DATA), trainer=trainer)
    trainer.fit(model)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    model.save_to(tmp_path / "last.nemo")
    program = textwrap.dedent(f"""
        import sys, torch
        from tests.tiny import TinyModel
        one = TinyModel.load_from_checkpoint({str(tmp_path / "last.ckpt")!r}, map_location="cpu")
        two = TinyModel.restore_from({str(tmp_path / "last.nemo")!r}, map_location="cpu")
        assert type(one) is type(two) is TinyModel
        assert one._train_dl is None, "data is not set up by loading"
        x = torch.ones(2, 3)
        assert torch.equal(one(x=x), two(x=x))
        assert not any("lightning" in name for name in sys.modules if not name.startswith("seaspeak"))
    """)
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_checkpoints_hold_the_configuration_of_their_moment(pl, tmp_path):
    trainer = trainer_of(pl, tmp_path)
    model = TinyModel(tiny_config(**DATA), trainer=trainer)
    trainer.fit(model)
    model.cfg.changed = True
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    assert TinyModel.load_from_checkpoint(tmp_path / "last.ckpt").cfg.changed


def test_a_restored_model_has_the_form_for_its_trainer(pl, tmp_path):
    TinyModel(tiny_config(**DATA)).save_to(tmp_path / "m.nemo")
    trainer = trainer_of(pl, tmp_path)
    model = TinyModel.restore_from(tmp_path / "m.nemo", trainer=trainer)
    assert isinstance(model, pl.LightningModule)
    assert model.device == torch.device("cpu")
    model.setup_training_data(model.cfg.train_ds)
    trainer.fit(model)


def test_an_object_that_was_born_plain_is_adopted(pl, tmp_path, plain_born):
    model = plain_born(cfg=tiny_config(**DATA))
    weight = model.layer.linear.weight
    trainer = trainer_of(pl, tmp_path)
    model.set_trainer(trainer)
    assert isinstance(model, pl.LightningModule)
    trainer.fit(model)
    assert model.layer.linear.weight is weight
    assert model.device == torch.device("cpu")
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    TinyModel.load_from_checkpoint(tmp_path / "last.ckpt")


def test_an_object_of_the_other_package_is_adopted(pl, tmp_path):
    other = importlib.import_module(next(name for name in PACKAGES if name != pl.__name__))
    model = TinyModel(tiny_config(**DATA), trainer=trainer_of(other, tmp_path))
    assert isinstance(model, other.LightningModule)
    trainer = trainer_of(pl, tmp_path)
    model.set_trainer(trainer)
    assert isinstance(model, pl.LightningModule)
    assert not isinstance(model, other.LightningModule)
    trainer.fit(model)


def test_something_that_is_no_trainer_is_refused(plain_born):
    with pytest.raises(ModelError, match="not a Lightning trainer"):
        plain_born().set_trainer(object())


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_keep_the_form(pl, tmp_path, duplicate):
    trainer = trainer_of(pl, tmp_path)
    model = TinyModel(tiny_config(**DATA), trainer=trainer)
    trainer.fit(model)
    twin = duplicate(model)
    assert type(twin) is type(model)
    torch.testing.assert_close(twin.state_dict(), model.state_dict())
    assert twin.trainer is None
    assert twin.cfg == model.cfg


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_of_plain_objects_stay_plain_where_lightning_is_loaded(pl, duplicate, plain_born):
    assert type(duplicate(plain_born())) is TinyModel


class OwnSignature(Model):
    """A subclass whose constructor takes other things than a configuration."""

    def __init__(self, width, *, depth=1, trainer=None):
        super().__init__(cfg={"width": width, "depth": depth}, trainer=trainer)
        self.net = torch.nn.Linear(width, depth)


def test_a_subclass_may_have_its_own_signature(pl, tmp_path):
    model = OwnSignature(3, depth=2, trainer=trainer_of(pl, tmp_path))
    assert isinstance(model, pl.LightningModule)
    assert model.net.out_features == 2
    assert isinstance(pickle.loads(pickle.dumps(model)), pl.LightningModule)


def test_a_class_that_is_a_lightning_module_itself_stays_as_it_is(pl, tmp_path):
    class Both(TinyModel, pl.LightningModule):
        pass

    trainer = trainer_of(pl, tmp_path)
    model = Both(tiny_config(**DATA), trainer=trainer)
    assert type(model) is Both
    trainer.fit(model)
    assert type(copy.copy(model)) is Both


def test_a_lightning_module_of_the_other_package_is_refused_with_a_remedy(pl, tmp_path):
    other = importlib.import_module(next(name for name in PACKAGES if name != pl.__name__))

    class Both(TinyModel, other.LightningModule):
        pass

    with pytest.raises(ModelError, match="import Lightning under one name"):
        Both(tiny_config(), trainer=trainer_of(pl, tmp_path))


def test_logs_in_the_result_of_a_training_step_reach_the_logger(pl, tmp_path):
    class Old(TinyModel):
        def training_step(self, batch, batch_idx):
            loss = self.loss(batch)
            return {"loss": loss, "log": {"old_style": loss.detach()}}

    trainer = trainer_of(pl, tmp_path)
    trainer.fit(Old(tiny_config(train_ds={}, optim={"name": "sgd", "lr": 0.1}), trainer=trainer))
    assert "old_style" in trainer.callback_metrics


def test_several_validation_sets_log_with_prefixes(pl, tmp_path):
    sets = [{"name": "near", "seed": 1}, {"name": "far", "seed": 2}]
    section = {"items": 8, "val_dl_idx": 1, "ds_item": "sets", "sets": sets}
    trainer = trainer_of(pl, tmp_path)
    model = TinyModel(
        tiny_config(train_ds={}, validation_ds=section, optim={"name": "sgd", "lr": 0.0}), trainer=trainer
    )
    trainer.fit(model)
    found = {name: float(value) for name, value in trainer.callback_metrics.items()}
    assert set(found) == {"train_loss", "near_val_loss", "far_val_loss", "val_loss"}
    assert found["val_loss"] == found["far_val_loss"] != found["near_val_loss"]


@pytest.mark.parametrize("sets", [1, 2])
def test_data_may_be_given_to_the_trainer(pl, tmp_path, sets):
    trainer = trainer_of(pl, tmp_path)
    model = TinyModel(tiny_config(optim={"name": "sgd", "lr": 0.0}), trainer=trainer)
    loaders = [model._loader({"items": 8, "seed": seed}) for seed in range(sets)]
    trainer.fit(model, loaders[0], loaders if sets > 1 else loaders[0])
    expected = {"train_loss", "val_loss"} | ({"val_0_val_loss", "val_1_val_loss"} if sets > 1 else set())
    assert set(trainer.callback_metrics) == expected


def test_a_model_without_validation_trains_without_a_warning(pl, tmp_path):
    class Trained(Model):
        def __init__(self, cfg, trainer=None):
            super().__init__(cfg, trainer)
            self.net = torch.nn.Linear(2, 1)

        def setup_training_data(self, train_data_config):
            self._train_dl = torch.utils.data.DataLoader(torch.ones(8, 2), batch_size=4)

        def training_step(self, batch, batch_idx):
            return self.net(batch).square().mean()

    trainer = trainer_of(pl, tmp_path)
    trainer.fit(Trained({"train_ds": {}, "optim": {"name": "adam", "lr": 0.1}}, trainer=trainer))


def test_the_schedule_learns_its_length_from_the_trainer(pl, tmp_path):
    sched = {"name": "CosineAnnealing", "min_lr": 0.001}
    trainer = trainer_of(pl, tmp_path, max_epochs=3)
    model = TinyModel(
        tiny_config(train_ds={"items": 16}, optim={"name": "sgd", "lr": 0.1, "sched": sched}), trainer=trainer
    )
    trainer.fit(model)
    assert model._scheduler["scheduler"].max_steps == 12
    assert model._scheduler["interval"] == "step"


def test_deferred_data_is_set_up_when_training_starts(pl, tmp_path):
    trainer = trainer_of(pl, tmp_path)
    cfg = tiny_config(train_ds={"items": 4, "defer_setup": True}, optim={"name": "sgd", "lr": 0.1})
    model = TinyModel(cfg, trainer=trainer)
    assert model._train_dl is None
    trainer.fit(model)
    assert len(model.train_dataloader()) == 1


def test_forms_export_and_compute_what_the_plain_object_does(pl, tmp_path, plain_born):
    plain = plain_born()
    model = TinyModel(tiny_config(), trainer=trainer_of(pl, tmp_path))
    model.load_state_dict(plain.state_dict())
    x = torch.randn(4, 3)
    program = torch.export.export(model, (x,))
    torch.testing.assert_close(program.module()(x), plain(x))


DDP = """
import sys, importlib, torch, warnings
pl = importlib.import_module(sys.argv[1])
from tests.tiny import TinyModel, tiny_config
cfg = tiny_config(train_ds={"items": 16}, validation_ds={"items": 8}, optim={"name": "sgd", "lr": 0.05})
trainer = pl.Trainer(accelerator="cpu", devices=2, strategy="ddp", max_epochs=2, logger=False,
                     default_root_dir=sys.argv[2], enable_progress_bar=False,
                     enable_checkpointing=False, enable_model_summary=False)
torch.manual_seed(trainer.global_rank)
model = TinyModel(cfg, trainer=trainer)
trainer.fit(model)
gathered = [torch.zeros_like(model.layer.linear.weight) for _ in range(2)]
torch.distributed.all_gather(gathered, model.layer.linear.weight.detach())
assert torch.equal(*gathered), "both processes have the same weights"
assert trainer.global_step == 4, trainer.global_step
model.save_to(sys.argv[2] + f"/rank.nemo")
print("saved by", trainer.global_rank)
"""


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES)
def test_two_processes_train_one_model(package, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(DDP)
    done = subprocess.run(
        [sys.executable, str(script), package, str(tmp_path)],
        cwd=ROOT,
        env={**__import__("os").environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("saved by") == 2
    assert TinyModel.restore_from(tmp_path / "rank.nemo").cfg.layer.inputs == 3
