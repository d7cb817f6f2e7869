"""Published models by name: the catalogue, the cache, the download.

A name is looked up in ``catalogue.json``: what ships with Seaspeak and what NeMo's releases 0.11 to 3.0 list, as
facts (name, aliases, class, address, metrics). A file that ships, or that is in the cache, is used without touching
the network, which ``SEASPEAK_OFFLINE=1`` switches off altogether.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache, total_ordering
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

from seaspeak.core import registry
from seaspeak.core.download import Progress, download
from seaspeak.core.errors import DownloadError, UnknownNameError, nearest


@dataclass(frozen=True)
class Entry:
    """One published model.

    Attributes:
        name: its name.
        class_name: the class of its archive, without a module.
        collection: ``asr``, ``nlp``, ``tts`` or ``multimodal``.
        task: what it does.
        language: of which language, as a code.
        url: where its archive is; empty where it ships with Seaspeak or was never one file.
        urls: the archives of a name that stands for several.
        hub_id: its page on the model hub, where there is no address.
        aliases: other names that are accepted.
        older_names: names of its kind in earlier releases, which are not.
        earlier_urls: addresses in earlier releases.
        also_listed_by: further classes that list it.
        trained_on: the data.
        metrics: what its publisher measured; numbers without a word are word error rates in percent.
        licence: as far as it is known.
        recipe: how its features are computed, where the archive does not say.
        sha256: checksum of the archive, where known.
        size: bytes of the archive, where known.
    """

    name: str
    class_name: str
    collection: str
    task: str = ""
    language: str = ""
    url: str = ""
    urls: tuple[str, ...] = ()
    hub_id: str = ""
    aliases: tuple[str, ...] = ()
    older_names: tuple[str, ...] = ()
    earlier_urls: tuple[str, ...] = ()
    also_listed_by: tuple[str, ...] = ()
    trained_on: str = ""
    metrics: tuple[str, ...] = ()
    licence: str = ""
    recipe: str | None = None
    sha256: str | None = None
    size: int | None = None

    @property
    def file_name(self) -> str:
        """What its file in the cache is called."""
        return f"{self.name}.nemo"

    @property
    def description(self) -> str:
        """One line about it."""
        about = ", ".join(
            filter(None, (self.task, self.language, f"trained on {self.trained_on}" * bool(self.trained_on)))
        )
        return "; ".join(filter(None, (about, *self.metrics)))


@total_ordering
@dataclass(eq=False)
class PretrainedModelInfo:
    """A published model, as NeMo's ``list_available_models`` describes one."""

    pretrained_model_name: str
    description: str
    location: str
    class_: type[Any] | None = None
    aliases: list[str] | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PretrainedModelInfo):
            return NotImplemented
        return self.location == other.location or self.pretrained_model_name == other.pretrained_model_name

    def __lt__(self, other: PretrainedModelInfo) -> bool:
        return self.pretrained_model_name < other.pretrained_model_name

    def __hash__(self) -> int:
        return hash(self.location)


@cache
def catalogue() -> tuple[Entry, ...]:
    """Every model of the catalogue; those that ship come first."""
    known = {field.name for field in fields(Entry)}
    text = resources.files("seaspeak.core").joinpath("catalogue.json").read_text(encoding="utf-8")
    entries = []
    for row in json.loads(text):
        row = {
            "class_name" if key == "class" else key: tuple(value) if isinstance(value, list) else value
            for key, value in row.items()
        }
        entries.append(Entry(**{key: value for key, value in row.items() if key in known}))
    return tuple(entries)


def find(name: str) -> Entry:
    """Return the entry that is called ``name``, or has it as an alias.

    Raises:
        UnknownNameError: there is none; the message has the nearest names.
    """
    for entry in catalogue():
        if entry.name == name:
            return entry
    for entry in catalogue():
        if name in entry.aliases:
            return entry
    older = next((f"it is called {entry.name!r} now" for entry in catalogue() if name in entry.older_names), "")
    known = [known for entry in catalogue() for known in (entry.name, *entry.aliases)]
    remedy = older or nearest(name, known) or "list_available_models() and 'seaspeak models' list the names"
    raise UnknownNameError(f"there is no published model called {name!r}", fix=remedy)


def of_class(cls: type[Any]) -> list[PretrainedModelInfo]:
    """The published models of a class and of the classes below it, by name."""
    names = {below.__name__: below for below in registry.family(cls)}
    found = []
    for entry in catalogue():
        owner = next((names[name] for name in (entry.class_name, *entry.also_listed_by) if name in names), None)
        if owner is not None:
            location = entry.url or entry.hub_id or f"assets/models/{entry.file_name}"
            found.append(
                PretrainedModelInfo(entry.name, entry.description, location, owner, list(entry.aliases) or None)
            )
    return sorted(found)


def fetch(entry: Entry, *, refresh: bool = False, progress: Progress | None = None) -> Path:
    """Return the archive of an entry: the one that ships, the one in the cache, or a fresh download.

    Args:
        entry: the model.
        refresh: download again what is in the cache.
        progress: told how far a download is; by default a progress bar on a terminal.

    Raises:
        DownloadError: it is not here and cannot be fetched; the message says which file to put where.
    """
    here = packaged(entry) or (None if refresh else cached(entry))
    if here is not None:
        return here
    target = cache_dir() / entry.file_name
    if not entry.url:
        where = ", ".join(entry.urls) or f"the model hub's page {entry.hub_id}" * bool(entry.hub_id)
        problem = f"it is at {where}" if where else "no address of it is known"
        raise DownloadError(f"{entry.name!r} cannot be fetched as one file: {problem}", fix=_by_hand(entry))
    if is_offline():
        raise DownloadError(
            f"{entry.name!r} is not on this machine and SEASPEAK_OFFLINE keeps it from being fetched; {_by_hand(entry)}"
        )
    try:
        return download(entry.url, target, sha256=entry.sha256, size=entry.size, refresh=refresh, progress=progress)
    except DownloadError as error:
        raise DownloadError(error.problem, got=error.got, fix=_by_hand(entry)) from error


def packaged(entry: Entry) -> Path | None:
    """The archive of a model that ships with Seaspeak; None if it does not."""
    path = Path(str(resources.files("seaspeak"))) / "assets" / "models" / entry.file_name
    return path if path.is_file() else None


def cached(entry: Entry) -> Path | None:
    """The archive of a model in the cache, or where NeMo has put it; None if it is in neither."""
    return next((path for path in _places(entry) if path.is_file()), None)


def cache_dir() -> Path:
    """``SEASPEAK_CACHE_DIR``, else ``NEMO_CACHE_DIR``, else the platform's folder for what can be fetched again."""
    if chosen := os.environ.get("SEASPEAK_CACHE_DIR") or os.environ.get("NEMO_CACHE_DIR"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "seaspeak"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "seaspeak" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seaspeak"


def is_offline() -> bool:
    """Whether ``SEASPEAK_OFFLINE`` switches the network off."""
    return os.environ.get("SEASPEAK_OFFLINE", "").strip().lower() not in ("", "0", "false", "no", "off")


def _places(entry: Entry) -> Iterator[Path]:
    """Where the file may be: by our name, by the publisher's, or ``<stem>/<hash>/<file>`` as NeMo lays it."""
    folder = cache_dir()
    yield folder / entry.file_name
    files = [PurePosixPath(url).name for url in (entry.url, *entry.earlier_urls) if url]
    home = Path.home() / ".cache" / "torch" / "NeMo"
    nemo = [Path(root) for root in (os.environ.get("NEMO_CACHE_DIR"),) if root] + sorted(
        home.glob("NeMo_*"), reverse=True
    )
    for file in dict.fromkeys(files):
        yield folder / file
        for root in nemo:
            yield from sorted(root.glob(f"{PurePosixPath(file).stem}/*/{file}"))


def _by_hand(entry: Entry) -> str:
    source = f"download {entry.url} elsewhere and put it" if entry.url else "put its archive"
    return f"{source} here as {cache_dir() / entry.file_name}"
