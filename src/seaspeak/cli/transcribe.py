"""``seaspeak transcribe``: recordings to text, times and subtitles."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seaspeak.cli.format import clock
from seaspeak.cli.recordings import Recording, collect, is_one
from seaspeak.cli.results import InOrder, IntoFolder, Results, rendered, write_line

if TYPE_CHECKING:
    from seaspeak.text.transcript import Transcript

DEFAULT_MODEL = "seaspeak_en_recogniser"
FORMATS = ("txt", "json", "srt", "vtt", "tsv", "ctm")

app = typer.Typer()


class Format(str, Enum):
    """What ``-f`` accepts."""

    txt = "txt"
    json = "json"
    srt = "srt"
    vtt = "vtt"
    tsv = "tsv"
    ctm = "ctm"
    all = "all"


@app.command()
def transcribe(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE...", help="Recordings, folders, patterns; - reads standard input."),
    ] = None,
    model: Annotated[
        str, typer.Option("-m", "--model", help="A name (seaspeak models) or a .nemo file.")
    ] = DEFAULT_MODEL,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="Write one file a recording and format into this folder."),
    ] = None,
    form: Annotated[Format, typer.Option("-f", "--format", help="What to write.")] = Format.txt,
    manifest: Annotated[
        Path | None,
        typer.Option(metavar="M", help="Transcribe what this NeMo manifest lists."),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Recordings at a time.")] = 4,
    device: Annotated[
        str, typer.Option(metavar="D", help="cpu, cuda, cuda:1, mps; auto takes a GPU if there is one.")
    ] = "auto",
    threads: Annotated[int, typer.Option(min=0, metavar="N", help="Processor threads; 0 lets torch decide.")] = 0,
) -> None:
    """Transcribe recordings: WAV, FLAC, OGG, Opus, MP3; any rate, any number of channels, any length.

    Without -o, texts go to standard output: the text alone for one FILE, PATH<TAB>TEXT a line for several.
    """
    files = files or []
    if not files and manifest is None:
        raise typer.BadParameter("name at least one recording, or a manifest with --manifest", param_hint="FILE...")
    one = is_one(files, manifest)
    _check_format(form, output, one)
    recordings, left_out = collect(files, manifest)
    results = _results(recordings, output, form, one)
    for note in left_out:
        typer.echo(f"seaspeak: {note}", err=True)
    failed = _transcribe_all(recordings, results, model, batch_size, device, threads)
    raise typer.Exit(1 if failed else 0)


def _check_format(form: Format, output: Path | None, one: bool) -> None:
    if output is None and form is Format.all:
        raise typer.BadParameter("'all' writes several files a recording: say where with -o DIR", param_hint="-f")
    if output is None and not one and form not in (Format.txt, Format.json, Format.ctm):
        message = f"{form.value!r} for several recordings needs -o DIR, one file each"
        raise typer.BadParameter(message, param_hint="-f")


def _results(recordings: Sequence[Recording], output: Path | None, form: Format, one: bool) -> Results:
    if output is not None:
        return IntoFolder(output, recordings, FORMATS if form is Format.all else [form.value])

    def render(index: int, transcript: Transcript) -> str:
        if form is Format.txt:
            return transcript.text if one else f"{recordings[index].name}\t{transcript.text}"
        return rendered(transcript, form.value)

    return InOrder(render, write_line)
