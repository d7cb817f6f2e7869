"""``seaspeak models``: the catalogue, and what of it is on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from seaspeak.cli.format import columns, size

if TYPE_CHECKING:
    from seaspeak.core.pretrained import Entry

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def models(
    word: Annotated[
        str, typer.Argument(help="List only models with this in their name, task, language or class.")
    ] = "",
    here: Annotated[bool, typer.Option("--here", help="List only models that are on this machine.")] = False,
) -> None:
    """List published models: which ship, which are in the cache, which this version can run."""
    from seaspeak.core.pretrained import cache_dir, catalogue

    entries = [entry for entry in catalogue() if word.lower() in _about(entry)]
    rows = [(entry.name, _where(entry), entry.task, entry.language, entry.class_name) for entry in entries]
    if here:
        rows = [row for row in rows if not row[1].startswith(("download", "not yet"))]
    if rows:
        typer.echo(columns([("name", "where", "task", "language", "class"), *rows]))
    typer.echo(f"\n{len(rows)} models; the cache is {cache_dir()} (SEASPEAK_CACHE_DIR)", err=True)


def _about(entry: Entry) -> str:
    return " ".join([entry.name, *entry.aliases, entry.task, entry.language, entry.class_name]).lower()


def _where(entry: Entry) -> str:
    """Say where the archive is: in the package, in the cache, in the network, or of no use to this version."""
    from seaspeak.core import pretrained, registry

    if path := pretrained.packaged(entry):
        return f"ships, {size(path.stat().st_size)}"
    if path := pretrained.cached(entry):
        return f"cached, {size(path.stat().st_size)}"
    return "download" if registry.has_class(entry.class_name) else "not yet"
