"""Training that is broken off: killed, out of space, in a folder that nobody can write."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from seaspeak.core.archive import Archive
from seaspeak.core.errors import StorageError
from seaspeak.training import exp_manager
from tests.training.toy import make_trainer

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SMALL = ROOT / "examples" / "asr" / "conf" / "small.yaml"

PROGRAM = """
import resource, signal, sys, time, warnings
import torch
from seaspeak.core.errors import SeaspeakError
from seaspeak.training import exp_manager
from tests.training.toy import ToyModel, make_trainer, toy_config

warnings.simplefilter("ignore")
folder, pause, seed, room = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])

class Slow(ToyModel):
    def training_step(self, batch, batch_idx):
        time.sleep(pause)
        return super().training_step(batch, batch_idx)

trainer = make_trainer(max_epochs=6)
exp_manager(trainer, dict(
    exp_dir=folder, name="toy", resume_if_exists=True, resume_ignore_no_checkpoint=True,
    create_tensorboard_logger=False,
))
print("going on from", trainer.ckpt_path, flush=True)
torch.manual_seed(seed)
model = Slow(toy_config(), trainer=trainer)
if room:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
try:
    trainer.fit(model)
except SeaspeakError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def start(folder: Path, *, pause: float = 0.0, seed: int = 1, room: int = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), str(pause), str(seed), str(room)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[str, str, int]:
    out, err = process.communicate(timeout=240)
    return out, err, process.returncode


def wait_for(what: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 240
    while not what():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"ended, or took too long: {process.communicate()[1]}")
        time.sleep(0.02)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    with Archive.open(folder / "toy" / "checkpoints" / "toy.nemo") as archive:
        return archive.state_dict()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    _, err, code = finish(start(folder))
    assert code == 0, err
    return folder


def test_a_killed_run_goes_on_bit_by_bit_as_if_nothing_had_happened(tmp_path: Path, uninterrupted: Path) -> None:
    killed = start(tmp_path, pause=0.1)
    wait_for(lambda: any(tmp_path.rglob("*epoch_2*-last.ckpt")), killed)
    time.sleep(0.25)  # into the next epoch
    killed.send_signal(signal.SIGKILL)
    finish(killed)
    assert not any(tmp_path.rglob("*.nemo"))
    out, err, code = finish(start(tmp_path, seed=77))
    assert code == 0, err
    assert "epoch_2-step_18-last.ckpt" in out
    expected, found = weights(uninterrupted), weights(tmp_path)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    read = (tmp_path / "toy" / "metrics.csv").read_text()
    assert read == (uninterrupted / "toy" / "metrics.csv").read_text()


def test_no_space_left_is_one_clear_error_and_the_last_checkpoint_stays(tmp_path: Path) -> None:
    before = start(tmp_path, pause=0.1)
    wait_for(lambda: any(tmp_path.rglob("*epoch_0*-last.ckpt")), before)
    before.send_signal(signal.SIGKILL)
    finish(before)
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*.ckpt")}
    _, err, code = finish(start(tmp_path, room=4096))
    assert code == 1
    assert "StorageError: " in err and "cannot be written: File too large" in err
    assert "Traceback" not in err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.ckpt")} == kept
    assert not any(tmp_path.rglob("*.part"))
    out, err, code = finish(start(tmp_path))  # there is space again
    assert code == 0, err
    assert "epoch_0-step_6-last.ckpt" in out


@pytest.mark.parametrize("folder", ["/proc/runs", "/proc/1/runs", "/dev/null/runs"])
def test_a_folder_that_nobody_can_write_is_named_before_anything_trains(folder: str) -> None:
    with pytest.raises(StorageError, match=f"the run cannot be kept in {folder}"):
        exp_manager(make_trainer(), {"exp_dir": folder, "create_tensorboard_logger": False})


def test_a_recogniser_interrupted_and_killed_within_epochs_goes_on_bit_by_bit(shared: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "clips.json"
    entries = [json.loads(line) for line in (shared / "data" / "an4" / "val.json").read_text().splitlines()]
    for entry in entries:
        entry["audio_filepath"] = str(shared / "data" / "an4" / entry["audio_filepath"])
    manifest.write_text("".join(json.dumps(entry) + "\n" for entry in entries))

    def train(name: str) -> subprocess.Popen[str]:
        sets = [
            f"model.{one}_ds.{key}" for one in ("train", "validation") for key in (f"manifest_filepath={manifest}",)
        ]
        sets += [f"model.{one}_ds.num_workers=2" for one in ("train", "validation")]
        command = [str(Path(sys.executable).parent / "seaspeak"), "train", "--config", str(SMALL), *sets]
        command += ["model.train_ds.batch_size=2", "trainer.max_epochs=8", "++seed=5", f"exp_manager.name={name}"]
        command += ["+exp_manager.checkpoint_callback_params.every_n_train_steps=3"]
        return subprocess.Popen(
            command,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # shells' background jobs are deaf to it
            cwd=tmp_path,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    _, err, code = finish(train("whole"))
    assert code == 0, err
    runs = tmp_path / "seaspeak_experiments"

    def lasts() -> set[str]:
        return {path.name for path in runs.rglob("parts--*-last.ckpt")}

    for signal_, wanted in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        before = lasts()
        broken = train("parts")
        wait_for(lambda before=before: bool(lasts() - before), broken)
        broken.send_signal(signal_)
        _, err, code = finish(broken)
        assert code == wanted, err
        assert "Traceback" not in err
        assert ("the same command goes on from the last checkpoint" in err) == (code == 130)
    _, err, code = finish(train("parts"))
    assert code == 0, err
    assert f"going on from {runs}/parts/checkpoints/parts--" in err
    found = [next(runs.rglob(f"{name}.nemo")) for name in ("whole", "parts")]
    states = []
    for path in found:
        with Archive.open(path) as archive:
            states.append(archive.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
