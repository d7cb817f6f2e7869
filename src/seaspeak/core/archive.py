"""``.nemo`` archives: a tar with a configuration, weights and the files that a model needs.

Read safely: members are read by name from the tar and never extracted by path; links, devices and names that lead
out are refused; sizes are bounded before anything is allocated; weights are tensors and nothing else. Written so
that NeMo reads them, and atomically: a save that fails leaves the old file.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from omegaconf import DictConfig, OmegaConf

from seaspeak.core import tar
from seaspeak.core.config import from_plain, read_yaml, texts
from seaspeak.core.errors import ArchiveError, ConfigError, FileMissingError, StorageError

if TYPE_CHECKING:
    from torch import Tensor

    from seaspeak.core.weights import Storage

CONFIG = "model_config.yaml"
WEIGHTS = "model_weights.ckpt"
SAFE_WEIGHTS = "model_weights.safetensors"
_MAX_CONFIG = 8 << 20  # bytes of YAML
_MAX_VALUES = 200_000  # values in a configuration when its aliases are written out


class Archive:
    """A ``.nemo`` file that is open for reading.

    ```python
    with Archive.open("model.nemo") as archive:
        archive.config, archive.names, archive.state_dict()
    ```

    Attributes:
        path: the file.
    """

    def __init__(self, path: Path, file: BinaryIO, *, max_bytes: int | None = None) -> None:
        self.path = path
        self._limit = max_bytes or min(max(tar.MAX_RATIO * path.stat().st_size, 1 << 20), tar.MAX_BYTES)
        self._file = tar.unzipped(file, limit=max_bytes)
        self._members = tar.index(self._file)

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: str | os.PathLike[str], *, max_bytes: int | None = None) -> Iterator[Archive]:
        """Open an archive, plain or gzip-compressed.

        Args:
            path: the file.
            max_bytes: how much it may unpack to; by default 100 times the file, at most 64 GiB.

        Raises:
            FileMissingError: there is no such file.
            ArchiveError: it is damaged, unsafe or no archive; also raised by the methods.
        """
        path = Path(path).expanduser()
        try:
            file = path.open("rb")
        except FileNotFoundError as error:
            raise FileMissingError(f"there is no archive {path}") from error
        except OSError as error:
            raise ArchiveError(f"{path} cannot be read: {error.strerror}") from error
        with contextlib.ExitStack() as stack:
            stack.enter_context(file)
            stack.enter_context(_naming(path))
            archive = cls(path, file, max_bytes=max_bytes)
            stack.callback(archive._file.close)
            yield archive

    @property
    def names(self) -> list[str]:
        """The members, without ``./``."""
        return list(self._members)

    @property
    def config(self) -> DictConfig:
        """A copy of the configuration, in today's form and without interpolations."""
        try:
            return from_plain(self._values)
        except ConfigError as error:
            raise ArchiveError(error.problem, got=error.got, expected=error.expected, fix=error.fix) from error
        except RecursionError as error:
            raise ArchiveError(f"{CONFIG} is nested too deeply") from error

    @cached_property
    def _values(self) -> dict[str, Any]:
        text = self._text(CONFIG)
        values = read_yaml(text, name=CONFIG, max_values=_MAX_VALUES)
        if "${" not in text:
            return values
        _check_interpolations(values, len(text))
        resolved = OmegaConf.to_container(OmegaConf.create(values), resolve=True)
        return cast(dict[str, Any], resolved)

    @property
    def nemo_version(self) -> str | None:
        """The release of NeMo that the configuration names; None in files of NeMo before 1.7."""
        version = self._values.get("nemo_version")
        return None if version is None else str(version)

    def read(self, name: str) -> bytes:
        """Return the content of a member.

        Raises:
            ArchiveError: there is none of this name.
        """
        with self._window(name) as window:
            return window.read()

    def state_dict(self) -> dict[str, Tensor]:
        """Return the weights: floating-point ones as float32 (smaller storage is expanded), the others as stored."""
        from seaspeak.core import weights

        if SAFE_WEIGHTS in self._members:
            return weights.expand(weights.read_safetensors(self.read(SAFE_WEIGHTS), limit=self._limit))
        with self._window(WEIGHTS) as window:
            size = self._members[WEIGHTS].size
            return weights.expand(weights.read_torch(cast(BinaryIO, window), size=size, limit=self._limit))

    def _window(self, name: str) -> io.BufferedReader:
        if name not in self._members:
            raise ArchiveError(
                f"the archive has no member {name!r}",
                got=", ".join(sorted(self._members)[:8]) or "an empty archive",
                expected=f"{CONFIG}, {WEIGHTS} and the files that they name",
            )
        return io.BufferedReader(tar.Window(self._file, self._members[name]))

    def _text(self, name: str) -> str:
        if name in self._members and self._members[name].size > _MAX_CONFIG:
            raise ArchiveError(f"{name} is impossibly large", got=f"{self._members[name].size:,} bytes")
        try:
            return self.read(name).decode("utf-8")
        except UnicodeDecodeError as error:
            raise ArchiveError(f"{name} is not text: {error}") from error


def write(
    path: str | os.PathLike[str],
    config: DictConfig,
    state_dict: Mapping[str, Tensor],
    files: Mapping[str, bytes] | None = None,
    storage: Storage = "float32",
) -> Path:
    """Write an archive; either the whole of it stands at ``path`` afterwards, or what stood there before.

    Args:
        path: the file; its folder is made if it does not exist.
        config: the configuration, written without interpolations.
        state_dict: the weights.
        files: further members by name, such as a tokenizer.
        storage: ``"float32"`` writes tensors as they are under ``model_weights.ckpt``, which NeMo reads;
            ``"float16"`` and ``"int8"`` are the smaller forms of shipped archives, as safetensors.

    Raises:
        StorageError: the file cannot be written (no room, no permission).
    """
    import torch

    from seaspeak.core import weights

    members = {CONFIG: OmegaConf.to_yaml(config, resolve=True).encode(), **(files or {})}
    if storage != "float32":
        from safetensors.torch import save

        members[SAFE_WEIGHTS] = save(weights.shrink(state_dict, storage))
    path = Path(path).expanduser()
    with atomic(path) as file:
        for name, content in sorted(members.items()):
            # mypy cannot type a lambda with a default
            tar.append(file, name, lambda out, content=content: out.write(content))  # type: ignore[misc]
        if storage == "float32":
            state = weights.compact(state_dict)
            tar.append(file, WEIGHTS, lambda out: torch.save(state, out))
        tar.finish(file)
    return path


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of ``path`` when the block ends well, and vanishes when it does not.

    A pipe or a device, such as ``/dev/stdout``, stays in its place and is written into.

    Raises:
        StorageError: writing failed; ``path`` is as it was.
    """
    temporary: str | None = None
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            with path.open("wb") as file:
                yield cast(BinaryIO, OneWay(file))
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        with os.fdopen(handle, "w+b") as part:
            watched = _Watched(part)
            try:
                yield cast(BinaryIO, watched)
                part.flush()
                os.fsync(part.fileno())
            except BaseException as error:
                raise (watched.failure or error) from error
        os.chmod(temporary, _mode(path))
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror or error}",
            fix="free some space or choose another folder; what was there before is unchanged",
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


class OneWay:
    """A stream that is never wound back, even where it could be."""

    def __init__(self, stream: BinaryIO) -> None:
        self.write, self.flush = stream.write, stream.flush

    def seekable(self) -> bool:
        """Say no."""
        return False


class _Watched:
    """A file that remembers why writing to it failed: torch reports that as a failed assertion of its own."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.failure: OSError | None = None
        self.seek, self.tell, self.flush, self.seekable = file.seek, file.tell, file.flush, file.seekable

    def write(self, data: bytes) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.failure = error
            raise


def _mode(path: Path) -> int:
    """Permissions for the new file: those of the old one, else what the process gives new files."""
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the archive's name before the problems that are found in it."""
    try:
        yield
    except (ArchiveError, ConfigError) as error:
        if str(path) in error.problem:
            raise
        raise type(error)(
            f"{path}: {error.problem}", got=error.got, expected=error.expected, fix=error.fix
        ) from error.__cause__
    except OSError as error:
        if isinstance(error, StorageError | FileMissingError):
            raise
        raise ArchiveError(f"{path} cannot be read: {error}") from error


def _check_interpolations(plain: dict[str, Any], size: int) -> None:
    """Allow ``${a.b}``, one level deep. Nothing that calls a resolver, nothing that grows by being resolved.

    NeMo resolves a configuration before it writes it, so that an archive hardly ever has any.
    """
    found = [(key, value) for key, value in texts(plain) if "${" in value]
    if len(found) * size > 64 * _MAX_VALUES:
        raise ArchiveError(f"{CONFIG} refers to its own values too often")
    for key, value in found:
        reference = re.fullmatch(r"[^$]*\$\{([^${}:.][^${}:]*)\}[^$]*", value)
        if reference is None:
            raise ArchiveError(f"key {key!r} of {CONFIG} computes its value", got=value[:80])
        target: object = plain
        for step in reference[1].split("."):
            target = target.get(step) if isinstance(target, Mapping) else None
        if target is None:
            raise ArchiveError(f"key {key!r} of {CONFIG} refers to something that is not there", got=value[:80])
        if any("${" in text for _, text in texts(target)):
            raise ArchiveError(f"key {key!r} of {CONFIG} refers to a value that refers to another")
