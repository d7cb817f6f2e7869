"""A CTC model in torch as the ``Scorer`` that transcription works with: numpy arrays in, numpy arrays out."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from seaspeak.collections.asr.models.ctc_models import EncDecCTCModel

_FALLBACK_SECONDS = 10.0  # context for encoders that do not say theirs, or that see everything


class _MelFrontEnd:
    """A model's mel front end without dither, padding and the normalisation that needs statistics."""

    def __init__(self, preprocessor: Any) -> None:
        self.featurizer = copy.copy(preprocessor.featurizer)  # shares the filters, not the settings
        self.featurizer.training = False
        self.featurizer.dither, self.featurizer.pad_to = 0.0, 0
        self.hop_length, self.n_fft = int(self.featurizer.hop_length), int(self.featurizer.n_fft)
        self.normalisation = ""
        if self.featurizer.normalize in ("per_feature", "all_features"):
            self.normalisation, self.featurizer.normalize = self.featurizer.normalize, None

    def __call__(self, signal: Tensor, length: Tensor) -> Tensor:
        features: Tensor = self.featurizer(signal, length)[0]
        return features

    def num_frames(self, num_samples: int) -> int:
        return int(self.featurizer.get_seq_len(torch.tensor([num_samples]))[0])


class _PlainFrontEnd:
    """A front end that normalises nothing and adds no noise, such as MFCC."""

    normalisation = ""

    def __init__(self, preprocessor: Any) -> None:
        self.preprocessor = preprocessor
        self.hop_length = int(preprocessor.hop_length)
        self.n_fft = 4 * self.hop_length  # windows overlap to about this length

    def __call__(self, signal: Tensor, length: Tensor) -> Tensor:
        features: Tensor = self.preprocessor(input_signal=signal, length=length)[0]
        return features

    def num_frames(self, num_samples: int) -> int:
        return -(-num_samples // self.hop_length)


class TorchScorer:
    """Front end, encoder and decoder of a model; see ``seaspeak.collections.asr.recognition.Scorer``.

    Features are computed recording by recording, so that no result depends on its neighbours in a batch; a front end
    of its own leaves the model's as it is.
    """

    def __init__(self, model: EncDecCTCModel) -> None:
        self.model = model
        self.sample_rate = model.sample_rate
        has_mel = hasattr(getattr(model.preprocessor, "featurizer", None), "normalize")
        self.front_end = (_MelFrontEnd if has_mel else _PlainFrontEnd)(model.preprocessor)
        self.hop_length = self.front_end.hop_length
        self.margin = -(-self.front_end.n_fft // self.hop_length) + 1
        self.normalisation = self.front_end.normalisation
        self.subsampling = int(model.encoder.subsampling_factor)
        self.context = self._context()

    def _context(self) -> tuple[int, int]:
        encoder = self.model.encoder
        if getattr(encoder, "is_local", False):
            left, right = encoder.receptive_field
            return int(left), int(right)
        frames = round(_FALLBACK_SECONDS * self.sample_rate / self.hop_length)
        return frames, frames

    @torch.inference_mode()
    def features(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """(S,) -> (D, T)."""
        signal = torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32))[None].to(self.model.device)
        features = self.front_end(signal, torch.tensor([signal.shape[1]], device=signal.device))
        found: NDArray[np.float32] = features[0].float().cpu().numpy()
        return found

    def num_frames(self, num_samples: int) -> int:
        """How many of the frames count."""
        return self.front_end.num_frames(num_samples)

    @torch.inference_mode()
    def log_probs(self, features: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """(D, T) each -> (F, V) each."""
        if not features:
            return []
        lengths = [one.shape[1] for one in features]
        batch = np.zeros((len(features), features[0].shape[0], max(lengths)), np.float32)
        for row, one in zip(batch, features, strict=True):
            row[:, : one.shape[1]] = one
        where: Any = {"device": self.model.device}
        dtype = next(self.model.encoder.parameters()).dtype
        scored, counts, _ = self.model.forward(
            processed_signal=torch.from_numpy(batch).to(dtype=dtype, **where),
            processed_signal_length=torch.tensor(lengths, **where),
        )
        rows = scored.float().cpu().numpy()
        return [row[:count] for row, count in zip(rows, counts.tolist(), strict=True)]
