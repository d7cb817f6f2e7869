"""A model is its configuration and its weights: saved, restored, copied, described."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from seaspeak.core import Model
from seaspeak.core.archive import Archive, write
from seaspeak.core.errors import ArchiveError, ConfigError, FileMissingError, ModelError, UnknownNameError
from seaspeak.core.restore import decide_recipe, own_recipe, restoring
from tests.tiny import Layer, TinyModel, tiny_config


@pytest.fixture
def model():
    torch.manual_seed(0)
    return TinyModel(tiny_config())


@pytest.fixture
def saved(model, tmp_path):
    path = tmp_path / "model.nemo"
    model.save_to(path)
    return path


X = torch.linspace(-1, 1, 12).reshape(4, 3)


# --- construction ---------------------------------------------------------------------------------------------------


def test_the_configuration_says_what_the_model_is(model):
    assert model.cfg.target == "tests.tiny.TinyModel"
    assert model.recipe == "current"
    assert model.cfg.seaspeak == {"recipe": "current", "nemo_version": model.cfg.nemo_version}
    assert model.init_params == {"cfg": model.cfg}
    assert model.to_config_dict() == model.cfg


def test_a_script_s_configuration_is_refused_with_the_remedy():
    with pytest.raises(ConfigError, match=r"pass cfg\.model"):
        TinyModel({"model": tiny_config(), "trainer": {}})


def test_the_users_configuration_is_left_alone():
    config = OmegaConf.create(tiny_config())
    TinyModel(config)
    assert config == tiny_config()


def test_models_come_from_dictionaries_and_files(tmp_path):
    path = tmp_path / "model.yaml"
    TinyModel(tiny_config()).to_config_file(path)
    for built in (
        TinyModel.from_config_file(path),
        Model.from_config_file(path),
        Model.from_config_dict(OmegaConf.load(path)),
        TinyModel.from_config_dict(tiny_config()),
    ):
        assert isinstance(built, TinyModel)
    OmegaConf.save(OmegaConf.create({"model": OmegaConf.load(path), "trainer": {}}), path)
    assert isinstance(TinyModel.from_config_file(path), TinyModel)


def test_a_new_configuration_takes_the_place_of_the_old(model):
    model.cfg = {**tiny_config(), "more": 1, "seaspeak": {"recipe": "1.0"}}
    assert model.cfg.more == 1
    assert model.recipe == "1.0"
    model.cfg = tiny_config()
    assert model.recipe == "1.0"


def test_summarize_lists_parts_and_sizes(model):
    assert model.summarize().splitlines()[0].split() == ["layer", "Layer", "8"]
    assert "layer.linear" in model.summarize(max_depth=-1)
    assert model.summarize().splitlines()[-1].split() == ["TinyModel", "8"]


# --- saving and restoring -------------------------------------------------------------------------------------------


def test_a_restored_model_computes_the_same(model, saved):
    restored = TinyModel.restore_from(saved)
    torch.testing.assert_close(restored(x=X), model(x=X), rtol=0, atol=0)
    assert restored.cfg == model.cfg
    assert type(Model.restore_from(str(saved))) is type(model)


def test_a_subclass_gives_the_subclass_and_a_base_the_archives_class(saved):
    class Better(TinyModel):
        pass

    assert isinstance(Better.restore_from(saved), Better)
    assert not isinstance(TinyModel.restore_from(saved), Better)


def test_a_class_whose_module_has_moved_restores_its_archives(model, tmp_path):
    config = model.cfg.copy()
    config.target = "__main__.TinyModel"
    write(tmp_path / "m.nemo", config, model.state_dict())
    assert isinstance(TinyModel.restore_from(tmp_path / "m.nemo"), TinyModel)
    with pytest.raises(UnknownNameError, match="__main__"):
        Model.restore_from(tmp_path / "m.nemo")


def test_an_archive_without_a_class_needs_the_calling_one(model, tmp_path):
    write(tmp_path / "m.nemo", OmegaConf.create(tiny_config()), model.state_dict())
    assert isinstance(TinyModel.restore_from(tmp_path / "m.nemo"), TinyModel)
    with pytest.raises(ArchiveError, match="of which class"):
        Model.restore_from(tmp_path / "m.nemo")


def test_restoring_draws_no_random_numbers_and_sets_up_no_data(model, tmp_path):
    model.cfg.train_ds = {"items": 4}
    model.save_to(tmp_path / "m.nemo")
    before = torch.random.get_rng_state()
    restored = TinyModel.restore_from(tmp_path / "m.nemo")
    assert restored._train_dl is None
    assert restoring() is None
    assert torch.equal(before, torch.random.get_rng_state())


def test_what_is_computed_is_there_after_restoring(saved):
    restored = TinyModel.restore_from(saved)
    assert torch.equal(restored.layer.scale, torch.tensor([1.0, 2.0]))
    assert not any(tensor.is_meta for tensor in (*restored.parameters(), *restored.buffers()))


class Odd(Model):
    """Has everything that makes restoring hard."""

    def __init__(self, cfg, trainer=None):
        super().__init__(cfg, trainer)
        self.one = torch.nn.Linear(3, 3)
        self.two = torch.nn.Linear(3, 3)
        self.two.weight = self.one.weight
        self.frozen = torch.nn.Linear(2, 2).requires_grad_(False)
        self.register_buffer("table", torch.arange(4.0), persistent=False)
        self.listed = [torch.ones(2), {"x": torch.ones(1)}]
        self.wide = torch.nn.Linear(2, 2).double()
        self.norm = torch.nn.BatchNorm1d(3)


def test_ties_frozen_weights_types_and_what_is_kept_outside_survive(tmp_path):
    model = Odd({})
    model.save_to(tmp_path / "m.nemo")
    restored = Odd.restore_from(tmp_path / "m.nemo")
    assert restored.one.weight is restored.two.weight
    assert not restored.frozen.weight.requires_grad
    assert restored.one.weight.requires_grad
    assert torch.equal(restored.table, torch.arange(4.0))
    assert torch.equal(restored.listed[0], torch.ones(2))
    assert not restored.listed[1]["x"].is_meta
    assert restored.wide.weight.dtype == torch.float64
    torch.testing.assert_close(restored.state_dict(), model.state_dict(), rtol=0, atol=0)


class Looks(Model):
    """Looks at a value while it is built, which the meta device has none of."""

    def __init__(self, cfg, trainer=None):
        super().__init__(cfg, trainer)
        self.net = torch.nn.Linear(int(torch.tensor(3).item()), 1)


def test_a_users_class_that_cannot_be_built_without_values_is_built_with_them(tmp_path):
    model = Looks({})
    model.save_to(tmp_path / "m.nemo")
    torch.testing.assert_close(Looks.restore_from(tmp_path / "m.nemo").state_dict(), model.state_dict())


def test_the_configuration_can_be_had_and_replaced(model, saved, tmp_path):
    assert TinyModel.restore_from(saved, return_config=True) == model.cfg
    override = tmp_path / "override.yaml"
    OmegaConf.save(OmegaConf.create({"model": {**tiny_config(), "extra": 1}}), override)
    for changed in (override, OmegaConf.load(override)):
        restored = Model.restore_from(saved, override_config_path=changed)
        assert restored.cfg.extra == 1
        assert restored.recipe == "current"


def test_a_connector_may_change_what_is_restored(saved):
    class Connector:
        def modify_state_dict(self, config, state):
            return config, {name: torch.zeros_like(tensor) for name, tensor in state.items()}

    assert not TinyModel.restore_from(saved, save_restore_connector=Connector()).layer.linear.weight.any()


def test_threads_restore_side_by_side(saved):
    found, files = [], 4
    threads = [threading.Thread(target=lambda: found.append(TinyModel.restore_from(saved))) for _ in range(files)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == files
    assert all(torch.equal(one.layer.linear.weight, found[0].layer.linear.weight) for one in found)


def test_a_restore_that_fails_leaves_no_trace(saved, tmp_path):
    broken = tmp_path / "broken.nemo"
    write(broken, OmegaConf.create(tiny_config(target="tests.tiny.TinyModel")), {})
    with pytest.raises(ArchiveError):
        Model.restore_from(broken)
    assert restoring() is None
    assert TinyModel(tiny_config(train_ds={"items": 4}))._train_dl is not None


@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_small_storage_restores(model, tmp_path, storage):
    model.save_to(tmp_path / "m.nemo", storage=storage)
    torch.testing.assert_close(TinyModel.restore_from(tmp_path / "m.nemo")(x=X), model(x=X), rtol=0.02, atol=0.02)


def test_saved_names_are_nemos(tmp_path):
    section = {"cls": "nemo.collections.asr.JasperEncoder", "params": {"list": [{"_target_": "torch.nn.ReLU"}]}}
    TinyModel(tiny_config(unused=section)).save_to(tmp_path / "m.nemo")
    with Archive.open(tmp_path / "m.nemo") as archive:
        assert archive.config.unused._target_ == "nemo.collections.asr.modules.ConvASREncoder"
        assert archive.config.unused.list[0]._target_ == "torch.nn.ReLU"


# --- recipe ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, "1.0"),
        ({"nemo_version": "1.7.0"}, "1.0"),
        ({"nemo_version": "2.4.0"}, "1.0"),
        ({"nemo_version": "2.5.0rc0"}, "current"),
        ({"nemo_version": "2.10.1"}, "current"),
        ({"nemo_version": "3.0.0"}, "current"),
        ({"nemo_version": "unknown"}, "1.0"),
        ({"seaspeak": {"recipe": "0.11", "nemo_version": None}}, "0.11"),
        ({"seaspeak": {"recipe": "1.0", "nemo_version": "3.0.0"}, "nemo_version": "3.0.0"}, "1.0"),
        ({"seaspeak": {"recipe": "1.0", "nemo_version": None}, "nemo_version": "3.0.0"}, "current"),
        ({"seaspeak": {"recipe": "current", "nemo_version": "3.0.0"}}, "1.0"),
        ({"seaspeak": 3}, "1.0"),
    ],
)
def test_the_recipe_of_an_archive(config, expected):
    config = OmegaConf.create(config)
    assert decide_recipe(config) == expected
    assert decide_recipe(config, asked="0.11", known="current") == "0.11"
    assert decide_recipe(config, known="0.11") == (own_recipe(config) or "0.11")


def test_an_unknown_recipe_is_refused(saved):
    with pytest.raises(ConfigError, match="no recipe 'new'"):
        TinyModel.restore_from(saved, recipe="new")


def test_the_recipe_is_kept_until_another_program_saves_the_file(model, tmp_path):
    path, config = tmp_path / "m.nemo", OmegaConf.create(tiny_config(target="tests.tiny.TinyModel"))
    write(path, config, model.state_dict())
    old = TinyModel.restore_from(path)
    assert old.recipe == "1.0"
    old.save_to(path)
    again = TinyModel.restore_from(path)
    assert again.recipe == "1.0"
    assert "nemo_version" not in again.cfg
    nemo = again.cfg.copy()
    nemo.nemo_version = "3.0.0"  # which NeMo adds when it restores
    write(path, nemo, model.state_dict())
    assert TinyModel.restore_from(path).recipe == "current"
    assert TinyModel.restore_from(path, recipe="1.0").recipe == "1.0"
    TinyModel.restore_from(path, recipe="1.0").save_to(path)
    assert TinyModel.restore_from(path).recipe == "1.0"


# --- files ----------------------------------------------------------------------------------------------------------


class Reader(Model):
    """Needs a file, and asks for it before the base class is constructed, as models with tokenizers do."""

    def __init__(self, cfg, trainer=None):
        self.path = self.register_artifact("tokenizer.vocabulary", cfg["tokenizer"]["vocabulary"])
        super().__init__(cfg, trainer)
        self.net = torch.nn.Linear(1, 1)
        self.optional = self.register_artifact("tokenizer.optional", cfg["tokenizer"].get("optional"), False)

    def words(self):
        with open(self.path) as file:
            return file.read().split()


@pytest.fixture
def reader(tmp_path):
    (tmp_path / "vocab.txt").write_text("a b c")
    return Reader({"tokenizer": {"vocabulary": str(tmp_path / "vocab.txt"), "optional": "/none/x.txt"}})


def test_files_go_with_the_model(reader, tmp_path):
    reader.save_to(tmp_path / "m.nemo")
    (tmp_path / "vocab.txt").unlink()
    restored = Reader.restore_from(tmp_path / "m.nemo")
    (tmp_path / "m.nemo").rename(tmp_path / "n.nemo")
    assert restored.words() == ["a", "b", "c"]
    assert restored.artifact_bytes("tokenizer.vocabulary") == b"a b c"
    assert restored.has_artifacts()
    assert restored.optional is None
    restored.save_to(tmp_path / "m.nemo")
    (tmp_path / "n.nemo").unlink()
    with Archive.open(tmp_path / "m.nemo") as archive:
        assert archive.config.tokenizer.vocabulary.startswith("nemo:")
        assert archive.config.tokenizer.vocabulary.endswith("_vocab.txt")
    assert Reader.restore_from(tmp_path / "m.nemo").words() == ["a", "b", "c"]


def test_files_that_a_class_does_not_ask_for_are_saved_again(reader, tmp_path):
    config = reader._config_to_save()
    config.other = [{"table": "nemo:0123_table.bin"}, "nemo:missing"]
    members = {config.tokenizer.vocabulary.removeprefix("nemo:"): b"a b c", "0123_table.bin": b"binary"}
    write(tmp_path / "m.nemo", config, reader.state_dict(), members)
    Reader.restore_from(tmp_path / "m.nemo").save_to(tmp_path / "again.nemo")
    with Archive.open(tmp_path / "again.nemo") as archive:
        assert archive.read(archive.config.other[0].table.removeprefix("nemo:")) == b"binary"


def test_the_configuration_names_files_that_exist(reader, tmp_path):
    reader.save_to(tmp_path / "m.nemo")
    (tmp_path / "vocab.txt").unlink()
    restored = Reader.restore_from(tmp_path / "m.nemo")
    assert restored.cfg.tokenizer.vocabulary == restored.path
    assert Path(restored.path).read_text() == "a b c"


def test_files_live_as_long_as_a_copy_does(reader, tmp_path):
    reader.save_to(tmp_path / "m.nemo")
    (tmp_path / "vocab.txt").unlink()
    restored = Reader.restore_from(tmp_path / "m.nemo")
    twin, data = copy.deepcopy(restored), pickle.dumps(restored)
    path = restored.path
    del restored
    assert twin.words() == ["a", "b", "c"]
    del twin
    gc.collect()  # a LightningModule is part of a cycle
    assert not Path(path).exists()
    loaded = pickle.loads(data)
    with open(loaded.cfg.tokenizer.vocabulary) as file:
        assert file.read() == "a b c"


def test_two_models_do_not_mix_up_their_files(tmp_path):
    for name in ("one", "two"):
        (tmp_path / "vocab.txt").write_text(name)
        Reader({"tokenizer": {"vocabulary": str(tmp_path / "vocab.txt")}}).save_to(tmp_path / f"{name}.nemo")
    (tmp_path / "vocab.txt").unlink()
    one, two = (Reader.restore_from(tmp_path / f"{name}.nemo") for name in ("one", "two"))
    assert (one.words(), two.words()) == (["one"], ["two"])


def test_a_path_of_another_machine_is_found_in_the_archive_by_its_name(reader, tmp_path):
    config = reader._config_to_save()
    config.tokenizer.vocabulary = "/home/somebody/vocab.txt"
    write(tmp_path / "m.nemo", config, reader.state_dict(), {"vocab.txt": b"x y"})
    assert Reader.restore_from(tmp_path / "m.nemo").words() == ["x", "y"]


def test_a_missing_file_is_named_with_its_key(reader, tmp_path):
    with pytest.raises(FileMissingError, match=r"tokenizer\.vocabulary names the file 'nemo:none'"):
        Reader({"tokenizer": {"vocabulary": "nemo:none"}})
    with pytest.raises(ConfigError, match="an archive cannot be a part"):
        reader.register_artifact("x", "other.nemo")
    with pytest.raises(ConfigError, match="no file is registered under 'x'"):
        reader.artifact_bytes("x")


# --- checkpoints ----------------------------------------------------------------------------------------------------


def checkpoint(path, **content):
    torch.save({"state_dict": TinyModel(tiny_config()).state_dict(), **content}, path)
    return path


def test_checkpoints_give_models(tmp_path):
    path = checkpoint(tmp_path / "m.ckpt", hyper_parameters={"cfg": tiny_config(nemo_version="2.5.0")})
    assert TinyModel.load_from_checkpoint(path).recipe == "current"
    assert TinyModel.load_from_checkpoint(path, cfg=tiny_config()).recipe == "1.0"
    assert TinyModel.load_from_checkpoint(path, tiny_config()).recipe == "1.0"
    bare = checkpoint(tmp_path / "bare.ckpt")
    with pytest.raises(ArchiveError, match="holds no configuration"):
        TinyModel.load_from_checkpoint(bare)
    OmegaConf.save(OmegaConf.create({"cfg": tiny_config()}), tmp_path / "hparams.yaml")
    assert isinstance(TinyModel.load_from_checkpoint(bare, hparams_file=tmp_path / "hparams.yaml"), TinyModel)


def test_checkpoints_that_are_none(tmp_path):
    path = tmp_path / "m.ckpt"
    with pytest.raises(FileMissingError, match="no checkpoint"):
        TinyModel.load_from_checkpoint(path)
    path.write_bytes(b"rubbish")
    with pytest.raises(ArchiveError):
        TinyModel.load_from_checkpoint(path)
    torch.save({"weights": 1}, path)
    with pytest.raises(ArchiveError, match="no state_dict"):
        TinyModel.load_from_checkpoint(path)
    torch.save({"state_dict": {}, "hyper_parameters": {"cfg": Layer(1, 1)}}, path)
    with pytest.raises(ArchiveError, match="could run a program") as caught:
        TinyModel.load_from_checkpoint(path)
    assert "tests.tiny.Layer" in caught.value.got
    path.write_bytes(checkpoint(tmp_path / "whole.ckpt").read_bytes()[:500])
    with pytest.raises(ArchiveError, match="cannot be read"):
        TinyModel.load_from_checkpoint(path)


def test_files_are_in_checkpoints(reader, tmp_path):
    content = {
        "state_dict": reader.state_dict(),
        "hyper_parameters": {"cfg": OmegaConf.to_container(reader.cfg)},
        "artifacts": reader._artifacts.for_checkpoint(),
    }
    torch.save(content, tmp_path / "m.ckpt")
    (tmp_path / "vocab.txt").unlink()
    assert Reader.load_from_checkpoint(tmp_path / "m.ckpt").words() == ["a", "b", "c"]


# --- data and optimisers --------------------------------------------------------------------------------------------


def test_a_model_that_lacks_a_set_up_says_which():
    class Bare(Model):
        def validation_step(self, batch, batch_idx):
            """Without a step, Lightning's form has Lightning's loader, which raises."""

        test_step = validation_step

    with pytest.raises(ModelError, match="cannot set up train_ds"):
        Bare({"train_ds": {}})
    with pytest.raises(ModelError, match="cannot set up validation_ds"):
        Bare({"validation_ds": {}})
    with pytest.raises(ModelError, match="cannot set up test_ds"):
        Bare({"test_ds": {}})
    with pytest.raises(ModelError, match="no training data"):
        Bare({}).train_dataloader()
    assert Bare({}).val_dataloader() == Bare({}).test_dataloader() == []
    assert Bare({}).prepare_test(None) is False
    assert Bare({}).device == torch.device("cpu")
    assert Bare({}).configure_optimizers() is None or Bare({}).setup_optimization() == (None, None)


def test_results_of_an_evaluation_without_a_trainer():
    class Tested(TinyModel):
        test_step = TinyModel.validation_step

        def setup_test_data(self, test_data_config):
            self._test_dl = self._loader(test_data_config)

    model = Tested(tiny_config(validation_ds={"items": 8}, test_ds={"items": 8}))
    assert model.prepare_test(None)
    model.validation_step_outputs.extend({"val_loss": value} for value in (1.0, 3.0))
    assert model.on_validation_epoch_end() == {"val_loss": 2.0}
    assert model.validation_step_outputs == []
    model.test_step_outputs.append({"test_loss": torch.tensor([4.0])})
    assert model.on_test_epoch_end() == {"test_loss": 4.0}
    assert model.on_test_epoch_end() == {}
    assert model.logged == {"val_loss": 2.0, "test_loss": 4.0}
    assert model.get_validation_dataloader_prefix() == "val_0_"
    assert model.get_test_dataloader_prefix(3) == "test_3_"
