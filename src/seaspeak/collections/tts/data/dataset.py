"""Recordings with their texts, and what synthesis learns beside them: pitch, energy, durations, alignment priors.

Shape letters in this file:
    B  batch size      S  samples      N  tokens      T  frames (S // hop + 1, centred)      M  mel bands
"""

from __future__ import annotations

import io as streams
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seaspeak.audio import io
from seaspeak.audio.filterbank import mel_filters
from seaspeak.audio.trim import trim_silence
from seaspeak.collections.tts.modules.aligner import beta_binomial_prior
from seaspeak.core.archive import atomic
from seaspeak.core.errors import ConfigError, DataError, SeaspeakError, require
from seaspeak.core.module import Dataset
from seaspeak.data.examples import naming
from seaspeak.data.loader import Careful, ResumableLoader
from seaspeak.data.manifest import Entry, Paths, read
from seaspeak.data.sampler import DurationBatchSampler, ShuffledSampler

SUPPLEMENTS = (
    "log_mel",
    "durations",
    "align_prior_matrix",
    "pitch",
    "voiced_mask",
    "p_voiced",
    "energy",
    "speaker_id",
)
"""What may stand in ``sup_data_types``, in the order of a batch."""

_WITH_LENGTHS = ("log_mel", "pitch", "energy")
_POWER_GUARD = 1e-9
_TINY = float(torch.finfo(torch.float32).tiny)


class TTSDataset(Dataset):
    """Utterances of a manifest, as samples, tokens, and whatever is asked for beside them.

    Args:
        manifest_filepath: a manifest (or a ``metadata.csv`` as LJSpeech's), several with commas between, or a list of
            such. Of a line's texts ``normalized_text`` is preferred, then ``text_normalized``, then ``text``.
        sample_rate: of the samples, in Hz.
        text_tokenizer: a function from a text to tokens, with ``pad``.
        text_normalizer: applied to ``text``, or to what ``text_field`` names.
        text_field: the key of a line's text, if it is none of these.
        sup_data_types: of `SUPPLEMENTS`.
        sup_data_path: where what is computed (pitch takes seconds a clip) is kept, and durations are read from:
            ``<sup_data_path>/<type>/<audio file without folder and ending>.pt``.
        max_duration, min_duration: longer and shorter utterances are left out, in seconds.
        trim: whether to cut silence off the ends.
        n_fft, win_length, hop_length, n_mels, lowfreq, highfreq: of spectrograms.
        pitch_fmin, pitch_fmax: where pitch is looked for, in Hz.
        pitch_norm, pitch_mean, pitch_std: whether to subtract the mean (Hz) of voiced frames and divide by the other.

    Shapes of a batch, in this order:
        audio (B, S), audio_lens (B,), text (B, N), text_lens (B,)
        log_mel (B, M, T), log_mel_lens (B,);  durations (B, N) frames;  align_prior_matrix (B, T, N)
        pitch (B, T) in Hz or normalised, 0 where unvoiced, pitch_lens (B,);  voiced_mask, p_voiced (B, T)
        energy (B, T), energy_lens (B,);  speaker_id (B,)

    Raises:
        ConfigError: a type that is not known, or one that needs ``sup_data_path``.
        DataError, FileMissingError: a manifest cannot be used, or from ``dataset[i]`` an utterance.
    """

    def __init__(
        self,
        manifest_filepath: Paths,
        sample_rate: int,
        text_tokenizer: Any,
        text_normalizer: Callable[[str], str] | None = None,
        text_field: str | None = None,
        sup_data_types: Sequence[str] = (),
        sup_data_path: str | Path | None = None,
        max_duration: float | None = None,
        min_duration: float | None = None,
        trim: bool = False,
        n_fft: int = 1024,
        win_length: int | None = None,
        hop_length: int | None = None,
        n_mels: int = 80,
        lowfreq: float = 0,
        highfreq: float | None = None,
        pitch_fmin: float = 65.40639132514966,
        pitch_fmax: float = 2093.004522404789,
        pitch_norm: bool = False,
        pitch_mean: float | None = None,
        pitch_std: float | None = None,
    ) -> None:
        if unknown := [kind for kind in sup_data_types if kind not in SUPPLEMENTS]:
            raise ConfigError(f"sup_data_types has {unknown[0]!r}", expected=", ".join(SUPPLEMENTS))
        self.types = [kind for kind in SUPPLEMENTS if kind in sup_data_types]
        if "durations" in self.types and sup_data_path is None:
            raise ConfigError("durations are read from sup_data_path, which is not given")
        if pitch_norm and not (pitch_mean and pitch_std):
            raise ConfigError("pitch_norm needs the mean and the deviation", fix="set pitch_mean and pitch_std, in Hz")
        self.sample_rate, self.tokenizer, self.normalizer = sample_rate, text_tokenizer, text_normalizer
        self.text_field = text_field
        self.folder = None if sup_data_path is None else Path(sup_data_path).expanduser()
        self.trim, self.n_fft, self.window = trim, n_fft, win_length or n_fft
        self.hop, self.pitch_range = hop_length or n_fft // 4, (pitch_fmin, pitch_fmax)
        self.filters: dict[str, Any] = {"num_bands": n_mels, "low": lowfreq, "high": highfreq}
        self.pitch_scale = (float(pitch_mean or 0), float(pitch_std or 1)) if pitch_norm else (0.0, 1.0)
        self.manifest = read(manifest_filepath, min_duration=min_duration, max_duration=max_duration)

    def __len__(self) -> int:
        return len(self.manifest)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        entry = self.manifest[index]
        with naming(entry):
            return self._example(entry)

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Tensor] | SeaspeakError]:
        """Return several examples, which torch's loader asks for; an error in place of one that cannot be read."""
        return [self._item(index) for index in indices]

    def _item(self, index: int) -> dict[str, Tensor] | SeaspeakError:
        try:
            return self[index]
        except SeaspeakError as error:
            return error

    def _example(self, entry: Entry) -> dict[str, Tensor]:
        samples = io.read(
            entry.audio_filepath, sample_rate=self.sample_rate, offset=entry.offset, duration=entry.duration
        ).samples
        audio = torch.from_numpy(np.ascontiguousarray(trim_silence(samples) if self.trim else samples))
        text = torch.tensor(self.tokenizer(self.text_of(entry)))
        if not len(text):
            raise DataError("nothing in the text can be spoken", got=repr(entry.text))
        example = {"audio": audio, "text": text}
        for kind in self.types:
            example[kind] = self._supplement(kind, entry, audio, len(text))
        return example

    def text_of(self, entry: Entry) -> str:
        """Return what is spoken in an utterance, in words.

        Raises:
            DataError: the line has no ``text_field``.
        """
        fields = {"text": entry.text, **entry.extra}
        given = fields.get("normalized_text") or fields.get("text_normalized")
        if given and self.text_field is None:
            return str(given)
        field = self.text_field or "text"
        if field not in fields:
            raise DataError(f"the line has no {field!r}", expected="the key that text_field names")
        return str(fields[field]) if self.normalizer is None else self.normalizer(str(fields[field]))

    def _supplement(self, kind: str, entry: Entry, audio: Tensor, num_tokens: int) -> Tensor:
        if kind == "speaker_id":
            return torch.tensor(int(entry.extra.get("speaker", 0)))
        if kind == "align_prior_matrix":
            return beta_binomial_prior(num_tokens, len(audio) // self.hop + 1)
        path = None if self.folder is None else self.folder / kind / f"{Path(entry.audio_filepath).stem}.pt"
        if kind == "durations":
            return self._durations(path, num_tokens)
        value = self._cached(kind, path, audio)
        mean, deviation = self.pitch_scale
        return torch.where(value != 0, (value - mean) / deviation, value) if kind == "pitch" else value

    def _durations(self, path: Path | None, num_tokens: int) -> Tensor:
        assert path is not None
        if not path.is_file():
            raise DataError(f"there are no durations {path}", fix="make them: seaspeak train --config aligner")
        durations: Tensor = torch.load(path, weights_only=True).long()
        if len(durations) != num_tokens:
            raise DataError(
                f"{path} is of another text or tokenizer", got=f"{len(durations)} durations", expected=str(num_tokens)
            )
        return durations

    def _cached(self, kind: str, path: Path | None, audio: Tensor) -> Tensor:
        """What was computed before, if it is of as many frames; settings that changed need another folder."""
        if path is not None and path.is_file():
            value: Tensor = torch.load(path, weights_only=True)
            if value.shape[-1] == len(audio) // self.hop + 1:
                return value
        computed = self._computed(kind, audio)
        if path is not None:
            for name, value in computed.items():
                save_tensor(path.parent.parent / name / path.name, value)
        return computed[kind]

    def _computed(self, kind: str, audio: Tensor) -> dict[str, Tensor]:
        """What is computed together with ``kind``, by name."""
        if kind in ("pitch", "voiced_mask", "p_voiced"):
            return self._pitch(audio)
        window = torch.hann_window(self.window, periodic=False)
        spectrum = torch.stft(audio, self.n_fft, self.hop, self.window, window, center=True, return_complex=True)
        magnitude = (spectrum.real.square() + spectrum.imag.square() + _POWER_GUARD).sqrt()
        if kind == "energy":
            return {"energy": magnitude.norm(dim=0)}
        filters = mel_filters(sample_rate=self.sample_rate, n_fft=self.n_fft, **self.filters)
        return {"log_mel": (torch.tensor(filters) @ magnitude).clamp(min=_TINY).log()}

    def _pitch(self, audio: Tensor) -> dict[str, Tensor]:
        librosa = require("librosa", extra="tts", why="finding the pitch of a voice")
        low, high = self.pitch_range
        hertz, voiced, probability = librosa.pyin(
            audio.numpy(),
            fmin=low,
            fmax=high,
            frame_length=self.window,
            hop_length=self.hop,
            sr=self.sample_rate,
            fill_na=0.0,
        )
        found = {"pitch": hertz, "voiced_mask": voiced, "p_voiced": probability}
        return {name: torch.from_numpy(np.asarray(value)).float() for name, value in found.items()}

    def _collate_fn(self, batch: list[dict[str, Tensor]]) -> tuple[Tensor, ...]:
        parts: list[Tensor] = []
        for kind in ("audio", "text", *self.types):
            items = [example[kind] for example in batch]
            parts.append(_padded(items, self.tokenizer.pad if kind == "text" else 0))
            if kind in ("audio", "text", *_WITH_LENGTHS):
                parts.append(torch.tensor([item.shape[-1] for item in items]))
        return tuple(parts)

    def named(self, batch: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return the tensors of a batch by name."""
        names: list[str] = []
        for kind in ("audio", "text", *self.types):
            names += [kind, f"{kind}_lens"] if kind in ("audio", "text", *_WITH_LENGTHS) else [kind]
        return dict(zip(names, batch, strict=True))


def save_tensor(path: Path, value: Tensor) -> None:
    """Write a tensor so that a reader finds the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = streams.BytesIO()
    torch.save(value, content)
    with atomic(path) as file:
        file.write(content.getvalue())


def _padded(items: Sequence[Tensor], value: float) -> Tensor:
    """Stack items of different sizes, filled up with ``value`` at the ends."""
    sizes = [max(item.shape[axis] for item in items) for axis in range(items[0].ndim)]
    batch = items[0].new_full((len(items), *sizes), value)
    for row, item in zip(batch, items, strict=True):
        row[tuple(slice(size) for size in item.shape)] = item
    return batch


def build_loader(section: Mapping[str, Any], *, shuffle: bool, **dataset_options: Any) -> ResumableLoader:
    """Return the loader of a section with ``dataset`` and ``dataloader_params``.

    ``dataloader_params`` are torch's; ``use_bucketing`` makes batches of similar durations, ``seed`` fixes the order.

    Raises:
        DataError: no utterance is left.
    """
    options = {key: value for key, value in dict(section["dataset"]).items() if key != "_target_"}
    dataset = TTSDataset(**{**options, **dataset_options})
    if not len(dataset):
        raise DataError("no utterance is left of the manifest", got=os.fspath(options["manifest_filepath"]))
    params = dict(section.get("dataloader_params") or {})
    shuffle, seed = bool(params.pop("shuffle", shuffle)), params.pop("seed", None)
    if params.pop("use_bucketing", False):
        sampler = DurationBatchSampler(
            dataset.manifest.durations,
            batch_size=params.pop("batch_size"),
            shuffle=shuffle,
            drop_last=bool(params.pop("drop_last", False)),
            seed=seed,
        )
        params["batch_sampler"] = sampler
    elif shuffle:
        params["sampler"] = ShuffledSampler(len(dataset), seed)
    return ResumableLoader(dataset, collate_fn=Careful(dataset.collate_fn), **params)
