"""``seaspeak demo``: a recording that ships, said in another voice by the models that ship."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seaspeak._version import __version__
from seaspeak.cli.format import clock, columns
from seaspeak.cli.results import write_file
from seaspeak.cli.speak import opened

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from seaspeak.pipelines.voice_swap import Swap, VoiceSwap
    from seaspeak.text.transcript import Word

SAMPLE = "letter.flac"
WORDS_SHOWN = 8

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def demo(
    folder: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Where the new recording and the report go.")
    ] = Path("demo"),
) -> None:
    """Voice swap: a recording is recognised, punctuated, and said in another voice, all by models that ship."""
    from rich.console import Console

    from seaspeak.pipelines.voice_swap import VoiceSwap

    console = Console(highlight=False)
    console.width = min(console.width, 110)
    entry = _entry()
    console.print(f"[bold]Seaspeak {__version__}[/]: voice swap of {SAMPLE}, {clock(entry['duration'])}\n")
    started = time.perf_counter()
    swapper = VoiceSwap()
    loaded = time.perf_counter() - started
    result = swapper(entry["path"])
    _print_texts(console, entry["text"], result)
    _print_times(console, result)
    console.print(_figures(swapper, result, loaded), soft_wrap=True)
    paths = _write(folder, swapper, result)
    console.print("\n[bold]Where to go next[/]")
    console.print(_next_steps(), soft_wrap=True)
    console.print("\n[bold]Listen and look[/]")
    console.print(columns([("recording", str(paths[0])), ("report", str(paths[1]))], indent="  "), soft_wrap=True)


def _entry() -> dict[str, Any]:
    folder = Path(str(files("seaspeak"))) / "assets" / "samples"
    lines = (folder / "manifest.json").read_text(encoding="utf-8").splitlines()
    [entry] = (entry for entry in map(json.loads, lines) if entry["audio_filepath"] == SAMPLE)
    return entry | {"path": str(folder / SAMPLE)}


def _print_texts(console: Console, said: str, result: Swap) -> None:
    from rich.text import Text

    _print_words(console, "said", [Text(word, style="dim") for word in said.split()])
    _print_words(console, "heard", _marked(said.split(), result.transcript.text.split()))
    _print_words(console, "spoken", map(Text, result.text.split()))


def _print_words(console: Console, title: str, words: Iterable[Text]) -> None:
    """Print words after a title, wrapped and indented."""
    from rich.text import Text

    lines = Text(" ").join(words).wrap(console, console.width - 9)
    for number, line in enumerate(lines or [Text()]):
        line.rstrip()
        console.print(Text(f"  {'' if number else title:<7}") + line)


def _marked(said: Sequence[str], heard: Sequence[str]) -> Iterator[Text]:
    """Yield the words that were heard, those that were not said in red."""
    from rich.text import Text

    for kind, _, _, start, end in SequenceMatcher(None, said, heard, autojunk=False).get_opcodes():
        for word in heard[start:end]:
            yield Text(word, style="" if kind == "equal" else "bold red")


def _print_times(console: Console, result: Swap) -> None:
    def shown(word: Word) -> str:
        return f"{word.start:6.2f} - {word.end:5.2f}"

    console.print("\n[bold]Word times[/] in the recording, confidence; in the new voice")
    pairs = zip(result.transcript.words, result.spoken.words, strict=False)
    for heard, spoken in list(pairs)[:WORDS_SHOWN]:
        console.print(f"  {shown(heard)}  [dim]{heard.confidence:.2f}[/]   {shown(spoken)}  {spoken.text}")


def _figures(swapper: VoiceSwap, result: Swap, loaded: float) -> str:
    import torch

    threads = "1 thread" if torch.get_num_threads() == 1 else f"{torch.get_num_threads()} threads"
    factors = result.real_time_factors
    return (
        f"\n{', '.join(swapper.names.values())} on {threads}: loaded in {clock(loaded)};\n"
        f"heard {clock(result.heard.recording_seconds)} at a real-time factor of [bold]{factors['hearing']:.3f}[/], "
        f"spoke {clock(len(result.samples) / result.sample_rate)} at [bold]{factors['speaking']:.3f}[/]"
    )


def _write(folder: Path, swapper: VoiceSwap, result: Swap) -> tuple[Path, Path]:
    from seaspeak.audio.writing import AudioWriter
    from seaspeak.pipelines.report import render

    recording, report = folder.absolute() / "swapped.wav", folder.absolute() / "report.html"
    with opened(str(recording)) as stream, AudioWriter(stream, sample_rate=result.sample_rate) as writer:
        writer.write(result.samples)
    write_file(report, render(result, swapper))
    return recording, report


def _next_steps() -> str:
    seaspeak = "seaspeak" if shutil.which("seaspeak") == os.path.abspath(sys.argv[0]) else sys.argv[0]
    rows = [
        (f"{seaspeak} swap talk.mp3 -o swapped.wav", "a recording of yours"),
        (f'{seaspeak} speak "Good morning." -o hello.wav', "text to sound"),
        (f"{seaspeak} transcribe talks/ -o texts -f all", "a folder: texts, times, subtitles"),
        (f"{seaspeak} models", "other models, and what is on this machine"),
        ("README.md, make docs", "the same in Python, and how it works"),
    ]
    return columns(rows, indent="  ")
