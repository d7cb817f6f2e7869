"""``seaspeak doctor``: what is installed, what is missing and what it would add."""

from __future__ import annotations

import os
import platform
import re
import sys

import typer

from seaspeak.cli.format import columns

app = typer.Typer(add_completion=False, rich_markup_mode=None)

EXTRAS = {
    "asr": "English numbers and abbreviations spelt out when training data is prepared",
    "nlp": "language models for punctuation and question answering",
    "tts": "English numbers and abbreviations spelt out before speech is made",
    "train": "training with Lightning and Hydra",
    "export": "ONNX files, and running them without torch",
    "serve": "an HTTP and WebSocket service",
    "mic": "the microphone",
    "media": "video files and other containers",
    "batch": "corpora over many machines",
}


@app.command()
def doctor() -> None:
    """Say what is installed, which extras are missing and what they would add, threads and devices."""
    required, extras = _requirements()
    typer.echo(columns(_machine()))
    typer.echo("\nPackages")
    typer.echo(columns([(name, _version(name) or "MISSING") for name in required], indent="  "))
    typer.echo("\nExtras")
    rows = []
    for extra, purpose in EXTRAS.items():
        missing = [name for name in extras.get(extra, []) if not _version(name)]
        state = f'missing {", ".join(missing)}: pip install "seaspeak[{extra}]"' if missing else "installed"
        rows.append((extra, purpose, state))
    typer.echo(columns(rows, indent="  "))


def _machine() -> list[tuple[str, str]]:
    import torch

    from seaspeak._version import __version__

    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU build"
    return [
        ("Seaspeak", __version__),
        ("Python", f"{platform.python_version()} at {sys.executable}"),
        ("System", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("torch", f"{torch.__version__} ({build})"),
        ("Threads", f"{torch.get_num_threads()} of {os.cpu_count()} processors (seaspeak transcribe --threads N)"),
        ("Devices", ", ".join(_devices())),
        *_models(),
    ]


def _devices() -> list[str]:
    import torch

    found = [f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
    return ["cpu", *found, *(["mps"] if torch.backends.mps.is_available() else [])]


def _models() -> list[tuple[str, str]]:
    from seaspeak.core.pretrained import cache_dir, is_offline

    network = "off (SEASPEAK_OFFLINE)" if is_offline() else "used only to fetch a model that is not in the cache"
    return [("Model cache", str(cache_dir())), ("Network", network)]


def _requirements() -> tuple[list[str], dict[str, list[str]]]:
    """Return the packages that Seaspeak always needs, and those of each extra."""
    from importlib.metadata import requires

    always: list[str] = []
    extras: dict[str, list[str]] = {}
    for line in requires("seaspeak") or []:
        name = re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]
        extra = re.search(r"extra == ['\"]([^'\"]+)", line)
        (extras.setdefault(extra[1], []) if extra else always).append(name)
    return always, extras


def _version(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None
