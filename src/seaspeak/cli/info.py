"""``seaspeak info``: what a model is and holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seaspeak.cli.format import columns, size

if TYPE_CHECKING:
    from seaspeak.core.pretrained import Entry

Rows = list[tuple[str, str]]

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def info(
    model: Annotated[str, typer.Argument(metavar="FILE.nemo|NAME", help="An archive, or a name (seaspeak models).")],
) -> None:
    """Show a model's class, parameters, vocabulary, recipe, licence and card."""
    from seaspeak.core import pretrained

    path = Path(model)
    here: Path | None = path
    if path.suffix == ".nemo" or path.is_file():
        rows = [*_archive(path), ("licence", "not known: an archive does not say")]
    else:
        entry = pretrained.find(model)
        here = pretrained.packaged(entry) or pretrained.cached(entry)
        away = f"not on this machine; {entry.url or entry.hub_id or 'no address is known'}"
        rows = _published(entry) + (_archive(here) if here else [("file", away)])
    typer.echo(columns(rows))
    if here and (card := here.with_suffix(".md")).is_file():
        typer.echo("\n" + card.read_text(encoding="utf-8").rstrip())


def _published(entry: Entry) -> Rows:
    """What the catalogue knows of a model."""
    rows = [
        ("name", ", ".join([entry.name, *entry.aliases])),
        ("class", entry.class_name),
        ("task", " ".join([entry.task, entry.language])),
        ("trained on", entry.trained_on),
        ("metrics", "; ".join(entry.metrics)),
        ("licence", entry.licence or "not known"),
    ]
    return [(name, value) for name, value in rows if value.strip()]


def _archive(path: Path) -> Rows:
    """What the archive itself says; the network is built only to be counted.

    Raises:
        SeaspeakError: it cannot be read.
    """
    from seaspeak.core.archive import Archive

    with Archive.open(path) as archive:
        config, version, names = archive.config, archive.nemo_version, archive.names
    return [
        ("file", f"{path} ({size(path.stat().st_size)})"),
        ("written by", f"NeMo {version}" if version else "NeMo before 1.3"),
        ("target", str(config.get("target", "not given"))),
        ("sample rate", f"{config.sample_rate} Hz" if config.get("sample_rate") else "not given"),
        ("vocabulary", _vocabulary(config)),
        *_built(path),
        ("members", ", ".join(sorted(names))),
    ]


def _built(path: Path) -> Rows:
    from seaspeak.core import Model
    from seaspeak.core.errors import SeaspeakError

    try:
        model: Any = Model.restore_from(path)
    except SeaspeakError as error:
        return [("loads", f"no: {error.problem}")]
    return [("loads", "yes"), ("parameters", f"{model.num_weights:,}"), ("recipe", model.recipe)]


def _vocabulary(config: Any) -> str:
    from omegaconf import OmegaConf

    for key in ("decoder.vocabulary", "labels", "tokenizer.model_path"):
        found = OmegaConf.select(config, key)
        if (isinstance(found, Sequence) and not isinstance(found, str)) or OmegaConf.is_list(found):
            return f"{len(found)} characters: {' '.join(map(_visible, found))}"
        if found:
            return f"pieces of words, in {str(found).removeprefix('nemo:')}"
    return "none"


def _visible(character: str) -> str:
    return "space" if character == " " else str(character)
