"""Names in configurations lead to classes that are known, and to nothing else."""

from __future__ import annotations

import csv
import subprocess
import sys
import textwrap

import pytest
import torch
from omegaconf import DictConfig

from seaspeak.core import Model, NeuralModule, registry
from seaspeak.core.errors import ConfigError, UnknownNameError
from tests.tiny import Layer, TinyModel, tiny_config

ROWS = sorted(registry._table().items())


@pytest.mark.parametrize(("kind", "name"), [row for row, _ in ROWS])
def test_every_row_of_the_table_leads_somewhere(kind, name):
    find = {
        "class": registry.resolve,
        "optimizer": registry.optimizer,
        "schedule": registry.schedule,
        "plug": registry.plug,
    }
    assert find[kind](name) is not None


def test_names_of_every_nemo_generation_lead_to_the_same_class():
    one = registry.resolve("nemo.collections.asr.modules.ConvASREncoder")
    for name in (
        "nemo.collections.asr.JasperEncoder",
        "nemo.collections.asr.jasper.JasperEncoder",
        "nemo.collections.asr.modules.conv_asr.ConvASREncoder",
        "seaspeak.collections.asr.modules.conv_asr.ConvASREncoder",
    ):
        assert registry.resolve(name) is one


def test_the_table_has_nemos_own_names_for_what_we_have(shared):
    with (shared / "spec" / "nemo_names.tsv").open() as file:
        known = {name for row in list(csv.reader(file, delimiter="\t"))[1:] for name in (row[2], *row[4].split())}
    ours = {
        name for (_, name), where in ROWS if name.startswith("nemo.") and not where.startswith("seaspeak.tutorials")
    }
    elsewhere = (  # releases between those of the list (1.6 to 1.15), a module of 1.0 that it leaves out, and 3.0
        "nemo.collections.tts.torch.",
        "nemo.collections.tts.g2p.modules.",
        "nemo.collections.asr.data.vocoder_dataset.",
        "nemo.core.optim.lr_scheduler.WarmupHoldAnneal",
    )
    assert {name for name in ours - known if not name.startswith(elsewhere)} == set()


def test_what_we_write_is_nemos_name():
    from seaspeak.collections.asr.models import EncDecCTCModel

    assert registry.nemo_name(EncDecCTCModel) == "nemo.collections.asr.models.ctc_models.EncDecCTCModel"
    assert registry.nemo_name(Layer) == "tests.tiny.Layer"
    assert registry.nemo_name(registry.resolve("nemo.tutorials.TaylorNet")) == "nemo.tutorials.TaylorNet"
    assert registry.canonical("nemo.collections.asr.JasperEncoder") == "nemo.collections.asr.modules.ConvASREncoder"
    assert registry.canonical("tests.tiny.Layer") == "tests.tiny.Layer"


def test_every_class_writes_a_name_under_which_it_is_found():
    for (kind, _), where in ROWS:
        if kind == "class":
            found = registry.resolve(where.replace(":", "."))
            assert registry.resolve(registry.nemo_name(found)) is found


def test_torch_modules_optimisers_and_schedules_are_known():
    assert registry.resolve("torch.nn.Linear") is torch.nn.Linear
    assert registry.resolve("torch.nn.modules.linear.Linear") is torch.nn.Linear
    assert registry.resolve("torch.optim.AdamW") is torch.optim.AdamW
    assert registry.resolve("torch.optim.lr_scheduler.StepLR") is torch.optim.lr_scheduler.StepLR
    assert registry.optimizer("torch.optim.Adam") is torch.optim.Adam
    assert registry.optimizer("AdamW") is torch.optim.AdamW
    assert registry.resolve("novograd") is registry.optimizer("nemo.core.optim.novograd.Novograd")


FOREIGN = [
    "os.system",
    "torch.load",
    "torch.nn.functional.linear",
    "torch.nn.init.zeros_",
    "torch.nn.Parameter",
    "torch.nn.",
    "builtins.exec",
    ".",
    "torch.optim.lr_scheduler.warnings",
    "seaspeak.core.archive.Archive",
]


@pytest.mark.parametrize("name", [*FOREIGN, "", "x" * 10000])
def test_nothing_else_is_known(name):
    with pytest.raises(UnknownNameError):
        registry.resolve(name)


def test_unknown_names_propose_the_nearest():
    with pytest.raises(UnknownNameError, match=r"an optimiser.*\n.*'novograd'"):
        registry.optimizer("novogard")
    with pytest.raises(UnknownNameError, match=r"a schedule.*\n.*'CosineAnnealing'"):
        registry.schedule("CosinAnnealing")
    with pytest.raises(UnknownNameError, match=r"encoder\._target_: .*\n.*ConvASREncoder"):
        registry.resolve("my.ConvASREncodr", key="encoder._target_")
    with pytest.raises(UnknownNameError, match=r"call seaspeak.core.register"):
        registry.resolve("zzz.Qqqqqqqqqqqqqqqq")


def test_users_classes_need_no_ceremony():
    class Own(NeuralModule):
        pass

    name = f"{__name__}.{Own.__qualname__}"
    assert registry.resolve(name) is Own

    class Own(NeuralModule):  # the cell of a notebook that is run again
        pass

    assert registry.resolve(name) is Own


def test_the_calling_class_and_its_bases_always_count():
    class Plain:
        pass

    class Caller(Plain):
        pass

    for cls in (Plain, Caller):
        assert registry.resolve(registry.dotted(cls), caller=Caller) is cls
        with pytest.raises(UnknownNameError):
            registry.resolve(registry.dotted(cls))


def test_register_adds_names_and_refuses_taken_ones():
    class Extra:
        def __init__(self, a=1):
            self.a = a

    assert registry.register(Extra, "mylab.Extra") is Extra
    registry.register(Extra, "mylab.Extra")
    assert registry.resolve("mylab.Extra") is registry.resolve(registry.dotted(Extra)) is Extra
    assert registry.instantiate({"_target_": "mylab.Extra", "a": 2}).a == 2
    with pytest.raises(ConfigError, match="is already the name of"):
        registry.register(Layer, "mylab.Extra")
    with pytest.raises(ConfigError, match="is already the name of"):
        registry.register(Layer, "nemo.collections.asr.modules.ConvASREncoder")
    registry.register(Extra, "extra", kind="optimizer")
    assert registry.optimizer("extra") is Extra


def test_instantiate_builds_what_the_section_says():
    layer = registry.instantiate(
        {"cls": "torch.nn.Linear", "params": {"in_features": 3, "out_features": 2}}, bias=False
    )
    assert (layer.in_features, layer.out_features, layer.bias) == (3, 2, None)
    assert registry.instantiate({"_target_": "torch.nn.Linear", "_args_": [3, 2]}).out_features == 2


class Holder(NeuralModule):
    """Keeps what it is given."""

    def __init__(self, **given):
        super().__init__()
        self.given = given


def test_nested_sections_are_built_first_and_others_arrive_as_they_are():
    inner = {"_target_": "torch.nn.Linear", "in_features": 1, "out_features": 1}
    section = {"_target_": f"{__name__}.Holder", "one": inner, "many": [inner, {"a": [1, 2]}], "other": {"b": 1}}
    given = registry.instantiate(section).given
    assert isinstance(given["one"], torch.nn.Linear)
    assert type(given["many"]) is list
    assert isinstance(given["many"][0], torch.nn.Linear)
    assert isinstance(given["other"], DictConfig)
    given = registry.instantiate({**section, "_recursive_": False}).given
    assert given["one"]._target_ == "torch.nn.Linear"
    given = registry.instantiate({**section, "_convert_": "all"}).given
    assert type(given["other"]) is dict


@pytest.mark.parametrize(
    ("section", "match"),
    [
        ({}, "does not say what to build"),
        ({"a": 1}, "keys a"),
        ({"_target_": 3}, "does not say what to build"),
        ({"_target_": "torch.nn.Linear", "in_features": "???", "out_features": 2}, "leaves values open\n.*in_features"),
        (
            {"_target_": "torch.nn.Linear", "in_featurs": 1},
            "takes no argument 'in_featurs'[^§]*did you mean 'in_features'",
        ),
        ({"_target_": "torch.nn.Linear"}, "missing a required argument"),
    ],
)
def test_sections_that_cannot_be_built_say_why(section, match):
    with pytest.raises(ConfigError, match=match):
        registry.instantiate(section)


def test_messages_give_the_full_path_of_the_key():
    model = TinyModel(
        tiny_config(deep={"er": {"_target_": "torch.nn.Linear", "x": 1}, "open": {"_target_": "a", "y": "???"}})
    )
    with pytest.raises(ConfigError, match=r"^deep\.er does not fit"):
        model.build(model.cfg.deep.er)
    with pytest.raises(ConfigError, match=r"deep\.open\.y"):
        model.build(model.cfg.deep.open)


def test_a_base_class_knows_the_models_of_its_folder():
    names = {cls.__name__ for cls in registry.family(registry.resolve("nemo.collections.asr.models.ASRModel"))}
    assert {"ASRModel", "EncDecCTCModel"} <= names
    assert TinyModel in registry.family(Model)


def test_finding_names_loads_neither_torch_nor_lightning():
    program = (
        "import sys; from seaspeak.core import registry; registry.canonical('x'); registry._names_we_write();"
        "print([name for name in ('torch', 'lightning', 'hydra') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_finding_an_optimiser_or_a_schedule_loads_no_lightning():
    program = """
        import sys
        from seaspeak.core import registry
        registry.optimizer("novograd"), registry.schedule("CosineAnnealing"), registry.plug("engine")
        print([name for name in sys.modules if name.split(".")[0].endswith("lightning")])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
