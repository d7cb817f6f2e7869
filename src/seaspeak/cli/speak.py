"""``seaspeak speak``: text to sound, in files and in pipes, while it is made."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, cast

import typer

from seaspeak.cli.progress import Progress
from seaspeak.cli.results import check_folder, write_file
from seaspeak.core.errors import ConfigError, DataError, FileMissingError, StorageError, nearest

if TYPE_CHECKING:
    from seaspeak.collections.tts.speaking import Sentence, Speaker

TTS = "seaspeak_en_fastpitch"
VOCODER = "seaspeak_en_hifigan"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class Format(str, Enum):
    """What ``--format`` accepts."""

    wav = "wav"
    flac = "flac"
    ogg = "ogg"
    mp3 = "mp3"


@app.command()
def speak(
    text: Annotated[str, typer.Argument(metavar="TEXT|FILE|-", help="What to say; a text file; - for standard input.")],
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE", help="Where the sound goes; - for standard output.")
    ] = "",
    form: Annotated[Format | None, typer.Option("--format", help="By default what FILE ends in, else wav.")] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Bare samples (16 bits, one channel) to standard output, or to -o FILE.")
    ] = False,
    speed: Annotated[float, typer.Option(metavar="X", help="2 for twice as fast.")] = 1.0,
    times: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write when each word is spoken: .json, .srt, .vtt, .tsv, .ctm."),
    ] = None,
    tts: Annotated[str, typer.Option(metavar="M", help="Makes the spectrograms: a name or a .nemo file.")] = TTS,
    vocoder: Annotated[str, typer.Option(metavar="M", help="Makes the sound: a name or a .nemo file.")] = VOCODER,
    seed: Annotated[int, typer.Option(metavar="N", help="Of models that draw by lot.")] = 0,
) -> None:
    """Say a text of any length: sentence by sentence, so that sound comes before all is spoken.

    The same text and seed give the same samples. Symbols that cannot be spoken are left out and named.
    """
    if not output and not raw:
        raise typer.BadParameter("say where the sound goes: -o FILE, -o - for standard output", param_hint="-o")
    if raw and form is not None:
        raise typer.BadParameter("--raw is a format of its own", param_hint="--format")
    kind = sound_format(output or "-", "raw" if raw else form and form.value)
    times_kind = None if times is None else _times_format(times)
    if times is not None:
        check_folder(times.parent)
    content = _content(text)
    from seaspeak.collections.tts.speaking import describe_left_out, nothing_to_say, sentences_of, transcript_of
    from seaspeak.text.unspeakable import unspeakable

    total = len(sentences_of(content))
    if not total:
        raise nothing_to_say(content)
    if left_out := describe_left_out(unspeakable(content)):
        typer.echo(f"seaspeak: {left_out}", err=True)
    spoken, seconds = _speak(_load(tts, vocoder, speed, seed), content, total, output or "-", kind)
    if times is not None and times_kind is not None:
        from seaspeak.text.writers import render

        write_file(times, render(transcript_of(spoken, seconds), times_kind, name=times.stem))


def sound_format(output: str, wanted: str | None) -> str:
    """Return the format that the user named, else the one of the file's name; what is wrong with it is wrong usage."""
    from seaspeak.audio.writing import format_of

    if wanted is not None:
        return wanted
    try:
        return format_of(output)
    except ConfigError as error:
        raise typer.BadParameter(str(error), param_hint="-o") from error


@contextlib.contextmanager
def opened(output: str) -> Iterator[BinaryIO]:
    """Open a file that appears when it is complete, or standard output for ``-``.

    Raises:
        StorageError: it cannot be written.
    """
    from seaspeak.core.archive import OneWay, atomic

    if output != "-":
        with atomic(Path(output)) as stream:
            yield stream
        return
    try:
        yield cast(BinaryIO, OneWay(sys.stdout.buffer))
    except BrokenPipeError:
        raise  # whoever was listening has heard enough
    except OSError as error:
        raise StorageError("standard output cannot be written", got=error.strerror or str(error)) from error


def _times_format(path: Path) -> str:
    from seaspeak.text.writers import FORMATS

    kind = path.suffix.lower().lstrip(".")
    if kind not in FORMATS:
        known = " ".join(f".{each}" for each in FORMATS)
        hint = nearest(kind, FORMATS)
        raise typer.BadParameter(f"{str(path)!r} should end in one of {known}. {hint}".rstrip(), param_hint="--times")
    return kind


def _content(text: str) -> str:
    """Return what to say: standard input, the content of a file, or the words themselves.

    Raises:
        FileMissingError: what looks like the path of a text file is none.
        DataError: the file holds no text.
    """
    if text == "-":
        return _decoded(sys.stdin.buffer.read(), "standard input")
    path = Path(text)
    try:
        if path.is_file():
            return _decoded(path.read_bytes(), str(path))
    except OSError:
        return text  # longer than a path can be
    if path.suffix.lower() in (".txt", ".md") and " " not in text:
        raise FileMissingError(f"there is no file {text!r}")
    return text


def _decoded(content: bytes, name: str) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is not text: {error}", expected="UTF-8") from error
    if not text.strip():
        raise DataError(f"{name} is empty: there is nothing to say", fix="give it some words")
    return text


def _load(tts: str, vocoder: str, speed: float, seed: int) -> Speaker:
    from seaspeak.collections.tts.models import SpectrogramGenerator, Vocoder
    from seaspeak.collections.tts.speaking import Speaker
    from seaspeak.pipelines.models import load

    return Speaker(load(SpectrogramGenerator, tts), load(Vocoder, vocoder), speed=speed, seed=seed)


def _speak(speaker: Speaker, text: str, total: int, output: str, kind: str) -> tuple[list[Sentence], float]:
    """Write the sound as it comes; return what was spoken, and how many seconds it takes."""
    from seaspeak.audio.writing import AudioWriter

    sentences: list[Sentence] = []
    progress = Progress()
    with (
        progress.shown("Speaking", total),
        opened(output) as stream,
        AudioWriter(stream, sample_rate=speaker.sample_rate, format=kind) as writer,
    ):
        for chunk in speaker.stream(text):
            writer.write(chunk.samples)
            if chunk.sentence is not None:
                sentences.append(chunk.sentence)
                progress.at(len(sentences), total)
    return sentences, writer.num_samples / speaker.sample_rate
