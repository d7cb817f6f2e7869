"""Log-mel features, in the three recipes that NeMo's archives were trained with.

Shape letters in this file:
    B  batch size      S  samples            F  frames of the transform
    D  mel bands       T  frames returned (F, padded to a multiple of ``pad_to``)

What the recipes change (L: samples of an item, H: hop, P: padding of the transform, n: its length):

    recipe     written by        frames reported           edges     pre-emphasis   padded to
    "0.11"     NeMo 0.11         ceil(L / H)               mirrored  whole row      16 in evaluation
    "1.0"      NeMo 1.0 - 2.4    floor((L+P-n) / H) + 1    mirrored  whole row      ``pad_to``
    "current"  NeMo 2.5 - 3.0    floor((L+P-n) / H)        zeros     up to L        ``pad_to``

Besides, "0.11" adds dither in evaluation too, and takes re**p + im**p for the magnitude to the power p,
which is the power spectrum for the p = 2 of its recognisers.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Mapping
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from seaspeak.audio.filterbank import mel_filters
from seaspeak.audio.stft_basis import WINDOWS, StftBasis
from seaspeak.core.errors import ConfigError

logger = logging.getLogger(__name__)

Recipe = Literal["0.11", "1.0", "current"]
STD_GUARD = 1e-5
_LONGEST_SECONDS = 16.7  # what ``pad_to="max"`` fills up to
_FRAMES_AT_ONCE = 2048  # 20 s: memory stays bounded, and threads seldom wait for each other


def normalize_batch(features: Tensor, lengths: Tensor, normalize: str | Mapping[str, Any] | None) -> Tensor:
    """Return features (B, D, T) with mean 0 and deviation 1 over the first ``lengths`` frames of each item.

    Args:
        features: (B, D, T).
        lengths: (B,) frames that count.
        normalize: ``"per_feature"`` (each band for itself), ``"all_features"`` (all bands together), a mapping with
            ``fixed_mean`` and ``fixed_std`` (D numbers each), or anything else for no change.

    An item of one frame has deviation 0 and becomes 0, an item of none stays finite.
    """
    if isinstance(normalize, Mapping):
        mean, std = (
            torch.as_tensor(list(normalize[key]), dtype=features.dtype, device=features.device)[:, None]
            for key in ("fixed_mean", "fixed_std")
        )
        return (features - mean) / std
    if normalize not in ("per_feature", "all_features"):
        return features
    dims: tuple[int, ...] = (2,)
    count = lengths.clamp(min=1)[:, None, None]
    if normalize == "all_features":
        dims, count = (1, 2), count * features.shape[1]
    valid = (torch.arange(features.shape[2], device=features.device) < lengths[:, None])[:, None]
    zero = features.new_zeros(())
    centred = features - torch.where(valid, features, zero).sum(dims, keepdim=True) / count
    variance = torch.where(valid, centred, zero).square().sum(dims, keepdim=True) / (count - 1).clamp(min=1)
    return centred / (variance.sqrt() + STD_GUARD)


def check_recipe(recipe: str) -> Recipe:
    """Return ``recipe`` if it is one.

    Raises:
        ConfigError: it is not.
    """
    if recipe in get_args(Recipe):
        return cast(Recipe, recipe)
    raise ConfigError(
        "the recipe of the mel front end is not known",
        got=repr(recipe),
        expected=", ".join(map(repr, get_args(Recipe))),
    )


def _check_normalize(normalize: str | Mapping[str, Any] | None, bands: int) -> str | Mapping[str, Any] | None:
    """Return what to normalise, with fixed statistics as lists of numbers."""
    if not isinstance(normalize, Mapping):
        return normalize
    fixed = {}
    for key in ("fixed_mean", "fixed_std"):
        fixed[key] = [float(value) for value in normalize.get(key, ())]
        if len(fixed[key]) != bands:
            raise ConfigError(
                f"normalize.{key} of the mel front end needs one number a band",
                got=f"{len(fixed[key])} numbers",
                expected=str(bands),
            )
    return fixed


def _check_guard(kind: str, value: float | str) -> tuple[str, float | str]:
    if kind not in ("add", "clamp"):
        raise ConfigError("log_zero_guard_type is not known", got=repr(kind), expected="'add' or 'clamp'")
    if isinstance(value, str) and value not in ("tiny", "eps"):
        raise ConfigError("log_zero_guard_value is not known", got=repr(value), expected="a number, 'tiny' or 'eps'")
    return kind, value


class FilterbankFeatures(nn.Module):
    """Samples to (log-)mel features: the numerics of `audio.mel.AudioToMelSpectrogramPreprocessor`.

    Buffers, kept in state dicts: ``fb`` (1, D, n_fft // 2 + 1) and ``window`` (window length), or with ``stft_conv``
    ``stft.forward_basis`` and ``stft.inverse_basis`` in place of the window. Made on the meta device they have no
    content until an archive's are assigned or `reset_buffers` computes them.

    Shapes:
        x         (B, S)     float, samples in [-1, 1]
        seq_len   (B,)       int64, samples
        returns   (B, D * frame_splicing, T) and (B,) int64 frames; frames past the length are ``pad_value``

    Source: behaviour of NeMo 0.11.0, 1.0.0 and 3.0.0, ``FilterbankFeatures``. Deviations: an item too short to be
    mirrored counts as padded with zeros (NeMo raises); items of one frame become 0 in every recipe.
    """

    window: Tensor | None
    fb: Tensor

    def __init__(
        self,
        sample_rate: int = 16000,
        n_window_size: int = 320,
        n_window_stride: int = 160,
        window: str = "hann",
        normalize: str | Mapping[str, Any] | None = "per_feature",
        n_fft: int | None = None,
        preemph: float | None = 0.97,
        nfilt: int = 64,
        lowfreq: float = 0,
        highfreq: float | None = None,
        log: bool = True,
        log_zero_guard_type: str = "add",
        log_zero_guard_value: float | str = 2**-24,
        dither: float = 1e-5,
        pad_to: int | str = 16,
        frame_splicing: int = 1,
        exact_pad: bool = False,
        pad_value: float = 0,
        mag_power: float = 2.0,
        use_grads: bool = False,
        rng: random.Random | None = None,
        nb_augmentation_prob: float = 0.0,
        nb_max_freq: float = 4000,
        mel_norm: str | None = "slaney",
        stft_exact_pad: bool = False,
        stft_conv: bool = False,
        *,
        recipe: Recipe = "current",
    ) -> None:
        super().__init__()
        self.recipe = check_recipe(recipe)
        if (stft_conv or stft_exact_pad) and recipe == "current":
            logger.warning("stft_conv and stft_exact_pad belong to older recipes of the mel front end and are ignored")
            stft_conv = stft_exact_pad = False
        self.sample_rate = sample_rate
        for name, samples in (("n_window_size", n_window_size), ("n_window_stride", n_window_stride)):
            if not isinstance(samples, int) or samples <= 0:
                raise ConfigError(
                    f"{name} of the mel front end must be a positive number of samples", got=repr(samples)
                )
        self.win_length, self.hop_length = n_window_size, n_window_stride
        self.n_fft = n_fft or 2 ** math.ceil(math.log2(self.win_length))
        self.exact_pad = exact_pad or stft_exact_pad
        if self.exact_pad and self.hop_length % 2:
            raise ConfigError("exact_pad needs an even hop", got=f"{self.hop_length} samples")
        self.window_name, self.stft_conv = window, stft_conv
        self.normalize = _check_normalize(normalize, nfilt)
        self.preemph, self.nfilt, self.mel_norm = preemph, nfilt, mel_norm
        self.lowfreq, self.highfreq = float(lowfreq), float(highfreq or sample_rate / 2)
        self.log = log
        self.log_zero_guard_type, self.log_zero_guard_value = _check_guard(log_zero_guard_type, log_zero_guard_value)
        self.dither, self.mag_power = dither, mag_power
        self.pad_to, self.pad_value, self.frame_splicing = pad_to, pad_value, frame_splicing
        self.use_grads = use_grads
        self._rng = rng
        self.nb_augmentation_prob = nb_augmentation_prob if nb_max_freq < sample_rate / 2 else 0.0
        self._nb_first_bin = int(nb_max_freq / sample_rate * self.n_fft)
        self._register_buffers(torch.empty(0).device)

    def _register_buffers(self, device: torch.device) -> None:
        self.register_buffer("fb", torch.empty(1, self.nfilt, self.n_fft // 2 + 1, device=device))
        self.register_buffer("window", None)
        if self.stft_conv:
            self.stft = StftBasis(self.n_fft, self.hop_length, self.win_length, self.window_name)
        elif self.window_name != "none":
            if self.window_name not in WINDOWS:
                raise ConfigError(
                    "the window of the mel front end is not known",
                    got=repr(self.window_name),
                    expected=", ".join(map(repr, [*WINDOWS, "none"])),
                )
            self.window = torch.empty(self.win_length, device=device)
        if device.type != "meta":
            self.reset_buffers()

    def reset_buffers(self) -> None:
        """Compute the window and the filters anew, on the CPU if they were on the meta device."""
        bank = mel_filters(
            sample_rate=self.sample_rate,
            n_fft=self.n_fft,
            num_bands=self.nfilt,
            low=self.lowfreq,
            high=self.highfreq,
            norm=self.mel_norm,
        )
        device = torch.device("cpu") if self.fb.is_meta else self.fb.device
        self.fb = torch.tensor(bank, device=device)[None]
        if self.window is not None:
            self.window = WINDOWS[self.window_name](self.win_length, periodic=False, device=device)
        if self.stft_conv:
            self.stft.reset_buffers()

    @property
    def filter_banks(self) -> Tensor:
        """The mel filters, (1, D, n_fft // 2 + 1)."""
        return self.fb

    @property
    def _edge(self) -> int:
        """Samples of padding on each side."""
        return (self.n_fft - self.hop_length) // 2 if self.exact_pad else self.n_fft // 2

    @property
    def _edge_mode(self) -> str:
        return "constant" if self.recipe == "current" else "reflect"

    def get_seq_len(self, seq_len: Tensor) -> Tensor:
        """Return how many frames are reported for items of ``seq_len`` samples; 0 for an empty item."""
        if self.recipe == "0.11" and not self.exact_pad:  # exact_pad came with 1.0
            return (seq_len + self.hop_length - 1).div(self.hop_length, rounding_mode="floor").long()
        frames = (seq_len + 2 * self._edge - self.n_fft).div(self.hop_length, rounding_mode="floor").long()
        frames = frames + (self.recipe != "current")
        return torch.where(seq_len == 0, 0, frames).clamp(min=0)

    def forward(self, x: Tensor, seq_len: Tensor, linear_spec: bool = False) -> tuple[Tensor, Tensor]:
        """Return features and their lengths; with ``linear_spec`` the spectrum (B, n_fft // 2 + 1, F) instead."""
        grad = self.use_grads and torch.is_grad_enabled()
        with torch.set_grad_enabled(grad), torch.autocast(x.device.type, enabled=False):
            frames = self.get_seq_len(seq_len)
            x = self._prepared(x.float())
            if linear_spec:
                return self._spectrum(self._emphasised(x, seq_len)), frames
            if self._item_by_item(x):
                features = self._features_by_item(x, seq_len, frames)
            else:
                features = self._features_by_batch(x, seq_len, frames)
        return features.to(self.fb.dtype), frames

    def _prepared(self, x: Tensor) -> Tensor:
        """Samples long enough to be mirrored, padded first where the padding is exact, with dither."""
        if self._edge_mode == "reflect" and x.shape[1] <= self._edge:
            x = functional.pad(x, (0, self._edge + 1 - x.shape[1]))
        if self.exact_pad:
            x = functional.pad(x[:, None], (self._edge, self._edge), mode=self._edge_mode)[:, 0]
        if self.dither > 0 and (self.training or self.recipe == "0.11"):
            x = x + self.dither * torch.randn_like(x)
        return x

    def _emphasised(self, x: Tensor, seq_len: Tensor) -> Tensor:
        """Samples after pre-emphasis and, unless padded before, with the transform's edges."""
        if self.preemph is not None:
            x = torch.cat([x[:, :1], x[:, 1:] - self.preemph * x[:, :-1]], dim=1)
            if self.recipe == "current":
                # NeMo counts from the start of the padded row: with exact_pad the last samples are cut, as there.
                x = x.masked_fill(torch.arange(x.shape[1], device=x.device) >= seq_len[:, None], 0.0)
        if not self.exact_pad:
            x = functional.pad(x[:, None], (self._edge, self._edge), mode=self._edge_mode)[:, 0]
        return x

    # -- the plain formulation: any device, differentiable, traceable ------------------------------------------------

    def _features_by_batch(self, x: Tensor, seq_len: Tensor, frames: Tensor) -> Tensor:
        spectrum = self._spectrum(self._emphasised(x, seq_len))
        features = self._log(torch.matmul(self.fb.float(), spectrum))
        if self.frame_splicing > 1:
            features = features.repeat(1, self.frame_splicing, 1)  # NeMo's "splicing" repeats the same frames
        features = normalize_batch(features, frames, self.normalize)
        past = torch.arange(features.shape[2], device=x.device) >= frames[:, None]
        features = features.masked_fill(past[:, None], self.pad_value)
        return functional.pad(features, (0, self._total(features.shape[2]) - features.shape[2]), value=self.pad_value)

    def _spectrum(self, padded: Tensor) -> Tensor:
        """Magnitude to the power ``mag_power``, (B, n_fft // 2 + 1, F)."""
        window = self._analysis_window()
        spectrum = torch.view_as_real(
            torch.stft(
                padded,
                self.n_fft,
                self.hop_length,
                window.shape[0],
                window,
                center=False,
                return_complex=True,
            )
        )
        if self.recipe == "0.11" and not self.stft_conv:
            return spectrum.pow(self.mag_power).sum(-1)
        guard = STD_GUARD if self.use_grads else 0.0  # a root has no slope at zero
        magnitude = torch.sqrt(spectrum.square().sum(-1) + guard)
        if self.training and self.nb_augmentation_prob > 0:
            draw = self._rng or random  # Python's global generator, which training seeds and restores
            narrow = [draw.random() < self.nb_augmentation_prob for _ in range(len(magnitude))]
            high = torch.arange(magnitude.shape[1], device=magnitude.device)[:, None] >= self._nb_first_bin
            magnitude = magnitude.masked_fill(torch.tensor(narrow, device=magnitude.device)[:, None, None] & high, 0.0)
        return magnitude if self.mag_power == 1.0 else magnitude.pow(self.mag_power)

    def _analysis_window(self) -> Tensor:
        if self.stft_conv:
            return self.stft.window()
        if self.window is None:
            return torch.ones(self.win_length, device=self.fb.device)
        return self.window.float()

    def _log(self, mel: Tensor) -> Tensor:
        if not self.log:
            return mel
        value = self.log_zero_guard_value
        guard = getattr(torch.finfo(mel.dtype), value) if isinstance(value, str) else value
        return torch.log(mel + guard if self.log_zero_guard_type == "add" else mel.clamp(min=guard))

    def _total(self, frames: int) -> int:
        """Frames returned for ``frames`` frames of the transform."""
        pad_to = 16 if self.recipe == "0.11" and not self.training else self.pad_to
        if pad_to == "max":
            longest = int(self.get_seq_len(torch.tensor(int(_LONGEST_SECONDS * self.sample_rate))))
            return max(frames, longest + 16 - longest % 16)
        return frames + -frames % int(pad_to) if int(pad_to) > 0 else frames

    # -- the fast path: on a CPU, one item at a time, its valid frames alone, in bounded memory ------------------------

    def _item_by_item(self, x: Tensor) -> bool:
        return (
            x.device.type == "cpu"
            and not torch.is_grad_enabled()
            and not torch.compiler.is_compiling()
            and not torch.onnx.is_in_onnx_export()
            and self.frame_splicing == 1
            and not (self.training and self.nb_augmentation_prob > 0)
            and not (self.recipe == "0.11" and not self.stft_conv and self.mag_power != 2.0)
        )

    def _features_by_item(self, x: Tensor, seq_len: Tensor, frames: Tensor) -> Tensor:
        room = x.shape[1] if self.exact_pad else x.shape[1] + 2 * self._edge
        available = 1 + (room - self.n_fft) // self.hop_length if room >= self.n_fft else 0
        features = x.new_full((len(x), self.nfilt, self._total(available)), self.pad_value)
        for row, length, count, out in zip(x, seq_len.tolist(), frames.tolist(), features, strict=True):
            if count := min(count, available):
                valid = out[:, :count]
                self._mel_of_row(self._emphasised_row(row, length), valid)
                self._finish(valid)
        return features

    def _emphasised_row(self, row: Tensor, length: int) -> Tensor:
        """`_emphasised` for one item, (S,), with fewer passes over the samples."""
        if self.preemph is not None:
            emphasised = row.clone()
            emphasised[1:].sub_(row[:-1], alpha=self.preemph)
            row = emphasised
            if self.recipe == "current":
                row[length:] = 0.0
        if not self.exact_pad:
            row = functional.pad(row[None], (self._edge, self._edge), mode=self._edge_mode)[0]
        return row

    def _mel_of_row(self, padded: Tensor, out: Tensor) -> None:
        """Write mel energies of the first frames of one padded item into ``out`` (D, frames).

        The window is shorter than the transform and magnitudes do not see a shift in time, so the windowed samples
        are put at the transform's start instead of its middle.
        """
        window, bank = self._analysis_window(), self.fb[0].float()
        width, count = window.shape[0], out.shape[1]
        views = padded[(self.n_fft - width) // 2 :].unfold(0, width, self.hop_length)
        buffer = padded.new_zeros(min(_FRAMES_AT_ONCE, count), self.n_fft)
        for start in range(0, count, _FRAMES_AT_ONCE):
            size = min(_FRAMES_AT_ONCE, count - start)
            torch.mul(views[start : start + size], window, out=buffer[:size, :width])
            parts = torch.view_as_real(torch.fft.rfft(buffer[:size])).flatten(1).square_()
            power = parts[:, 0::2] + parts[:, 1::2]
            if self.mag_power != 2.0:
                power = power.sqrt_() if self.mag_power == 1.0 else power.pow_(self.mag_power / 2)
            out[:, start : start + size] = torch.mm(bank, power.t())

    def _finish(self, valid: Tensor) -> None:
        """Take the logarithm of one item's mel energies (D, frames) and normalise them, in place."""
        valid.copy_(self._log(valid))
        if isinstance(self.normalize, Mapping):
            valid.copy_(normalize_batch(valid[None], torch.tensor([valid.shape[1]]), self.normalize)[0])
        elif self.normalize in ("per_feature", "all_features"):
            dims = (1,) if self.normalize == "per_feature" else (0, 1)
            several = math.prod(valid.shape[dim] for dim in dims) > 1
            variance, mean = torch.var_mean(valid, dims, correction=int(several), keepdim=True)
            valid.sub_(mean).div_(variance.sqrt_().add_(STD_GUARD))
