"""Two processes train as one does with the whole batch."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PROGRAM = """
import os, sys
import numpy, torch
from seaspeak.core import NeuralModuleFactory, SimpleLossLoggerCallback
from seaspeak.tutorials import MSELoss, RealFunctionDataLayer, TaylorNet

rank = os.environ.get("RANK")
factory = NeuralModuleFactory(None if rank is None else int(rank))
assert factory.world_size == (1 if rank is None else 2)
assert factory.global_rank == (None if rank is None else int(rank))
numpy.random.seed(0)
torch.manual_seed(0 if rank is None else 10 * int(rank))   # weights of the first process count
data, net = RealFunctionDataLayer(int(sys.argv[1]), n=32), TaylorNet(dim=4)
data.shuffle = True
x, y = data()
loss = MSELoss()(net(x), y)
seen = []
callback = SimpleLossLoggerCallback([loss], print_func=lambda values: seen.append(values[0].item()), step_freq=1)
factory.train([loss], optimizer="sgd", callbacks=[callback],
              optimization_params={"num_epochs": 4, "lr": 1e-4, "grad_norm_clip": 50.0})
assert factory.engine.state["global_rank"] == factory.global_rank
assert len(factory.infer([loss], verbose=False)[0]) == 32 // int(sys.argv[1])   # not shared out
numpy.save(sys.argv[2], numpy.append(net.fc1.weight.detach().numpy(), net.fc1.bias.detach().numpy()))
"""


def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def start(folder: Path, batch_size: int, **environment: str) -> subprocess.Popen[str]:
    out = folder / f"weights{environment.get('RANK', '')}.npy"
    command = [sys.executable, "-c", PROGRAM, str(batch_size), str(out)]
    settings = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"} | environment
    return subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    try:
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, err
    return out


@pytest.mark.slow
def test_two_processes_are_one_with_twice_the_batch(tmp_path: Path) -> None:
    port = free_port()
    pair = [
        start(tmp_path, 16, RANK=str(r), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port) for r in range(2)
    ]
    shown = [finish(process) for process in pair]
    alone = finish(start(tmp_path, 32))
    expected, first, second = (np.load(tmp_path / f"weights{name}.npy") for name in ("", "0", "1"))
    np.testing.assert_allclose(first, expected, rtol=1e-5)
    np.testing.assert_array_equal(first, second)
    assert "Step: 3" in alone
    assert "Step: 3" in shown[0]
    assert shown[1] == ""  # only the first process talks
