"""``seaspeak transcribe``: recordings to text, times and subtitles."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seaspeak.cli.format import clock
from seaspeak.cli.interrupts import Interrupts
from seaspeak.cli.progress import Progress
from seaspeak.cli.recordings import Recording, collect, is_one
from seaspeak.cli.results import InOrder, IntoFolder, Results, write_out
from seaspeak.core.errors import SeaspeakError

if TYPE_CHECKING:
    from seaspeak.text.transcript import Transcript

DEFAULT_MODEL = "seaspeak_en_recogniser"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


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
    run = _Run(recordings, results)
    if run.todo:
        run.transcribe(_load(model, device, threads), batch_size)
    raise typer.Exit(1 if run.failed else 0)


def _check_format(form: Format, output: Path | None, one: bool) -> None:
    if output is not None or (one and form is not Format.all):
        return
    if form is Format.all:
        raise typer.BadParameter("'all' writes several files a recording: say where with -o DIR", param_hint="-f")
    if form not in (Format.txt, Format.json, Format.ctm):
        message = f"{form.value!r} of several recordings is one file each: say where with -o DIR"
        raise typer.BadParameter(message, param_hint="-f")


def _results(recordings: Sequence[Recording], output: Path | None, form: Format, one: bool) -> Results:
    if output is not None:
        wanted = [each.value for each in Format if each is not Format.all] if form is Format.all else [form.value]
        return IntoFolder(output, recordings, wanted)

    def shown(index: int, transcript: Transcript) -> str:
        from seaspeak.text.writers import render

        name = recordings[index].name
        if one or form is Format.ctm:
            return render(transcript, form.value, name=PurePath(name).stem)
        if form is Format.json:
            return json.dumps({"audio_filepath": name, **transcript.to_dict()}, ensure_ascii=False) + "\n"
        return f"{name}\t{transcript.text}\n"

    return InOrder(shown, write_out)


def _load(model: str, device: str, threads: int) -> Any:
    """Return the model, ready on its device.

    Raises:
        SeaspeakError: there is no such model or device, or the model does not transcribe.
    """
    import torch

    from seaspeak.collections.asr.models import ASRModel
    from seaspeak.pipelines.models import load

    if threads:
        torch.set_num_threads(threads)
    return load(ASRModel, model, device=None if device == "auto" else device)


@dataclass
class _Run:
    """One pass over the recordings: what is done, what failed, what is left."""

    recordings: Sequence[Recording]
    results: Results
    failed: int = 0
    done: int = 0
    seconds: float = 0.0
    todo: list[int] = field(default_factory=list)
    progress: Progress = field(default_factory=Progress)
    interrupts: Interrupts = field(default_factory=Interrupts)

    def __post_init__(self) -> None:
        for index, recording in enumerate(self.recordings):
            if recording.error is None:
                self.todo.append(index)
            else:
                self.fail(index, recording.error)

    def transcribe(self, model: Any, batch_size: int) -> None:
        """Transcribe what is to do; results come out as they are there, whatever happens to later ones."""
        from seaspeak.collections.asr.transcription import iter_transcribe

        started = time.perf_counter()
        sources = [self.recordings[index].audio for index in self.todo]
        try:
            with self.progress.shown("Transcribing", len(sources)), self.interrupts.noticed():
                for number, outcome in iter_transcribe(model, sources, batch_size=batch_size):
                    self.take(self.todo[number], outcome)
        except KeyboardInterrupt:
            self.report(time.perf_counter() - started)
            raise
        finally:
            self.results.close()
        self.report(time.perf_counter() - started)

    def take(self, index: int, outcome: Transcript | SeaspeakError) -> None:
        """Keep one result, or say what went wrong."""
        with self.progress.hidden(), self.interrupts.put_off():
            if isinstance(outcome, SeaspeakError):
                self.fail(index, outcome)
            else:
                self.done += 1
                self.seconds += outcome.duration
                self.results.add(index, outcome)
        self.progress.advance()

    def fail(self, index: int, error: SeaspeakError) -> None:
        """Name the recording that failed; the others go on."""
        self.failed += 1
        name = self.recordings[index].name
        typer.echo(f"seaspeak: {error}" if name in error.problem else f"seaspeak: {name}: {error}", err=True)
        self.results.add(index, None)

    def report(self, elapsed: float) -> None:
        """Say how fast it went, and whether all went well."""
        if self.seconds:
            factor = elapsed / self.seconds
            message = f"{clock(self.seconds)} of audio in {clock(elapsed)}: real-time factor {factor:.3f}"
            typer.echo(message, err=True)
        if self.failed or self.done < len(self.todo):
            typer.echo(f"{self.done} of {len(self.recordings)} recordings transcribed, {self.failed} failed", err=True)
