"""Sound for vocoders to learn from: random pieces of recordings, and spectrograms where those are given."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seaspeak.audio import io as audio_io
from seaspeak.audio.trim import trim_silence
from seaspeak.core import registry
from seaspeak.core.errors import ConfigError, DataError
from seaspeak.core.module import Dataset
from seaspeak.core.types import AudioSignal, LengthsType, MelSpectrogramType, NeuralType
from seaspeak.data.examples import naming
from seaspeak.data.loader import Careful, ResumableLoader
from seaspeak.data.manifest import Entry, Paths, read
from seaspeak.data.sampler import ShuffledSampler


class VocoderDataset(Dataset):
    """Recordings of a manifest, or a random piece of each, with the spectrogram that it shall be made from if asked.

    Args:
        manifest_filepath: a manifest, several with commas between, or a list of such.
        sample_rate: of the samples, in Hz.
        n_segments: samples of a piece, drawn anew every time from torch's generator; whole recordings by default.
        max_duration, min_duration: longer and shorter recordings are left out, in seconds.
        trim: whether to cut silence off the ends; not with spectrograms, which would no longer fit.
        load_precomputed_mel: read ``mel_filepath`` of each line (``.npy`` or ``.pt``; relative to the manifest),
            (n_mels, frames), and cut it as the samples are cut. For fine-tuning on a generator's spectrograms, made
            with the durations of the recordings.
        hop_length: samples from one frame to the next; needed with spectrograms.

    Shapes of a batch (S samples of the longest):
        audio         (B, S)               float32; zeros behind each end
        audio_length  (B,)                 int64, samples
        mel           (B, n_mels, frames)  float32; only with ``load_precomputed_mel``, frames = S / hop_length

    Raises:
        ConfigError: ``n_segments`` or ``hop_length`` is missing where spectrograms are read, or they do not fit.
        DataError: a line is broken, or, from ``dataset[i]``, a file cannot be read or does not fit.
    """

    def __init__(
        self,
        manifest_filepath: Paths,
        sample_rate: int,
        n_segments: int | None = None,
        max_duration: float | None = None,
        min_duration: float | None = None,
        trim: bool = False,
        load_precomputed_mel: bool = False,
        hop_length: int | None = None,
    ) -> None:
        if load_precomputed_mel and (not n_segments or not hop_length or n_segments % hop_length):
            raise ConfigError(
                "load_precomputed_mel needs n_segments, a multiple of hop_length",
                got=f"n_segments={n_segments}, hop_length={hop_length}",
            )
        self.sample_rate, self.num_samples, self.hop_length = sample_rate, n_segments, hop_length
        self.trim, self.with_mels = trim and not load_precomputed_mel, load_precomputed_mel
        self.manifest = read(
            manifest_filepath,
            min_duration=min_duration,
            max_duration=max_duration,
            keep=_lacks_mel if load_precomputed_mel else None,
        )

    @property
    def output_types(self) -> dict[str, NeuralType]:
        """What a batch is."""
        types = {
            "audio": NeuralType("B T", AudioSignal(freq=self.sample_rate)),
            "audio_length": NeuralType("B", LengthsType()),
        }
        return {**types, "mel": NeuralType("B D T", MelSpectrogramType())} if self.with_mels else types

    def __len__(self) -> int:
        return len(self.manifest)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        entry = self.manifest[index]
        with naming(entry):
            samples = audio_io.read(
                entry.audio_filepath,
                sample_rate=self.sample_rate,
                offset=entry.offset,
                duration=entry.duration or None,
            ).samples
            if self.trim:
                samples = trim_silence(samples)
            audio = torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32))
            if self.with_mels:
                return self._piece_with_mel(audio, _read_mel(_mel_path(entry)))
        return self._piece(audio)

    def _piece(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Samples, and how many of them were recorded."""
        if not self.num_samples:
            return audio, torch.tensor(len(audio))
        start = _drawn(len(audio) - self.num_samples)
        audio = audio[start : start + self.num_samples]
        return F.pad(audio, (0, self.num_samples - len(audio))), torch.tensor(len(audio))

    def _piece_with_mel(self, audio: Tensor, mel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same with the frames of the piece."""
        assert self.num_samples and self.hop_length
        hop, frames = self.hop_length, self.num_samples // self.hop_length
        if abs(mel.shape[1] - len(audio) // hop) > 1:
            raise DataError(
                "the spectrogram is not of this recording",
                got=f"{mel.shape[1]} frames",
                expected=f"{len(audio) // hop} frames for {len(audio)} samples",
            )
        start = _drawn(min(mel.shape[1], len(audio) // hop) - frames)
        mel, audio = mel[:, start : start + frames], audio[start * hop : (start + frames) * hop]
        mel = F.pad(mel, (0, frames - mel.shape[1]), value=float(mel.min()))
        return F.pad(audio, (0, self.num_samples - len(audio))), torch.tensor(len(audio)), mel

    def _collate_fn(self, batch: list[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        audio, lengths, *mels = zip(*batch, strict=True)
        filled = torch.nn.utils.rnn.pad_sequence(list(audio), batch_first=True)
        return (filled, torch.stack(lengths), *(torch.stack(each) for each in mels))


class AudioDataset(VocoderDataset):
    """`VocoderDataset` under the name of NeMo 1.0, with the arguments of its configurations."""

    def __init__(
        self,
        manifest_filepath: Paths,
        n_segments: int | None = None,
        max_duration: float | None = None,
        min_duration: float | None = None,
        trim: bool = False,
        truncate_to: int | None = None,
        sample_rate: int = 22050,
    ) -> None:
        if truncate_to and n_segments and n_segments % truncate_to:
            raise ConfigError("n_segments must be a multiple of truncate_to", got=f"{n_segments}, {truncate_to}")
        super().__init__(manifest_filepath, sample_rate, n_segments, max_duration, min_duration, trim)


class MelAudioDataset(VocoderDataset):
    """`VocoderDataset` with spectrograms, under the name of NeMo 1.0."""

    def __init__(
        self, manifest_filepath: Paths, n_segments: int, sample_rate: int = 22050, hop_length: int = 256
    ) -> None:
        super().__init__(manifest_filepath, sample_rate, n_segments, load_precomputed_mel=True, hop_length=hop_length)


def build_loader(cfg: Mapping[str, Any], *, section: str) -> ResumableLoader:
    """Return the loader of a section with ``dataset`` (its ``_target_`` and arguments) and ``dataloader_params``.

    Raises:
        ConfigError: a part is missing.
        DataError, FileMissingError: a manifest cannot be used.
    """
    if cfg.get("dataset") is None or cfg["dataset"].get("_target_") is None:
        raise ConfigError(f"{section}.dataset._target_ is not given", fix=f"set model.{section}.dataset._target_")
    if cfg["dataset"].get("manifest_filepath") in (None, "", "???"):
        raise ConfigError(f"{section}.dataset.manifest_filepath is not given")
    dataset = registry.instantiate(cfg["dataset"])
    if not len(dataset):
        raise DataError(f"no recording is left of {section}", got=str(cfg["dataset"]["manifest_filepath"]))
    params = dict(cfg.get("dataloader_params") or {})
    order = ShuffledSampler(len(dataset), params.pop("seed", None)) if params.pop("shuffle", False) else None
    workers = int(params.pop("num_workers", 0) or 0)
    return ResumableLoader(
        dataset,
        sampler=order,
        collate_fn=Careful(dataset.collate_fn),
        num_workers=workers,
        persistent_workers=workers > 0,
        **params,
    )


def _drawn(room: int) -> int:
    """A place to start, when there are ``room`` more samples or frames than are taken."""
    return int(torch.randint(max(room, 0) + 1, ()))


def _lacks_mel(entry: Entry) -> str:
    return "" if entry.extra.get("mel_filepath") else "without mel_filepath"


def _mel_path(entry: Entry) -> Path:
    path = Path(str(entry.extra["mel_filepath"])).expanduser()
    return path if path.is_absolute() or not entry.manifest else Path(entry.manifest).parent / path


def _read_mel(path: Path) -> Tensor:
    """Read a spectrogram (n_mels, frames), as numbers and nothing that could run."""
    try:
        data = path.read_bytes()
        if path.suffix == ".npy":
            mel = torch.from_numpy(np.load(io.BytesIO(data), allow_pickle=False))
        else:
            mel = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # numpy's and torch's readers raise whatever damaged bytes lead them to
        raise DataError(f"the spectrogram {path} cannot be read", got=str(error).partition("\n")[0]) from error
    if not isinstance(mel, Tensor) or mel.ndim != 2:
        raise DataError(f"{path} holds no spectrogram", expected="an array (mel bands, frames)")
    return mel.float()
