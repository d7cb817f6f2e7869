"""``seaspeak demo``: the recordings that ship, transcribed by the model that ships."""

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
from typing import TYPE_CHECKING, Any

import typer

from seaspeak._version import __version__
from seaspeak.cli.format import clock, columns

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from seaspeak.text.transcript import Transcript

MODEL = "seaspeak_en_recogniser"
WORDS_SHOWN = 12

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def demo() -> None:
    """Transcribe the recordings that ship with the model that ships: texts, word times, speed."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    console.width = min(console.width, 110)
    entries = _entries()
    console.print(f"[bold]Seaspeak {__version__}[/]: {len(entries)} recordings, transcribed by {MODEL}\n")
    transcripts, elapsed = _transcribe([entry["path"] for entry in entries])
    for entry, transcript in zip(entries, transcripts, strict=True):
        console.print(f"[bold]{entry['audio_filepath']}[/]  {clock(entry['duration'])}, voice {entry['voice']}")
        _print_words(console, "said", [Text(word, style="dim") for word in entry["text"].split()])
        _print_words(console, "heard", _marked(entry["text"].split(), transcript.text.split()))
        console.print()
    first = entries[0]["audio_filepath"]
    console.print(f"[bold]Word times[/] of {first}, in seconds, and confidence")
    for word in transcripts[0].words[:WORDS_SHOWN]:
        console.print(f"  {word.start:6.2f} - {word.end:5.2f}  [dim]{word.confidence:.2f}[/]  {word.text}")
    console.print(_figures(entries, transcripts, elapsed), soft_wrap=True)
    console.print("\n[bold]Where to go next[/]")
    console.print(_next_steps(), soft_wrap=True)


def _entries() -> list[dict[str, Any]]:
    folder = Path(str(files("seaspeak"))) / "assets" / "samples"
    lines = (folder / "manifest.json").read_text(encoding="utf-8").splitlines()
    return [entry | {"path": str(folder / entry["audio_filepath"])} for entry in map(json.loads, lines)]


def _transcribe(paths: list[str]) -> tuple[list[Transcript], float]:
    """Return the transcripts, and the seconds that they took once the model was loaded."""
    from seaspeak.collections.asr.models import ASRModel

    model = ASRModel.from_pretrained(MODEL)
    started = time.perf_counter()
    transcripts = model.transcribe(paths, return_hypotheses=True, verbose=False)
    return transcripts, time.perf_counter() - started


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


def _figures(entries: Sequence[dict[str, Any]], transcripts: Sequence[Transcript], elapsed: float) -> str:
    import torch

    from seaspeak.collections.asr.metrics.wer import word_error_rate

    seconds = sum(entry["duration"] for entry in entries)
    errors = word_error_rate([t.text for t in transcripts], [entry["text"] for entry in entries])
    threads = "1 thread" if torch.get_num_threads() == 1 else f"{torch.get_num_threads()} threads"
    return (
        f"\n[bold]{clock(seconds)}[/] of audio in [bold]{clock(elapsed)}[/] on {threads}: "
        f"real-time factor [bold]{elapsed / seconds:.3f}[/]; {errors:.1%} of the words are wrong"
    )


def _next_steps() -> str:
    seaspeak = "seaspeak" if shutil.which("seaspeak") == os.path.abspath(sys.argv[0]) else sys.argv[0]
    rows = [
        (f"{seaspeak} transcribe talk.mp3", "a recording of yours"),
        (f"{seaspeak} transcribe talks/ -o texts -f all", "a folder: texts, times, subtitles"),
        (f"{seaspeak} models", "other models, and what is on this machine"),
        (f"{seaspeak} train --help", "a recogniser for your own data"),
        ("README.md, make docs", "the same in Python, and how it works"),
    ]
    return columns(rows, indent="  ")
