"""Recordings with their transcripts, as batches for training and evaluation.

Shape letters in this file:
    B  batch size      S  samples of the longest      L  labels of the longest
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seaspeak.audio import io
from seaspeak.audio.trim import trim_silence
from seaspeak.core.errors import ConfigError, DataError, MissingExtra, SeaspeakError
from seaspeak.core.module import Dataset
from seaspeak.core.types import AudioSignal, LabelsType, LengthsType, NeuralType
from seaspeak.data.loader import Careful, ResumableLoader
from seaspeak.data.manifest import Entry, Manifest, Paths, read
from seaspeak.data.sampler import DurationBatchSampler, ShuffledSampler
from seaspeak.text.parsers import CharParser, make_parser

logger = logging.getLogger(__name__)

Tokenize = Callable[[str], Sequence[int] | None]
Augment = Callable[[NDArray[np.float32], int], NDArray[np.float32]]
_SHOWN = 20
_IGNORED = {
    "use_dali": "recordings are read without it",
    "use_lhotse": "recordings are read without it",
    "is_concat": "name several manifests instead",
}


class Example(NamedTuple):
    """One utterance: samples (S,) float32, their number, labels (L,) int64, their number."""

    signal: Tensor
    length: Tensor
    tokens: Tensor
    token_length: Tensor
    sample_id: int | None = None


class SpeechReader:
    """Reads an utterance as a model is trained on it.

    Args:
        tokenize: from a transcript to label numbers; None if that cannot be done.
        sample_rate: of the samples, in Hz.
        trim: whether to cut silence off the ends.
        augmentor: called with samples and rate, returns samples.
        bos_id, eos_id: label numbers to put before and after.
        pad_id: what fills the labels of a batch up.
        return_sample_id: whether batches end with the utterances' places in the manifest.
        channel_selector: which channels to average; all by default.
    """

    def __init__(
        self,
        tokenize: Tokenize,
        sample_rate: int,
        *,
        trim: bool = False,
        augmentor: Augment | None = None,
        bos_id: int | None = None,
        eos_id: int | None = None,
        pad_id: int = 0,
        return_sample_id: bool = False,
        channel_selector: io.Channels = None,
    ) -> None:
        self.tokenize, self.sample_rate = tokenize, sample_rate
        self.trim, self.augmentor = trim, augmentor
        self.before = [] if bos_id is None else [bos_id]
        self.after = [] if eos_id is None else [eos_id]
        self.pad_id = pad_id
        self.return_sample_id, self.channel_selector = return_sample_id, channel_selector

    def read_manifest(self, paths: Paths, **options: Any) -> Manifest:
        """Read manifests as `manifest.read` does, without the utterances that have no labels.

        Characters of the others for which there are no labels are warned about, for they vanish from the transcripts.
        """
        lost: Counter[str] = Counter()

        def keep(entry: Entry) -> str:
            if isinstance(self.tokenize, CharParser) and "token_labels" not in entry.extra:
                text = self.tokenize.normalize(entry.text) if self.tokenize.do_normalize else entry.text
                lost.update(self.tokenize.unspellable(text or ""))
            return "whose text has no labels" if self.tokens(entry) is None else ""

        manifest = read(paths, keep=keep, **options)
        if lost:
            listed = ", ".join(f"{character!r} {count}×" for character, count in lost.most_common(_SHOWN))
            logger.warning("the texts have characters that the model has no labels for: %s", listed)
        return manifest

    def tokens(self, entry: Entry) -> list[int] | None:
        """Return the label numbers of an utterance, as the manifest gives them or its text is written."""
        given = entry.extra.get("token_labels")
        tokens = self.tokenize(entry.text) if given is None else given
        return None if tokens is None else [*self.before, *tokens, *self.after]

    def example(self, entry: Entry, place: int, source: Any = None) -> Example:
        """Read an utterance.

        Args:
            entry: what to read.
            place: its place in the manifest.
            source: its recording, where that is not what the entry's path names.

        Raises:
            DataError: it cannot be read; the message begins with manifest and line.
        """
        with naming(entry):
            samples = io.read(
                entry.audio_filepath if source is None else source,
                sample_rate=self.sample_rate,
                offset=entry.offset,
                duration=entry.duration or None,
                channel_selector=self.channel_selector,
            ).samples
            if self.trim:
                samples = trim_silence(samples)
            if self.augmentor is not None:
                samples = self.augmentor(samples, self.sample_rate)
            tokens = self.tokens(entry)
            if tokens is None:
                raise DataError("the text has no labels", got=repr(entry.text))
        signal = torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32))
        return Example(
            signal,
            torch.tensor(len(signal)),
            torch.tensor(tokens, dtype=torch.long),
            torch.tensor(len(tokens)),
            place if self.return_sample_id else None,
        )

    def batch(self, items: Sequence[tuple[Any, ...] | SeaspeakError]) -> tuple[Tensor, ...]:
        """Fill examples up to one length: signals (B, S) with zeros, labels (B, L) with ``pad_id``."""
        examples = [_example(item) for item in items]
        signals = _filled([example.signal for example in examples], 0.0)
        tokens = _filled([example.tokens for example in examples], self.pad_id)
        lengths = torch.stack([example.length for example in examples])
        token_lengths = torch.stack([example.token_length for example in examples])
        if not self.return_sample_id:
            return signals, lengths, tokens, token_lengths
        return signals, lengths, tokens, token_lengths, torch.tensor([example.sample_id for example in examples])

    @property
    def output_types(self) -> dict[str, NeuralType]:
        """What a batch is."""
        types = {
            "audio_signal": NeuralType("B T", AudioSignal(freq=self.sample_rate)),
            "a_sig_length": NeuralType("B", LengthsType()),
            "transcripts": NeuralType("B T", LabelsType()),
            "transcript_length": NeuralType("B", LengthsType()),
        }
        return {**types, "sample_id": NeuralType("B", LengthsType())} if self.return_sample_id else types


def _example(item: tuple[Any, ...] | SeaspeakError) -> Example:
    if isinstance(item, SeaspeakError):
        raise item
    return Example(*item)


def _filled(rows: Sequence[Tensor], value: float) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=value)


@contextmanager
def naming(entry: Entry) -> Iterator[None]:
    """Let an error say which line of which manifest it is about."""
    try:
        yield
    except MissingExtra:
        raise
    except SeaspeakError as error:
        raise DataError(
            f"{entry.where}: {error.problem}", got=error.got, expected=error.expected, fix=error.fix
        ) from error


class AudioToCharDataset(Dataset):
    """Utterances of a manifest, as samples and label numbers.

    Args:
        manifest_filepath: a manifest, several with commas between, or a list of such.
        labels: the characters that the model writes; the number of each is its place.
        sample_rate: of the samples, in Hz.
        int_values: accepted for the sake of NeMo's configurations; integers are scaled alike either way.
        augmentor: called with samples and rate, returns samples.
        max_duration, min_duration: longer and shorter utterances are left out, in seconds.
        max_utts: how many utterances to take; 0 for all.
        blank_index: number of the label to take out of transcripts.
        unk_index: number of what is not a label.
        normalize: whether to normalise transcripts first.
        trim: whether to cut silence off the ends.
        bos_id, eos_id: label numbers to put before and after.
        pad_id: what fills the labels of a batch up.
        parser: ``"en"``, ``"base"``, or a function from a text to label numbers.
        return_sample_id: whether examples end with their place in the manifest.
        channel_selector: which channels to average; all by default.

    Shapes of a batch:
        audio_signal       (B, S)  float32, zeros behind each end
        a_sig_length       (B,)    int64, samples
        transcripts        (B, L)  int64, ``pad_id`` behind each end
        transcript_length  (B,)    int64, labels, ``bos_id`` and ``eos_id`` included

    Raises:
        DataError: a line of a manifest is broken, or, from ``dataset[i]``, an utterance cannot be read.
        FileMissingError: there is no such manifest.
    """

    def __init__(
        self,
        manifest_filepath: Paths,
        labels: Sequence[str] | None,
        sample_rate: int,
        int_values: bool = False,
        augmentor: Augment | None = None,
        max_duration: float | None = None,
        min_duration: float | None = None,
        max_utts: int = 0,
        blank_index: int = -1,
        unk_index: int = -1,
        normalize: bool = True,
        trim: bool = False,
        bos_id: int | None = None,
        eos_id: int | None = None,
        pad_id: int = 0,
        parser: str | Tokenize = "en",
        return_sample_id: bool = False,
        channel_selector: io.Channels = None,
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
        self.manifest = self.reader.read_manifest(
            manifest_filepath, min_duration=min_duration, max_duration=max_duration, max_utts=max_utts
        )

    @property
    def output_types(self) -> dict[str, NeuralType]:
        """What a batch is."""
        return self.reader.output_types

    def __len__(self) -> int:
        return len(self.manifest)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        example = self.reader.example(self.manifest[index], index)
        return tuple(example if self.reader.return_sample_id else example[:4])

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Any, ...] | SeaspeakError]:
        """Return several examples, which torch's loader asks for; an error in place of one that cannot be read."""
        return [self._item(index) for index in indices]

    def _item(self, index: int) -> tuple[Any, ...] | SeaspeakError:
        try:
            return self[index]
        except SeaspeakError as error:
            return error

    def _collate_fn(self, batch: list[Any]) -> tuple[Tensor, ...]:
        return self.reader.batch(batch)


def tokenizer(parser: str | Tokenize, labels: Sequence[str] | None, **options: Any) -> Tokenize:
    """Return the function from a text to label numbers that ``parser`` is or names."""
    return make_parser(labels, parser, **options) if isinstance(parser, str) else parser


def build_loader(
    cfg: Mapping[str, Any],
    *,
    labels: Sequence[str] | None = None,
    tokenize: Tokenize | None = None,
    shuffle: bool = False,
    section: str = "train_ds",
) -> ResumableLoader:
    """Return the loader that a section such as ``train_ds`` of a model's configuration describes.

    Keys: ``manifest_filepath``, ``sample_rate``, ``batch_size`` (all three required); ``labels``, ``shuffle``,
    ``num_workers``, ``pin_memory``, ``drop_last``, ``trim_silence``, ``min_duration``, ``max_duration``, ``max_utts``,
    ``normalize_transcripts``, ``parser``, ``blank_index``, ``unk_index``, ``bos_id``, ``eos_id``, ``pad_id``,
    ``return_sample_id``, ``channel_selector``; ``is_tarred`` with ``tarred_audio_filepaths``,
    ``tarred_shard_strategy`` and ``shuffle_n``; ``use_bucketing`` for batches of similar durations, and
    ``batch_duration`` for a limit on their seconds, in place of or beside ``batch_size``; ``seed`` for the order.

    Args:
        cfg: the section.
        labels: the model's labels, where the section has none.
        tokenize: from a text to label numbers, for models that do not write single characters.
        shuffle: whether to shuffle, where the section does not say.
        section: its name, for messages.

    Raises:
        ConfigError: a key is missing.
        DataError, FileMissingError: a manifest cannot be used.
    """
    _require(cfg, section, "manifest_filepath", "sample_rate")
    if not cfg.get("batch_duration"):
        _require(cfg, section, "batch_size")
    _warn_about_ignored(cfg, section)
    shuffle = bool(cfg.get("shuffle", shuffle))
    options = _dataset_options(cfg, labels, tokenize)
    workers = int(cfg.get("num_workers") or 0)
    common: dict[str, Any] = {
        "num_workers": workers,
        "pin_memory": bool(cfg.get("pin_memory", False)),
        "persistent_workers": workers > 0 and not cfg.get("is_tarred"),
    }
    if cfg.get("is_tarred"):
        from seaspeak.data.tarred import from_config

        shards = from_config(cfg, options, shuffle=shuffle, section=section)
        drop_last = bool(cfg.get("drop_last", False))
        return ResumableLoader(
            shards, batch_size=cfg["batch_size"], collate_fn=Careful(shards.collate_fn), drop_last=drop_last, **common
        )
    dataset = AudioToCharDataset(**options)
    if not len(dataset):
        raise DataError(f"no utterance is left of {section}.manifest_filepath", got=str(cfg["manifest_filepath"]))
    return ResumableLoader(
        dataset, collate_fn=Careful(dataset.collate_fn), **_batching(cfg, dataset, shuffle), **common
    )


def _batching(cfg: Mapping[str, Any], dataset: AudioToCharDataset, shuffle: bool) -> dict[str, Any]:
    drop_last, seed = bool(cfg.get("drop_last", False)), cfg.get("seed")
    if cfg.get("use_bucketing") or cfg.get("batch_duration"):
        sampler = DurationBatchSampler(
            dataset.manifest.durations,
            batch_size=cfg.get("batch_size"),
            batch_duration=cfg.get("batch_duration"),
            shuffle=shuffle,
            drop_last=drop_last,
            seed=seed,
        )
        return {"batch_sampler": sampler}
    batch_size = len(dataset) if cfg["batch_size"] == -1 else cfg["batch_size"]  # 0.11: all in one batch
    order = ShuffledSampler(len(dataset), seed) if shuffle else None
    return {"batch_size": batch_size, "sampler": order, "drop_last": drop_last}


def _require(cfg: Mapping[str, Any], section: str, *keys: str) -> None:
    for key in keys:
        if cfg.get(key) in (None, "", "???"):
            raise ConfigError(f"{section}.{key} is not given", fix=f"set it: model.{section}.{key}=...")


def _warn_about_ignored(cfg: Mapping[str, Any], section: str) -> None:
    for key, instead in _IGNORED.items():
        if cfg.get(key):
            logger.warning("%s.%s is ignored: %s", section, key, instead)
    if isinstance(cfg.get("augmentor"), Mapping):
        logger.warning("%s.augmentor is ignored: recordings are not augmented by configuration yet", section)


def _dataset_options(cfg: Mapping[str, Any], labels: Sequence[str] | None, tokenize: Tokenize | None) -> dict[str, Any]:
    own = cfg.get("labels") if labels is None else labels
    plain = {
        key: cfg[key]
        for key in (
            "max_duration",
            "min_duration",
            "max_utts",
            "blank_index",
            "unk_index",
            "bos_id",
            "eos_id",
            "pad_id",
            "return_sample_id",
        )
        if cfg.get(key) is not None
    }
    selector = cfg.get("channel_selector")
    augmentor = cfg.get("augmentor")
    manifests = cfg["manifest_filepath"]
    return {
        "manifest_filepath": manifests if isinstance(manifests, str) else list(manifests),
        "labels": None if own is None else list(own),
        "sample_rate": int(cfg["sample_rate"]),
        "normalize": bool(cfg.get("normalize_transcripts", False)),
        "trim": bool(cfg.get("trim_silence", False)),
        "parser": tokenize or cfg.get("parser") or "en",
        "augmentor": augmentor if callable(augmentor) else None,
        "channel_selector": selector if selector is None or isinstance(selector, (int, str)) else list(selector),
        **plain,
    }
