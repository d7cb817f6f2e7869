"""``seaspeak punctuate``: marks and capitals for texts without, one line in, one line out."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from seaspeak.core.errors import DataError, FileMissingError

if TYPE_CHECKING:
    from seaspeak.collections.nlp.models import PunctuationCapitalizationModel

MODEL = "seaspeak_en_punctuation"
TOGETHER = 64
"""Lines of a file that go through the model at once; those of a pipe go one by one, as they come."""

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def punctuate(
    file: Annotated[str, typer.Argument(metavar="[FILE|-]", help="A text file; - for standard input.")] = "-",
    model: Annotated[str, typer.Option("-m", "--model", metavar="NAME|PATH", help="A name, or a .nemo file.")] = MODEL,
) -> None:
    """Put commas, full stops, question marks and capitals into a text: one line in, one line out."""
    if file == "-":
        restorer = _load(model)
        for lines in _lines(sys.stdin.buffer, "standard input", 1):
            _print(restorer, lines)
        return
    path = Path(file)
    if not path.is_file():
        raise FileMissingError(f"there is no file {file!r}")
    restorer = _load(model)
    with path.open("rb") as stream:
        for lines in _lines(stream, file, TOGETHER):
            _print(restorer, lines)


def _load(model: str) -> PunctuationCapitalizationModel:
    from seaspeak.collections.nlp.models import PunctuationCapitalizationModel
    from seaspeak.pipelines.models import load

    restorer: PunctuationCapitalizationModel = load(PunctuationCapitalizationModel, model)
    return restorer


def _lines(stream: BinaryIO, name: str, together: int) -> Iterator[list[str]]:
    """Yield the lines of ``stream``, ``together`` of them at a time.

    Raises:
        DataError: a line is not UTF-8.
    """
    numbered = enumerate(iter(stream.readline, b""), 1)
    while group := list(itertools.islice(numbered, together)):
        yield [_decoded(line, number, name) for number, line in group]


def _decoded(line: bytes, number: int, name: str) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(f"line {number} of {name} is not text: {error}", expected="UTF-8") from error


def _print(restorer: PunctuationCapitalizationModel, lines: list[str]) -> None:
    """Print one line for each; a line without words is an empty one."""
    worded = [line for line in lines if line.strip()]
    restored = iter(restorer.add_punctuation_capitalization(worded) if worded else [])
    for line in lines:
        typer.echo(next(restored) if line.strip() else "")
    sys.stdout.flush()
