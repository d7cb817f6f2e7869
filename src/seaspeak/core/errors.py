"""Errors that Seaspeak raises on purpose.

    SeaspeakError
    ├── NeuralTypeError (TypeError)        ports or values do not fit
    │   ├── NeuralPortNameMismatchError       no such port
    │   └── NeuralPortNmTensorMismatchError   two types do not fit
    ├── DeclarationError (ValueError)      a type or a port is declared in a way that means nothing
    ├── GraphError (ValueError)            a graph cannot be built or run
    ├── ConfigError (ValueError)           a configuration cannot be used
    │   └── UnknownNameError (LookupError)   a name that nothing is known under
    ├── ArchiveError (ValueError)          a .nemo file cannot be read or written
    ├── AudioError (ValueError)            a recording cannot be read
    ├── DataError (ValueError)             a manifest or data set cannot be used
    ├── ModelError (ValueError)            a model cannot do what was asked
    ├── TrainingError (ValueError)         training cannot start, or cannot go on
    ├── FileMissingError (FileNotFoundError)
    ├── DownloadError (OSError)            a file cannot be fetched, or the network is off
    ├── StorageError (OSError)             a file cannot be written
    └── MissingExtra (ImportError)         an optional package is not installed

Each is also the built-in exception in brackets, so that existing handlers keep working.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


class SeaspeakError(Exception):
    """Base of every error that Seaspeak raises on purpose.

    Attributes:
        problem: what is wrong, one sentence, naming the argument, key or file.
        got, expected: the offending value and what would be accepted, already formatted; may be empty.
        fix: what to do next, as a command or a line of code; may be empty.
        code: stable short name, also an anchor in docs/reference/errors.md.
    """

    code = "error"

    def __init__(self, problem: str, *, got: str = "", expected: str = "", fix: str = "") -> None:
        self.problem, self.got, self.expected, self.fix = problem, got, expected, fix
        rows = (("got", got), ("expected", expected), ("fix", fix))
        super().__init__("\n".join([problem, *(f"  {name:9}{text}" for name, text in rows if text)]))

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError-like bases would print the repr

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.problem, self.got, self.expected, self.fix)


def _rebuild(cls: type[SeaspeakError], problem: str, got: str, expected: str, fix: str) -> SeaspeakError:
    return cls(problem, got=got, expected=expected, fix=fix)


class NeuralTypeError(SeaspeakError, TypeError):
    """Two ports, or a port and a value, do not fit together."""

    code = "neural-type"


class NeuralPortNameMismatchError(NeuralTypeError):
    """A module has no port of the name that was used."""

    code = "port-name"


class NeuralPortNmTensorMismatchError(NeuralTypeError):
    """The type of a value is not the one that its port is declared with."""

    code = "port-type"


class DeclarationError(SeaspeakError, ValueError):
    """A type or a port is declared in a way that means nothing."""

    code = "declaration"


class GraphError(SeaspeakError, ValueError):
    """A graph cannot be built or run as asked."""

    code = "graph"


class ConfigError(SeaspeakError, ValueError):
    """A configuration cannot be used; the message gives the full path of the key."""

    code = "config"


class UnknownNameError(ConfigError, LookupError):
    """A name that nothing is known under; the message proposes the nearest ones."""

    code = "unknown-name"


class ArchiveError(SeaspeakError, ValueError):
    """A ``.nemo`` file is damaged, unsafe, or cannot be used."""

    code = "archive"


class AudioError(SeaspeakError, ValueError):
    """A recording cannot be read."""

    code = "audio"


class DataError(SeaspeakError, ValueError):
    """A manifest or a data set cannot be used; the message gives file and line."""

    code = "data"


class ModelError(SeaspeakError, ValueError):
    """A model cannot do what was asked of it."""

    code = "model"


class TrainingError(SeaspeakError, ValueError):
    """Training cannot start, or cannot go on."""

    code = "training"


class FileMissingError(SeaspeakError, FileNotFoundError):
    """A file or folder that was named does not exist."""

    code = "file-missing"


class DownloadError(SeaspeakError, OSError):
    """A file cannot be fetched, or fetching is switched off."""

    code = "download"


class StorageError(SeaspeakError, OSError):
    """A file cannot be written; what was there before is unchanged."""

    code = "storage"


class MissingExtra(SeaspeakError, ImportError):
    """An optional package is needed that is not installed."""

    code = "missing-extra"


def require(module: str, *, extra: str, why: str) -> ModuleType:
    """Import an optional package, or say which extra brings it.

    Args:
        module: the module to import, for example ``"hydra"``.
        extra: the extra of Seaspeak that installs it.
        why: what needs it, as the subject of a sentence: ``"training from a configuration"``.

    Raises:
        MissingExtra: the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingExtra(
            f"{why} needs the package {module.split('.')[0]!r}, which is not installed",
            fix=f'pip install "seaspeak[{extra}]"',
        ) from error


def nearest(name: str, known: Iterable[str], *, count: int = 3) -> str:
    """Return ``"did you mean 'x' or 'y'?"`` for the known names most like ``name``, or an empty text."""
    choices = {candidate.lower(): candidate for candidate in known}
    close = [choices[match] for match in difflib.get_close_matches(name.lower(), choices, n=count, cutoff=0.6)]
    return f"did you mean {' or '.join(map(repr, close))}?" if close else ""
