"""``seaspeak data check``: what would go wrong with a manifest, before anything trains on it."""

from __future__ import annotations

import json
import math
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seaspeak.core.errors import UnknownNameError, nearest

if TYPE_CHECKING:
    from seaspeak.data.report import Report

_CONFIGS = "seaspeak.collections.asr.configs"

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def data() -> None:
    """Check data before anything trains on it."""


@app.command()
def check(
    manifest: Annotated[list[str], typer.Argument(metavar="MANIFEST...", help="Manifests: one JSON object a line.")],
    config: Annotated[
        str,
        typer.Option(
            "-c",
            "--config",
            metavar="NAME|FILE",
            help="Whose labels, rate and frames count: a packaged configuration, a YAML file, or a .nemo file.",
        ),
    ] = "quartznet_15x5",
    labels: Annotated[
        str | None, typer.Option(metavar="CHARACTERS", help="What the model writes, if not the configuration's labels.")
    ] = None,
    sample_rate: Annotated[
        int | None, typer.Option(metavar="HZ", help="The model's rate, if not the configuration's.")
    ] = None,
    normalize: Annotated[
        bool, typer.Option("--normalize", help="Put texts into plain words first, as normalize_transcripts does.")
    ] = False,
    tar: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="Recordings are in tar files, such as 'audio_{0..7}.tar'.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Decode nothing: finds neither damage nor copies under another name.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON, with every place.")] = False,
) -> None:
    """Check manifests, their texts and their recordings. Exit code 1 if training would fail."""
    report = _report(manifest, config, labels, sample_rate, normalize, tar, quick)
    if as_json:
        typer.echo(json.dumps(report.to_dict(), ensure_ascii=False, indent=2))
    else:
        typer.echo("\n".join(report.lines()))
    raise typer.Exit(report.exit_code)


def _report(
    manifest: list[str],
    config: str,
    labels: str | None,
    sample_rate: int | None,
    normalize: bool,
    tar: str | None,
    quick: bool,
) -> Report:
    from seaspeak.cli.progress import Progress
    from seaspeak.data.check import Frames, check_manifest
    from seaspeak.data.manifest import lines, manifest_paths
    from seaspeak.data.tarred import shard_paths

    model = _model_section(config)
    own, section = model.get("labels"), model.get("train_ds") or {}
    frames = Frames(
        sample_rate=sample_rate or model.get("sample_rate") or 16000,
        window_stride=(model.get("preprocessor") or {}).get("window_stride") or 0.01,
        subsampling=_subsampling(model.get("encoder") or {}),
    )
    paths = manifest_paths(manifest)
    total = sum(1 for path in paths for _ in lines(path))
    bar = Progress()
    with bar.shown("checking", total):
        return check_manifest(
            manifest,
            list(labels) if labels is not None else own and list(own),
            parser=section.get("parser") or "en",
            normalize=normalize or bool(section.get("normalize_transcripts")),
            frames=frames,
            decode=not quick,
            tar_files=shard_paths(tar, beside=[path.parent for path in paths]) if tar else (),
            progress=bar.advance,
        )


def _model_section(config: str) -> Any:
    """Return what a configuration, or an archive, says of its model.

    Raises:
        UnknownNameError: no packaged configuration has that name.
        FileMissingError, ConfigError, ArchiveError: there is no such file, or it cannot be read.
    """
    from seaspeak.core.config import to_config

    path = Path(config).expanduser()
    if path.suffix == ".nemo":
        from seaspeak.core.archive import Archive

        with Archive.open(path) as archive:
            return archive.config
    if path.suffix not in (".yaml", ".yml"):
        folder = files(_CONFIGS)
        known = sorted(each.name.removesuffix(".yaml") for each in folder.iterdir() if each.name.endswith(".yaml"))
        if config not in known:
            raise UnknownNameError(
                f"no packaged configuration is called {config!r}",
                expected=", ".join(known),
                fix=nearest(config, known),
            )
        with as_file(folder / f"{config}.yaml") as found:
            read = to_config(found)
    else:
        read = to_config(path)
    return read.get("model", read)


def _subsampling(encoder: Any) -> int:
    """Return how many frames of the front end become one of the encoder's, as its configuration says."""
    if encoder.get("subsampling_factor"):
        return int(encoder["subsampling_factor"])
    return math.prod(
        block["stride"][0] ** (1 if block.get("stride_last") else int(block.get("repeat", 1)))
        for block in encoder.get("jasper") or ()
    )
