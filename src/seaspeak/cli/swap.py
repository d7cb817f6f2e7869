"""``seaspeak swap``: recordings in another voice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seaspeak.cli.progress import Progress
from seaspeak.cli.recordings import Recording, collect, is_one
from seaspeak.cli.results import check_folder, places, write_file, write_out
from seaspeak.cli.speak import TTS, VOCODER, Format, opened, sound_format
from seaspeak.cli.transcribe import DEFAULT_MODEL
from seaspeak.core.errors import ConfigError, SeaspeakError

if TYPE_CHECKING:
    from seaspeak.pipelines.voice_swap import Swap, VoiceSwap

PUNCTUATION = "seaspeak_en_punctuation"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def swap(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Recordings, folders, patterns; - reads input.")
    ],
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE|DIR", help="The new recording; a folder for several.")
    ],
    form: Annotated[Format | None, typer.Option("--format", help="By default what -o ends in, else wav.")] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page about it (.html), with everything in it.")
    ] = None,
    asr: Annotated[str, typer.Option(metavar="M", help="Hears: a name or a .nemo file.")] = DEFAULT_MODEL,
    punctuation: Annotated[
        str, typer.Option(metavar="M", help="Punctuates what was heard; 'none' to leave it out.")
    ] = PUNCTUATION,
    tts: Annotated[str, typer.Option(metavar="M", help="Makes the spectrograms.")] = TTS,
    vocoder: Annotated[str, typer.Option(metavar="M", help="Makes the sound.")] = VOCODER,
    speed: Annotated[float, typer.Option(metavar="X", help="2 for twice as fast.")] = 1.0,
    seed: Annotated[int, typer.Option(metavar="N", help="Of models that draw by lot.")] = 0,
) -> None:
    """Hear what is said, punctuate it, and say it in another voice. The text goes to standard output.

    Several recordings go into the folder that -o names, each under its own name.
    """
    one = is_one(files, None)
    if report is not None and not one:
        raise typer.BadParameter("a report is about one recording", param_hint="--report")
    if output == "-":
        raise typer.BadParameter("standard output has the text: name a file", param_hint="-o")
    kind = sound_format(output, form and form.value) if one else (form or Format.wav).value
    recordings, left_out = collect(files)
    for note in left_out:
        typer.echo(f"seaspeak: {note}", err=True)
    there = [recording for recording in recordings if not _failed(recording)]
    todo = list(zip(there, [Path(output)] if one else _targets(Path(output), there, kind), strict=False))
    failed = len(recordings) - len(todo)
    if todo:
        from seaspeak.pipelines.voice_swap import VoiceSwap

        chosen = None if punctuation == "none" else punctuation
        swapper = VoiceSwap(asr, chosen, tts, vocoder, speed=speed, seed=seed)
        failed += _swap_all(swapper, todo, kind, one, report)
    raise typer.Exit(1 if failed else 0)


def _targets(folder: Path, recordings: list[Recording], kind: str) -> list[Path]:
    if folder.suffix and not folder.is_dir():
        raise typer.BadParameter("several recordings go into a folder: -o DIR", param_hint="-o")
    check_folder(folder)
    return [folder / place.with_name(f"{place.name}.{kind}") for place in places(recordings)]


def _failed(recording: Recording) -> bool:
    if recording.error is not None:
        _complain(recording, recording.error)
    return recording.error is not None


def _complain(recording: Recording, error: SeaspeakError) -> None:
    typer.echo(
        f"seaspeak: {error}" if recording.name in error.problem else f"seaspeak: {recording.name}: {error}", err=True
    )


def _swap_all(swapper: VoiceSwap, todo: list[tuple[Recording, Path]], kind: str, one: bool, report: Path | None) -> int:
    """Swap one recording after the other; return how many failed."""
    failed, progress = 0, Progress()
    with progress.shown("Swapping", len(todo)):
        for recording, target in todo:
            try:
                done = _swap(swapper, recording, target, kind)
                if report is not None:
                    from seaspeak.pipelines.report import render

                    write_file(report, render(done, swapper))
            except ConfigError:
                raise
            except SeaspeakError as error:
                failed += 1
                with progress.hidden():
                    _complain(recording, error)
            else:
                with progress.hidden():
                    _tell(recording, done, one)
            progress.advance()
    return failed


def _swap(swapper: VoiceSwap, recording: Recording, target: Path, kind: str) -> Swap:
    """Return the swapped recording, which is then in its file; nothing is in it that was not heard."""
    from seaspeak.audio.writing import AudioWriter

    done = swapper(recording.audio)
    with opened(str(target)) as stream, AudioWriter(stream, sample_rate=done.sample_rate, format=kind) as writer:
        writer.write(done.samples)
    return done


def _tell(recording: Recording, done: Swap, one: bool) -> None:
    from seaspeak.collections.tts.speaking import describe_left_out

    write_out(f"{done.text}\n" if one else f"{recording.name}\t{done.text}\n")
    if left_out := describe_left_out(done.left_out):
        typer.echo(f"seaspeak: {left_out}", err=True)
    rates = ", ".join(f"{what} {factor:.2f}" for what, factor in done.real_time_factors.items())
    typer.echo(f"real-time factors: {rates}", err=True)
