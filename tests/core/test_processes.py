"""What processes agree on, in a group of one; ``tests/training/test_processes.py`` has two."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import torch
from torch.utils.data import DistributedSampler

from seaspeak.core import processes
from seaspeak.core.factory import NeuralModuleFactory
from seaspeak.tutorials import RealFunctionDataLayer
from tests.core.quiet import quiet_logging  # noqa: F401  (a fixture)


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    for name, value in {"RANK": 0, "WORLD_SIZE": 1, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("group", "quiet_logging")
def test_a_group_of_one_agrees_with_itself() -> None:
    factory = NeuralModuleFactory(local_rank=0)
    processes.join(0)  # a second time changes nothing
    assert (factory.world_size, factory.global_rank) == (1, None)
    whole, half = torch.tensor([1.0, 2.0]), torch.tensor([[3.0]], dtype=torch.float16)
    processes.share([whole])
    processes.average([whole, half, whole.double()])
    assert (whole.tolist(), half.tolist()) == ([1, 2], [[3]])
    assert processes.all_true(torch.tensor(True))
    assert not processes.all_true(torch.tensor(False))


def test_outside_a_group_nothing_is_exchanged() -> None:
    tensor = torch.ones(2)
    processes.share([tensor])
    processes.average([tensor])
    assert tensor.tolist() == [1, 1]
    assert (processes.world_size(), processes.rank()) == (1, None)
    assert processes.all_true(torch.tensor(True))
    assert not processes.all_true(torch.tensor(False))


def test_only_training_shares_out_the_data() -> None:
    data = RealFunctionDataLayer(2, n=4)
    assert not isinstance(data.loader(epoch=0).sampler, DistributedSampler)  # type: ignore[attr-defined]
