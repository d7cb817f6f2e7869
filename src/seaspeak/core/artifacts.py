"""Files that belong to a model, such as a tokenizer: kept for the life of the model, written into its archive."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from seaspeak.core.config import texts
from seaspeak.core.errors import ConfigError, FileMissingError

PREFIX = "nemo:"


class Files(Protocol):
    """Where the files of a model that is being restored are read from: an archive, or a checkpoint."""

    @property
    def names(self) -> list[str]:
        """The files."""

    def read(self, name: str) -> bytes:
        """The content of one."""


class CheckpointFiles:
    """The files in a training checkpoint, which holds them as tensors of bytes."""

    def __init__(self, stored: Mapping[str, Tensor]) -> None:
        self._stored = stored

    @property
    def names(self) -> list[str]:
        """The files."""
        return list(self._stored)

    def read(self, name: str) -> bytes:
        """The content of one."""
        return bytes(self._stored[name].numpy().tobytes())


@dataclass(frozen=True)
class Artifact:
    """One file.

    Attributes:
        member: its name in an archive: a hash of the content, then the file's own name.
        content: what is in it.
        source: the user's file, or None if it came out of an archive.
    """

    member: str
    content: bytes
    source: str | None


class Artifacts:
    """The files of one model by the dotted key of its configuration that names them."""

    def __init__(self) -> None:
        self._found: dict[str, Artifact] = {}
        self._opened: set[str] = set()
        self._folder = _Folder()

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[tuple[str, Artifact]]:
        return iter(self._found.items())

    def __getitem__(self, key: str) -> Artifact:
        if key not in self._found:
            raise ConfigError(f"no file is registered under {key!r}", got=", ".join(self._found) or "no files at all")
        return self._found[key]

    def add(self, key: str, source: str, files: Files | None) -> bool:
        """Keep the file that ``source`` means; False if there is none.

        ``source`` is a path, or ``nemo:<member>`` of what is being restored; a path that does not exist (on this
        machine) is looked for there by its base name.
        """
        path = Path(source).expanduser()
        if not source.startswith(PREFIX) and path.is_file():
            content = path.read_bytes()
            member = f"{hashlib.sha256(content).hexdigest()[:32]}_{path.name}"
            self._found[key] = Artifact(member, content, str(path.resolve()))
            return True
        wanted = source.removeprefix(PREFIX) if source.startswith(PREFIX) else path.name
        stored = _member(wanted, files.names if files else [])
        if files is None or stored is None:
            return False
        self._found[key] = Artifact(stored, files.read(stored), None)
        return True

    def add_content(self, key: str, name: str, content: bytes) -> None:
        """Keep a file that was made here and lies nowhere yet."""
        self._found[key] = Artifact(f"{hashlib.sha256(content).hexdigest()[:32]}_{name}", content, None)

    def keep(self, config: DictConfig, files: Files) -> None:
        """Keep every file that a configuration names, so that what a class does not ask for is saved again, too."""
        for key, value in texts(OmegaConf.to_container(config, resolve=False)):
            if value.startswith(PREFIX) and key not in self._found:
                self.add(key, value, files)

    def opened(self) -> Iterator[tuple[str, Artifact]]:
        """The files for which somebody has asked for a path."""
        return ((key, artifact) for key, artifact in self._found.items() if key in self._opened)

    def path(self, key: str) -> str:
        """A path under which the file can be opened as long as the model, or a copy of it, exists."""
        artifact = self[key]
        self._opened.add(key)
        return artifact.source or self._folder.put(artifact)

    def for_checkpoint(self) -> dict[str, Tensor]:
        """The files as tensors of bytes, which a checkpoint of plain values can hold."""
        return {
            artifact.member: torch.frombuffer(bytearray(artifact.content), dtype=torch.uint8)
            for artifact in self._found.values()
            if artifact.content
        }

    def __getstate__(self) -> dict[str, Any]:
        """Without the folder: files that came out of an archive are written anew where this is loaded."""
        return {"_found": self._found, "_opened": self._opened}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._found, self._opened, self._folder = state["_found"], state["_opened"], _Folder()

    def __deepcopy__(self, memo: dict[int, Any]) -> Artifacts:
        copy = Artifacts()
        copy._found, copy._opened, copy._folder = dict(self._found), set(self._opened), self._folder
        return copy


class _Folder:
    """A private folder that vanishes with the last model that uses it."""

    def __init__(self) -> None:
        self._path: Path | None = None

    def put(self, artifact: Artifact) -> str:
        if self._path is None:
            self._path = Path(tempfile.mkdtemp(prefix="seaspeak-"))
            weakref.finalize(self, shutil.rmtree, self._path, ignore_errors=True)
        file = self._path / Path(artifact.member).name
        if not file.exists():
            file.write_bytes(artifact.content)
        return str(file)


def missing(key: str, source: str) -> FileMissingError:
    """The error for a file that is neither on this machine nor in the archive."""
    return FileMissingError(f"{key} names the file {source!r}, which is neither here nor in the archive")


def _member(wanted: str, names: list[str]) -> str | None:
    """The member called ``wanted``, or ``<hash>_wanted``."""
    if wanted in names:
        return wanted
    return next(
        (name for name in names if name.partition("_")[2] == wanted and len(name.partition("_")[0]) == 32), None
    )
