"""What FastPitch learns from: squared errors of spectrograms, and of tokens' durations, pitch and energy.

Shape letters in this file:
    B  batch size      N  tokens      M  mel bands      T  frames
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from seaspeak.collections.tts.modules.transformer import mask_from_lens
from seaspeak.core.module import Loss


def masked_mean(errors: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of errors where the mask is true."""
    return (errors * mask).sum() / mask.expand_as(errors).sum()


class _TokenLoss(Loss):
    """Mean squared error over tokens that count."""

    def __init__(self, loss_scale: float = 0.1) -> None:
        super().__init__()
        self.loss_scale = loss_scale

    def _over_tokens(self, predicted: Tensor, target: Tensor, lens: Tensor) -> Tensor:
        mask = mask_from_lens(lens, target.shape[1])
        padded = functional.pad(predicted, (0, target.shape[1] - predicted.shape[1]))
        return self.loss_scale * masked_mean((padded - target).square(), mask)


class DurationLoss(_TokenLoss):
    """Of log(frames + 1): predictions are logarithms (B, N), targets frames (B, N)."""

    def forward(self, log_durs_predicted: Tensor, durs_tgt: Tensor, len: Tensor) -> Tensor:
        """Return the loss; ``len`` (B,) is how many tokens count."""
        return self._over_tokens(log_durs_predicted, torch.log(durs_tgt.float() + 1), len)


class PitchLoss(_TokenLoss):
    """Of pitch (B, N), in standard deviations."""

    def forward(self, pitch_predicted: Tensor, pitch_tgt: Tensor, len: Tensor) -> Tensor:
        """Return the loss; ``len`` (B,) is how many tokens count."""
        return self._over_tokens(pitch_predicted, pitch_tgt, len)


class EnergyLoss(_TokenLoss):
    """Of energy (B, N)."""

    def forward(self, energy_predicted: Tensor, energy_tgt: Tensor, length: Tensor) -> Tensor:
        """Return the loss; ``length`` (B,) is how many tokens count."""
        return self._over_tokens(energy_predicted, energy_tgt, length)


class MelLoss(Loss):
    """Of spectrograms (B, M, T) over frames that count: ``spect_lens``, or as NeMo where the target is not 0."""

    def forward(self, spect_predicted: Tensor, spect_tgt: Tensor, spect_lens: Tensor | None = None) -> Tensor:
        """Return the loss; a prediction that is too short counts as 0 behind its end, one too long is cut."""
        frames = spect_tgt.shape[2]
        padded = functional.pad(spect_predicted, (0, frames - spect_predicted.shape[2]))
        mask = spect_tgt != 0 if spect_lens is None else mask_from_lens(spect_lens, frames)[:, None]
        return masked_mean((padded - spect_tgt).square(), mask)


class FastPitchLoss(Loss):
    """NeMo 1.0's sum: spectrogram, and a tenth of durations and of pitch.

    Shapes:
        spect_predicted (B, T, M), spect_tgt (B, M, T), the others (B, N), dur_lens (B,)
        returns loss, mel_loss, dur_loss, pitch_loss: the sum and its parts, scaled
    """

    def __init__(self, dur_predictor_loss_scale: float = 0.1, pitch_predictor_loss_scale: float = 0.1) -> None:
        super().__init__()
        self.mel, self.durations = MelLoss(), DurationLoss(dur_predictor_loss_scale)
        self.pitch = PitchLoss(pitch_predictor_loss_scale)

    def forward(
        self,
        spect_predicted: Tensor,
        log_durs_predicted: Tensor,
        pitch_predicted: Tensor,
        spect_tgt: Tensor,
        durs_tgt: Tensor,
        dur_lens: Tensor,
        pitch_tgt: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the sum and its parts."""
        mel = self.mel(spect_predicted.transpose(1, 2), spect_tgt)
        durations = self.durations(log_durs_predicted, durs_tgt, dur_lens)
        pitch = self.pitch(pitch_predicted, pitch_tgt, dur_lens)
        return mel + durations + pitch, mel, durations, pitch
