"""What importing costs and loads, measured in processes of their own."""

from __future__ import annotations

import functools
import subprocess
import sys

import pytest

CPU = """
import resource, sys
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, file=sys.__stdout__)
"""
MODULES = """
import sys
print(*sys.modules, file=sys.__stdout__)
"""
HELP = """
import sys
from seaspeak.cli.main import run
sys.argv = ["seaspeak", "--help"]
try:
    run()
except SystemExit:
    print()
"""
EVERY_MODULE = """
import importlib, pkgutil, sys
import seaspeak
for module in pkgutil.walk_packages(seaspeak.__path__, "seaspeak."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""
VOICE = """
from seaspeak.collections.tts.models import SpectrogramGenerator, Vocoder
from seaspeak.collections.tts.speaking import Speaker
"""
LOAD_VOICE = """
speaker = Speaker(
    SpectrogramGenerator.from_pretrained("seaspeak_en_fastpitch"), Vocoder.from_pretrained("seaspeak_en_hifigan")
)
"""
HEAVY = {
    "lightning",
    "pytorch_lightning",
    "hydra",
    "transformers",
    "tokenizers",
    "matplotlib",
    "inflect",
    "librosa",
} | {"tensorboard", "pandas", "sklearn", "numba", "torchmetrics", "torchaudio", "onnx", "onnxruntime"}
UNIX_ONLY = ("fcntl", "resource", "termios", "pwd", "grp", "tty", "pty")


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def cpu_seconds(program: str, repeats: int = 5) -> float:
    """Return the CPU seconds of a process that runs ``program``: the least of several, for other work adds to them."""
    return min(float(run(program + CPU).split()[-1]) for _ in range(repeats))


@functools.cache
def pace() -> float:
    """Return how slow this machine is now, beside the one that the budgets were set on: there torch takes 1.14 s."""
    return max(1.0, cpu_seconds("import torch") / 1.14)


def loaded(program: str) -> set[str]:
    """Return the modules that a process which runs ``program`` has loaded."""
    return set(run(program + MODULES).splitlines()[-1].split())


def test_importing_the_package_costs_less_than_a_tenth_of_a_second() -> None:
    assert cpu_seconds("import seaspeak") - cpu_seconds("pass") < 0.1 * pace()


@pytest.mark.slow
def test_importing_a_recogniser_costs_torch_and_less_than_0_4_seconds() -> None:
    more = cpu_seconds("from seaspeak.collections.asr.models import EncDecCTCModel") - cpu_seconds("import torch")
    assert more < 0.4 * pace()


@pytest.mark.slow
def test_loading_the_voice_that_ships_costs_less_than_a_second() -> None:
    assert cpu_seconds(VOICE + LOAD_VOICE, 3) - cpu_seconds(VOICE, 3) < 1.0 * pace()


def test_loading_and_speaking_do_not_load_torchs_compiler() -> None:
    speak = 'next(speaker.stream("Hello."))\n'
    assert loaded(VOICE + LOAD_VOICE + speak).isdisjoint({"torch._dynamo", "sympy", *HEAVY})


def test_help_costs_less_than_0_3_seconds_and_loads_no_torch() -> None:
    assert cpu_seconds(HELP) < 0.3 * pace()
    assert loaded(HELP).isdisjoint({"torch", "numpy", *HEAVY})


@pytest.mark.parametrize(
    "statement",
    [
        "import seaspeak",
        "import seaspeak.core, seaspeak.audio, seaspeak.text, seaspeak.data, seaspeak.tutorials, seaspeak.training",
        "import seaspeak.collections.asr, seaspeak.collections",
        "import seaspeak.text.ctc, seaspeak.text.transcript, seaspeak.text.writers, seaspeak.text.parsers",
        "import seaspeak.text.g2p, seaspeak.text.normalize, seaspeak.text.sentences, seaspeak.text.speech_tokenizers",
        "import seaspeak.audio.io, seaspeak.audio.resample, seaspeak.audio.windows",
        "import seaspeak.collections.asr.transcription",
        "from seaspeak import SeaspeakError",
    ],
)
def test_around_the_network_there_is_no_torch(statement: str) -> None:
    assert loaded(statement).isdisjoint({"torch", *HEAVY})


@pytest.mark.parametrize(
    "statement",
    [
        "from seaspeak.collections.asr.models import ASRModel, EncDecCTCModel",
        "import seaspeak.core; seaspeak.core.Model; seaspeak.core.NeuralModuleFactory",
        "import seaspeak; seaspeak.tutorials.TaylorNet",
        "from seaspeak.core import registry; registry.optimizer('novograd'); registry.schedule('CosineAnnealing')",
        "from seaspeak.core import registry; registry.plug('engine')",
    ],
)
def test_inference_and_the_first_generation_load_nothing_heavy(statement: str) -> None:
    assert loaded(statement).isdisjoint(HEAVY)


def test_every_module_can_be_imported_where_unix_modules_are_missing() -> None:
    others = (
        "import torch, typer, rich.progress, lightning, pytorch_lightning, hydra\n"  # they ask which system this is
    )
    run(f"{others}import sys\nsys.modules.update(dict.fromkeys({UNIX_ONLY}))\n{EVERY_MODULE}")
