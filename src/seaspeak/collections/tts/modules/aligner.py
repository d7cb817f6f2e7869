"""Which frames of a spectrogram belong to which token of its text, learnt from both alone.

Shape letters in this file:
    B  batch size      T  frames of the mel spectrogram      N  tokens
    M  mel bands       C  width of the text embedding        A  width in which both are compared

Source: One TTS Alignment To Rule Them All, arXiv:2108.10447; NeMo's key names and constants.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seaspeak.collections.tts.modules.conditioning import ConditionalInput
from seaspeak.core.errors import ConfigError, DataError

_PRIOR_GUARD = 1e-8


class ConvNorm(nn.Module):
    """A convolution over time, initialised for the non-linearity that follows it."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, gain: str = "linear") -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        nn.init.xavier_uniform_(self.conv.weight, gain=nn.init.calculate_gain(gain))  # type: ignore[arg-type]

    def forward(self, signal: Tensor) -> Tensor:
        """Return (B, C_out, T) for (B, C_in, T)."""
        convolved: Tensor = self.conv(signal)
        return convolved


class AlignmentEncoder(nn.Module):
    """Score every pair of frame and token.

    Args:
        n_mel_channels: M.
        n_text_channels: C.
        n_att_channels: A.
        temperature: what distances are multiplied with.
        condition_types: how a speaker's embedding enters (see ``conditioning``).
        dist_type: ``l2`` or ``cosine``.

    Shapes:
        queries     (B, M, T)     log-mel spectrograms
        keys        (B, C, N)     text embeddings
        mask        (B, N, 1)     true for padding tokens
        attn_prior  (B, T, N)     probabilities; see :func:`beta_binomial_prior`
        returns attention (B, 1, T, N), rows sum to 1, and log-probabilities (B, 1, T, N) before masking
    """

    def __init__(
        self,
        n_mel_channels: int = 80,
        n_text_channels: int = 512,
        n_att_channels: int = 80,
        temperature: float = 0.0005,
        condition_types: Sequence[str] = (),
        dist_type: str = "l2",
    ) -> None:
        super().__init__()
        if dist_type not in ("l2", "cosine"):
            raise ConfigError(f"there is no distance {dist_type!r}", expected="l2 or cosine")
        self.temperature, self.dist_type = temperature, dist_type
        self.cond_input = ConditionalInput(n_text_channels, n_text_channels, condition_types)
        self.key_proj = nn.Sequential(
            ConvNorm(n_text_channels, 2 * n_text_channels, 3, "relu"),
            nn.ReLU(),
            ConvNorm(2 * n_text_channels, n_att_channels, 1),
        )
        self.query_proj = nn.Sequential(
            ConvNorm(n_mel_channels, 2 * n_mel_channels, 3, "relu"),
            nn.ReLU(),
            ConvNorm(2 * n_mel_channels, n_mel_channels, 1),
            nn.ReLU(),
            ConvNorm(n_mel_channels, n_att_channels, 1),
        )

    def forward(
        self,
        queries: Tensor,
        keys: Tensor,
        mask: Tensor | None = None,
        attn_prior: Tensor | None = None,
        conditioning: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return attention and log-probabilities."""
        keys = self.cond_input(keys.transpose(1, 2), conditioning).transpose(1, 2)
        score = -self.temperature * self._distance(self.query_proj(queries), self.key_proj(keys))[:, None]
        if attn_prior is not None:
            score = score.log_softmax(dim=3) + torch.log(attn_prior[:, None] + _PRIOR_GUARD)
        masked = score if mask is None else score.masked_fill(mask.transpose(1, 2)[:, None], -torch.inf)
        return masked.softmax(dim=3), score

    def _distance(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Return (B, T, N) for (B, A, T) and (B, A, N); squares are multiplied out, which needs no (B, A, T, N)."""
        if self.dist_type == "cosine":
            queries, keys = (nn.functional.normalize(each, dim=1) for each in (queries, keys))
            return -torch.bmm(queries.transpose(1, 2), keys)
        products = torch.bmm(queries.transpose(1, 2), keys)
        return queries.square().sum(1)[:, :, None] + keys.square().sum(1)[:, None, :] - 2 * products

    @staticmethod
    def get_durations(attn_soft: Tensor, text_len: Tensor, spect_len: Tensor) -> Tensor:
        """Return the frames (B, N) of each token in the best monotonic alignment."""
        return binarize_attention(attn_soft, text_len, spect_len).sum(2)[:, 0]


@lru_cache(maxsize=500)
def _prior(num_tokens: int, num_frames: int, scaling_factor: float) -> NDArray[np.float32]:
    last, chosen = num_tokens - 1, torch.arange(num_tokens, dtype=torch.float64)
    frame = torch.arange(1, num_frames + 1, dtype=torch.float64)[:, None]
    alpha, beta = scaling_factor * frame, scaling_factor * (num_frames + 1 - frame)

    def log_beta(a: Tensor, b: Tensor) -> Tensor:
        return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)

    ways = torch.lgamma(torch.tensor(last + 1.0, dtype=torch.float64)) - (
        torch.lgamma(chosen + 1) + torch.lgamma(last - chosen + 1)
    )
    probability = torch.exp(ways + log_beta(chosen + alpha, last - chosen + beta) - log_beta(alpha, beta))
    return np.asarray(probability.numpy(), dtype=np.float32)


def beta_binomial_prior(num_tokens: int, num_frames: int, scaling_factor: float = 1.0) -> Tensor:
    """Return how probable each token is in each frame if speech is about even, (T, N), rows sum to 1.

    >>> beta_binomial_prior(2, 3)
    tensor([[0.7500, 0.2500],
            [0.5000, 0.5000],
            [0.2500, 0.7500]])
    """
    return torch.from_numpy(_prior(num_tokens, num_frames, scaling_factor).copy())


def binarize_attention(attn: Tensor, text_lens: Tensor, mel_lens: Tensor) -> Tensor:
    """Return the best monotonic alignment: each frame has one token, each token at least one frame.

    The first frame has the first token and the last the last; of equally good paths the one that moves on late.

    Args:
        attn: attention (B, 1, T, N).
        text_lens: (B,) tokens that count.
        mel_lens: (B,) frames that count.

    Returns:
        (B, 1, T, N), 1 where a frame has a token, else 0.

    Raises:
        DataError: an item has fewer frames than tokens.
    """
    tokens, frames = text_lens.cpu().numpy(), mel_lens.cpu().numpy()
    if (short := np.flatnonzero(frames < tokens)).size:
        item = int(short[0])
        raise DataError(
            f"item {item} of the batch has {frames[item]} frames for {tokens[item]} tokens: every token needs one",
            fix="leave such utterances out: set min_duration, or correct their texts",
        )
    score = np.log(np.maximum(attn[:, 0].detach().cpu().double().numpy(), 1e-300))
    moved = _best_moves(score)
    hard = np.zeros(score.shape, dtype=np.float32)
    rows, token = np.arange(len(score)), tokens - 1
    for frame in range(score.shape[1] - 1, -1, -1):
        inside = frame < frames
        hard[rows[inside], frame, token[inside]] = 1
        token = token - (inside & moved[rows, frame, token])
    return torch.from_numpy(hard)[:, None].to(attn.device, attn.dtype)


def _best_moves(score: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the best path to (frame, token) comes from the token before, (B, T, N)."""
    moved = np.zeros(score.shape, dtype=bool)
    best = np.full_like(score[:, 0], -np.inf)
    best[:, 0] = score[:, 0, 0]
    before = np.full_like(best, -np.inf)
    for frame in range(1, score.shape[1]):
        before[:, 1:] = best[:, :-1]
        moved[:, frame, 1:] = (before >= best)[:, 1:]
        best = score[:, frame] + np.maximum(before, best)
    return moved
