"""Recordings with their transcripts: the data set of a manifest, and the loader that a configuration describes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from seaspeak.audio.io import Channels
from seaspeak.core.errors import ConfigError, DataError, SeaspeakError
from seaspeak.core.module import Dataset
from seaspeak.core.types import NeuralType
from seaspeak.data.examples import Augment, SpeechReader, Tokenize, tokenizer
from seaspeak.data.loader import Careful, ResumableLoader
from seaspeak.data.manifest import Paths
from seaspeak.data.sampler import DurationBatchSampler, ShuffledSampler

logger = logging.getLogger(__name__)

_IGNORED = {
    "use_dali": "recordings are read without it",
    "use_lhotse": "recordings are read without it",
    "is_concat": "name several manifests instead",
}


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

    Shapes of a batch (S samples of the longest, L labels of the longest):
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
        channel_selector: Channels = None,
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
