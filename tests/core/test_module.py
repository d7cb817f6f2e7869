"""Neural modules: what they remember, how they freeze, copy and describe themselves."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from typing import Annotated, Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from seaspeak.core.errors import DeclarationError
from seaspeak.core.module import Loss, NeuralModule, freeze, unfreeze
from seaspeak.core.types import ChannelType, NeuralType
from seaspeak.core.typing import typecheck


class Net(NeuralModule):
    def __init__(self, dim: int, *sizes: int, scale: float = 2.0, **options: Any) -> None:
        super().__init__(name=options.get("name"))
        self.linear = nn.Sequential(nn.Linear(dim, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
        self.scale = scale

    @typecheck()
    def forward(self, x: Annotated[Tensor, NeuralType("B D")]) -> Annotated[Tensor, NeuralType("B D", ChannelType())]:
        return self.linear(x) * self.scale


class Narrow(Net):
    """Has a signature of its own."""

    def __init__(self, width: int = 4) -> None:
        super().__init__(width, scale=width / 2)


def test_the_constructors_arguments_are_known_by_name_with_defaults() -> None:
    assert Net(4).init_params == {"dim": 4, "scale": 2.0}
    assert Net(4, 5, 6, name="net", extra=[1]).init_params == {
        "dim": 4,
        "sizes": (5, 6),
        "scale": 2.0,
        "name": "net",
        "extra": [1],
    }


def test_a_subclass_knows_its_own_arguments() -> None:
    assert Narrow().init_params == {"width": 4}
    assert Narrow(width=6).init_params == {"width": 6}


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_compute_alike_and_remember(duplicate: Any) -> None:
    torch.manual_seed(0)
    net = Net(4, scale=3.0).eval()
    other = duplicate(net)
    x = torch.randn(2, 4)
    assert other.init_params == {"dim": 4, "scale": 3.0}
    assert torch.equal(other(x=x), net(x=x))


def test_a_variable_of_the_caller_is_never_taken_for_an_argument() -> None:
    dim, scale = 99, 99  # noqa: F841  (NeMo 0.11 walks the stack and picks such names up)
    assert Narrow().init_params == {"width": 4}


def test_wrong_arguments_are_pythons_error() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'widht'"):
        Narrow(widht=3)  # type: ignore[call-arg]


def test_names() -> None:
    assert Net(4).name == "net"
    assert Net(4).given_name is None
    net = Net(4, name="first")
    assert net.name == "first"
    net.name = "second"
    assert (net.name, net.given_name) == ("second", "second")


def test_num_weights_counts_what_training_changes() -> None:
    net = Net(4)
    assert net.num_weights == 4 * 3 + 3 + 3 + 3
    net.linear[0].weight.requires_grad_(False)
    assert net.num_weights == 3 + 3 + 3
    assert net.input_example() is None


def test_freeze_and_unfreeze() -> None:
    net = Net(4)
    net.freeze()
    assert net.is_frozen()
    assert net.num_weights == 0
    assert not any(module.training for module in net.modules())
    net.unfreeze()
    assert not net.is_frozen()
    assert net.num_weights == 21
    assert all(module.training for module in net.modules())


def test_partial_unfreeze_restores_what_was_trained_before() -> None:
    net = Net(4)
    net.linear[0].bias.requires_grad_(False)
    net.freeze()
    net.freeze()  # a second time changes nothing
    net.unfreeze(partial=True)
    assert net.num_weights == 21 - 3
    net.freeze()
    net.unfreeze()
    assert net.num_weights == 21


def test_partial_unfreeze_needs_a_freeze() -> None:
    with pytest.raises(ValueError, match=r"Net was not frozen.*\n +fix +call freeze\(\) first"):
        Net(4).unfreeze(partial=True)


def test_a_parameter_that_came_after_freeze_is_named_and_unfrozen() -> None:
    plain = nn.Linear(2, 2)
    freeze(plain)
    plain.extra = nn.Parameter(torch.zeros(2), requires_grad=False)
    with pytest.warns(UserWarning, match="parameter 'extra' was not there"):
        unfreeze(plain, partial=True)
    assert all(parameter.requires_grad for parameter in plain.parameters())


def test_as_frozen_leaves_everything_as_it_was() -> None:
    net = Net(4)
    net.linear[0].weight.requires_grad_(False)
    net.linear[1].eval()
    before = {name: p.requires_grad for name, p in net.named_parameters()}, [m.training for m in net.modules()]
    with pytest.raises(KeyError), net.as_frozen():
        assert net.num_weights == 0
        assert not net.linear.training
        raise KeyError
    assert (
        {name: p.requires_grad for name, p in net.named_parameters()},
        [m.training for m in net.modules()],
    ) == before
    assert not net.is_frozen()


def test_a_module_inside_a_module_is_registered_as_usual() -> None:
    outer = nn.Sequential(Net(4), Narrow(3))
    assert "0.linear.0.weight" in outer.state_dict()
    assert "1.linear.0.weight" in outer.state_dict()


def test_a_loss_has_torchs_arguments() -> None:
    class Sum(Loss):
        def forward(self, x: Tensor) -> Tensor:
            return x.sum() if self.reduction == "sum" else x.mean()

    assert isinstance(Sum(), nn.modules.loss._Loss)
    assert Sum(reduction="sum")(torch.ones(3)) == 3
    assert Sum().init_params == {"size_average": None, "reduce": None, "reduction": "mean"}


def test_config_round_trip() -> None:
    torch.manual_seed(0)
    net = Net(4, scale=3.0)
    config = net.to_config_dict()
    assert config == {"_target_": f"{__name__}.Net", "dim": 4, "scale": 3.0}
    again = NeuralModule.from_config_dict(config)
    assert isinstance(again, Net)
    assert again.init_params == net.init_params
    assert Net.from_config_dict({"cls": f"{__name__}.Net", "params": {"dim": 2}}).init_params["dim"] == 2


def test_a_config_of_another_class_is_refused() -> None:
    with pytest.raises(DeclarationError, match="describes a Net, which is no Narrow"):
        Narrow.from_config_dict({"_target_": f"{__name__}.Net", "dim": 4})


def test_a_module_with_a_config_gives_a_copy_of_it() -> None:
    class Configured(NeuralModule):
        def __init__(self, cfg: DictConfig) -> None:
            super().__init__()
            self._cfg = cfg

    config = OmegaConf.create({"width": 3, "depth": "${width}"})
    given = Configured(config).to_config_dict()
    assert given == {"width": 3, "depth": 3}
    assert given is not config


def test_importing_the_core_loads_no_torch() -> None:
    program = "import sys, seaspeak.core, seaspeak.core.types; assert 'torch' not in sys.modules, 'torch'"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_every_promised_name_is_there() -> None:
    import seaspeak.core

    for name in seaspeak.core.__all__:
        assert getattr(seaspeak.core, name) is not None
    assert {
        "Model",
        "register",
        "NeuralModule",
        "Loss",
        "Dataset",
        "typecheck",
        "Typing",
        "NeuralModuleFactory",
    } <= set(seaspeak.core.__all__)
    assert {"NeuralGraph", "DeviceType", "Optimization", "OperationMode", "NeuralType", "AudioSignal"} <= set(
        dir(seaspeak.core)
    )
