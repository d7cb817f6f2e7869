"""Utterances whose recordings lie in tar files, read from front to back."""

from __future__ import annotations

import io
import logging
import random
import re
import tarfile
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from seaspeak.audio.io import Channels
from seaspeak.core.errors import ConfigError, DataError, FileMissingError, SeaspeakError
from seaspeak.core.module import IterableDataset
from seaspeak.core.types import NeuralType
from seaspeak.data.examples import Augment, Example, SpeechReader, Tokenize, tokenizer
from seaspeak.data.manifest import Paths, manifest_paths

logger = logging.getLogger(__name__)

_END_MARK = bytes(2 * tarfile.BLOCKSIZE)
_OPENING, _CLOSING = re.compile(r"\(|\[|<|_OP_"), re.compile(r"\)|\]|>|_CL_")


class Member(io.BytesIO):
    """The content of a member of a tar file, with its name for messages."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name

    def again(self) -> Member:
        """Return the same, from its beginning."""
        return Member(self.getvalue(), self.name)


def member_id(name: str) -> str:
    """Return what a member and its entries have in common: the name without folders and extension."""
    return PurePosixPath(name).stem


def members(shards: Iterable[Path], *, wanted: Container[str]) -> Iterator[Member]:
    """Yield the files in tar files whose id is ``wanted``, in the order in which they lie there.

    Raises:
        DataError: a tar file is damaged.
    """
    for shard in shards:
        try:
            with tarfile.open(shard, "r|*") as tar:
                for member in tar:
                    if member.isfile() and member_id(member.name) in wanted:
                        content = tar.extractfile(member)
                        assert content is not None  # a regular file has content
                        yield Member(content.read(), member.name)
        except (tarfile.TarError, OSError, EOFError) as error:
            raise DataError(f"the tar file {shard} is damaged", got=str(error), fix="copy it again") from error


def expand_braces(pattern: str) -> list[str]:
    """Return the names that a pattern stands for.

    >>> expand_braces("audio_{0..2}.tar")
    ['audio_0.tar', 'audio_1.tar', 'audio_2.tar']
    >>> expand_braces("{a,b}_{08..10}.tar")
    ['a_08.tar', 'a_09.tar', 'a_10.tar', 'b_08.tar', 'b_09.tar', 'b_10.tar']
    """
    match = re.search(r"\{([^{}]*)\}", pattern)
    if match is None:
        return [pattern]
    ends = re.fullmatch(r"(\d+)\.\.(\d+)", match[1])
    if ends:
        width = len(ends[1]) if ends[1].startswith("0") else 0
        choices = [str(number).zfill(width) for number in range(int(ends[1]), int(ends[2]) + 1)]
    else:
        choices = match[1].split(",")
    return [
        name for choice in choices for name in expand_braces(pattern[: match.start()] + choice + pattern[match.end() :])
    ]


def shard_paths(names: str | Path | Iterable[Any], *, beside: Sequence[Path] = ()) -> list[Path]:
    """Return the tar files that ``tarred_audio_filepaths`` names.

    Braces may be written ``( [ < _OP_`` and ``) ] > _CL_``, for shells and configurations that read them themselves.

    Args:
        names: a path or pattern, several with commas between them outside braces, or a list of such.
        beside: folders where a relative path is looked for too.

    Raises:
        FileMissingError: one does not exist.
    """
    if not isinstance(names, (str, Path)):
        return [path for name in names for path in shard_paths(name, beside=beside)]
    pattern = str(names)
    if not Path(pattern).exists():
        pattern = _CLOSING.sub("}", _OPENING.sub("{", pattern))
    patterns = re.split(r",(?![^{]*\})", pattern)
    return [_found(Path(name).expanduser(), beside) for each in patterns for name in expand_braces(each.strip())]


def _found(path: Path, beside: Sequence[Path]) -> Path:
    for candidate in (path, *(folder / path for folder in beside)):
        if candidate.exists():
            return candidate
    raise FileMissingError(f"there is no tar file {path}")


class TarredAudioToCharDataset(IterableDataset):
    """Utterances of a manifest whose recordings are members of tar files.

    A member belongs to the entries whose ``audio_filepath`` has its name, apart from the extension; several entries may
    cut it up by ``offset``. Members without an entry are passed over. Worker processes share the tar files out among
    them.

    Args:
        audio_tar_filepaths: as `shard_paths` takes them.
        manifest_filepath: one manifest, or several, for all tar files together.
        shuffle_n: how many utterances to hold ready and draw from; 0 for the order in the files.
        shard_strategy: with several processes, ``"scatter"`` gives each its part of the tar files, ``"replicate"`` all.
        global_rank, world_size: which of how many processes this is.
        seed: decides the order, with the epoch; torch's initial seed by default.

    The other arguments, and the batches, are those of `AudioToCharDataset`.
    """

    def __init__(
        self,
        audio_tar_filepaths: Any,
        manifest_filepath: Paths,
        labels: Sequence[str] | None,
        sample_rate: int,
        int_values: bool = False,
        augmentor: Augment | None = None,
        shuffle_n: int = 0,
        min_duration: float | None = None,
        max_duration: float | None = None,
        max_utts: int = 0,
        blank_index: int = -1,
        unk_index: int = -1,
        normalize: bool = True,
        trim: bool = False,
        bos_id: int | None = None,
        eos_id: int | None = None,
        pad_id: int = 0,
        parser: str | Tokenize = "en",
        shard_strategy: str = "scatter",
        global_rank: int = 0,
        world_size: int = 1,
        return_sample_id: bool = False,
        channel_selector: Channels = None,
        *,
        seed: int | None = None,
    ) -> None:
        self.reader = SpeechReader(
            tokenizer(parser, labels, unk_id=unk_index, blank_id=blank_index, do_normalize=normalize),
            sample_rate,
            trim=trim,
            augmentor=augmentor,
            bos_id=bos_id,
            eos_id=eos_id,
            pad_id=pad_id,
            return_sample_id=return_sample_id,
            channel_selector=channel_selector,
        )
        folders = [path.parent for path in manifest_paths(manifest_filepath)]
        shards = shard_paths(audio_tar_filepaths, beside=folders)
        self.shards = _share(shards, shard_strategy, global_rank, world_size)
        _warn_of_cut_off(self.shards)
        self.manifest = self.reader.read_manifest(
            manifest_filepath,
            min_duration=min_duration,
            max_duration=max_duration,
            max_utts=max_utts,
            tarred=True,
        )
        self.shuffle_n = shuffle_n
        self.seed = torch.initial_seed() if seed is None else seed
        self.epoch = -1
        self._places: dict[str, list[int]] | None = None

    @property
    def output_types(self) -> dict[str, NeuralType]:
        """What a batch is."""
        return self.reader.output_types

    def __len__(self) -> int:
        return len(self.manifest)

    def next_epoch(self) -> None:
        """Let the next iteration have another order; the loader calls this before its workers start."""
        self.epoch += 1

    def __iter__(self) -> Iterator[tuple[Any, ...] | SeaspeakError]:
        worker = torch.utils.data.get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        draw = random.Random(f"{self.seed} {self.epoch} {number}")
        shards = list(self.shards)
        if self.shuffle_n:
            random.Random(f"{self.seed} {self.epoch}").shuffle(shards)
        examples = (example for shard in shards[number::workers] for example in self._examples(shard))
        try:
            for example in _shuffled(examples, self.shuffle_n, draw):
                yield tuple(example if self.reader.return_sample_id else example[:4])
        except SeaspeakError as error:
            if worker is None:
                raise
            yield error  # see `data.loader.Careful`

    def _examples(self, shard: Path) -> Iterator[Example]:
        places = self._places_by_name()
        for member in members([shard], wanted=places):
            for place in places[member_id(member.name)]:
                yield self.reader.example(self.manifest[place], place, member.again())

    def _places_by_name(self) -> dict[str, list[int]]:
        if self._places is None:
            self._places = {}
            for place in range(len(self.manifest)):
                self._places.setdefault(member_id(self.manifest[place].audio_filepath), []).append(place)
        return self._places

    def _collate_fn(self, batch: list[Any]) -> tuple[Tensor, ...]:
        return self.reader.batch(batch)


def _warn_of_cut_off(shards: Iterable[Path]) -> None:
    """Say which tar files lack their end mark; reading them would just end early."""
    for shard in shards:
        if tarfile.is_tarfile(shard) and not shard.name.endswith(("gz", "bz2", "xz")):
            with shard.open("rb") as file:
                file.seek(max(0, shard.stat().st_size - len(_END_MARK)))
                if file.read() != _END_MARK:
                    logger.warning("the tar file %s has no end mark: it may be cut off", shard)


def _share(shards: list[Path], strategy: str, rank: int, world_size: int) -> list[Path]:
    if strategy == "replicate":
        return shards
    if strategy != "scatter":
        raise ConfigError("tarred_shard_strategy is not known", got=repr(strategy), expected="'scatter' or 'replicate'")
    if len(shards) < world_size:
        raise DataError(
            f"{len(shards)} tar files cannot be shared out to {world_size} processes",
            fix="make more tar files, or set tarred_shard_strategy=replicate",
        )
    each = len(shards) // world_size
    if len(shards) % world_size:
        logger.warning(
            "%d of %d tar files are not read: they cannot be shared evenly", len(shards) % world_size, len(shards)
        )
    return shards[rank * each : (rank + 1) * each]


def _shuffled(examples: Iterator[Example], size: int, draw: random.Random) -> Iterator[Example]:
    """Yield ``examples`` in random order, holding ``size`` of them."""
    held: list[Example] = []
    for example in examples:
        if len(held) < size:
            held.append(example)
            continue
        if not size:
            yield example
            continue
        place = draw.randrange(size)
        yield held[place]
        held[place] = example
    draw.shuffle(held)
    yield from held


def from_config(
    cfg: Mapping[str, Any], options: dict[str, Any], *, shuffle: bool, section: str
) -> TarredAudioToCharDataset:
    """Return the data set of a section with ``is_tarred``; see `data.speech.build_loader`."""
    if not cfg.get("tarred_audio_filepaths"):
        raise ConfigError(f"{section}.is_tarred needs {section}.tarred_audio_filepaths")
    rank, world_size = 0, 1
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        rank, world_size = torch.distributed.get_rank(), torch.distributed.get_world_size()
    held = cfg.get("shuffle_n")
    return TarredAudioToCharDataset(
        cfg["tarred_audio_filepaths"],
        shuffle_n=(4 * cfg["batch_size"] if shuffle else 0) if held is None else held,
        shard_strategy=cfg.get("tarred_shard_strategy") or "scatter",
        global_rank=rank,
        world_size=world_size,
        seed=cfg.get("seed"),
        **options,
    )
