"""FastPitch: tokens to a mel spectrogram in one pass, by way of each token's duration and pitch.

Shape letters in this file:
    B  batch size      N  tokens      T  frames      D  width      M  mel bands
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import torch
from torch import Tensor, nn

from seaspeak.collections.tts.modules.aligner import AlignmentEncoder, binarize_attention
from seaspeak.collections.tts.modules.conditioning import ConditionalInput, ConditionalLayerNorm
from seaspeak.collections.tts.modules.transformer import FFTransformerDecoder, FFTransformerEncoder
from seaspeak.core.errors import ConfigError, ModelError
from seaspeak.core.module import NeuralModule
from seaspeak.core.types import (
    EncodedRepresentation,
    Index,
    LengthsType,
    LogprobsType,
    MaskType,
    MelSpectrogramType,
    NeuralType,
    ProbsType,
    RegressionValuesType,
    TokenDurationType,
    TokenIndex,
    TokenLogDurationType,
)
from seaspeak.core.typing import typecheck


def average_features(features: Tensor, durations: Tensor) -> Tensor:
    """Return the mean (B, F, N) of frames (B, F, T) over each token's; zeros (unvoiced frames) do not count.

    >>> average_features(torch.tensor([[[1.0, 0, 3, 0, 0, 2]]]), torch.tensor([[2, 1, 2, 1]])).tolist()
    [[[1.0, 3.0, 0.0, 2.0]]]
    """
    ends = durations.cumsum(1).long().clamp(max=features.shape[2])
    starts = nn.functional.pad(ends[:, :-1], (1, 0))

    def sums(values: Tensor) -> Tensor:
        total = nn.functional.pad(values.cumsum(2), (1, 0))
        first, last = (place[:, None].expand(-1, values.shape[1], -1) for place in (starts, ends))
        return total.gather(2, last) - total.gather(2, first)

    return sums(features) / sums((features != 0).to(features.dtype)).clamp(min=1)


def frames_of(durations: Tensor, pace: float | Tensor = 1.0, *, half_to_even: bool = False) -> Tensor:
    """Return whole frames (B, N) of durations (B, N) at a pace; a half is rounded up, or as NeMo 1.0 did, to even."""
    scaled = durations.float() / pace
    return (scaled.round() if half_to_even else (scaled + 0.5).floor()).long()


def regulate_len(
    durations: Tensor,
    enc_out: Tensor,
    pace: float | Tensor = 1.0,
    mel_max_len: int | None = None,
    *,
    half_to_even: bool = False,
) -> tuple[Tensor, Tensor]:
    """Repeat each token's vector for its frames.

    Args:
        durations: (B, N) frames; fractions are allowed.
        enc_out: (B, N, D).
        pace: what durations are divided by, for all or (B, N).
        mel_max_len: cut off behind this many frames.
        half_to_even: round as NeMo 1.0 did; a half is rounded up otherwise.

    Returns:
        (B, T, D), zero behind each end, and (B,) frames.
    """
    ends = frames_of(durations, pace, half_to_even=half_to_even).cumsum(1)
    lens = ends[:, -1]
    longest = int(lens.max())
    if mel_max_len is not None:
        lens, longest = lens.clamp(max=mel_max_len), min(longest, mel_max_len)
    frame = torch.arange(longest, device=durations.device).expand(len(durations), -1).contiguous()
    token = torch.searchsorted(ends, frame, right=True)
    inside = (frame < lens[:, None])[..., None]
    token = token.clamp(max=durations.shape[1] - 1)[..., None].expand(-1, -1, enc_out.shape[2])
    return enc_out.gather(1, token) * inside, lens


def log_to_duration(log_dur: Tensor, min_dur: float, max_dur: float, mask: Tensor) -> Tensor:
    """Return frames (B, N) of predictions of log(frames + 1), within bounds; mask is (B, N, 1)."""
    return (log_dur.exp() - 1).clamp(min_dur, max_dur) * mask[..., 0]


class ConvReLUNorm(nn.Module):
    """Convolution over time, ReLU, layer normalisation, dropout."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        dropout: float,
        condition_width: int,
        condition_types: Sequence[str],
    ) -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        self.norm = ConditionalLayerNorm(out_channels, condition_width, condition_types)
        self.dropout = nn.Dropout(dropout)

    def forward(self, signal: Tensor, conditioning: Tensor | None) -> Tensor:
        """Return (B, N, D_out) for (B, N, D_in)."""
        hidden = self.conv(signal.transpose(1, 2)).relu().transpose(1, 2)
        dropped: Tensor = self.dropout(self.norm(hidden, conditioning))
        return dropped


class TemporalPredictor(NeuralModule):
    """Predict one number a token: the logarithm of its duration, its pitch or its energy.

    Args:
        input_size: D.
        filter_size: width of the hidden layers.
        kernel_size: of the convolutions.
        dropout: share dropped.
        n_layers: how many convolutions.
        condition_types: how a speaker's embedding enters (see ``conditioning``).
        mask_hidden: False computes batches as NeMo does, where padding leaks.
    """

    def __init__(
        self,
        input_size: int,
        filter_size: int,
        kernel_size: int,
        dropout: float,
        n_layers: int = 2,
        condition_types: Sequence[str] = (),
        *,
        mask_hidden: bool = True,
    ) -> None:
        super().__init__()
        self.cond_input = ConditionalInput(input_size, input_size, condition_types)
        widths = [input_size] + [filter_size] * n_layers
        self.layers = nn.ModuleList(
            ConvReLUNorm(widths[i], widths[i + 1], kernel_size, dropout, input_size, condition_types)
            for i in range(n_layers)
        )
        self.fc = nn.Linear(filter_size, 1)
        self.mask_hidden = mask_hidden

    @property
    def input_types(self) -> dict[str, NeuralType]:
        """Vectors, 1 where they count, and a speaker."""
        return {
            "enc": NeuralType("B T D", EncodedRepresentation()),
            "enc_mask": NeuralType("B T D", MaskType()),
            "conditioning": NeuralType("B T D", EncodedRepresentation(), optional=True),
        }

    @property
    def output_types(self) -> dict[str, NeuralType]:
        """One number each."""
        return {"out": NeuralType("B T", EncodedRepresentation())}

    @typecheck()
    def forward(self, enc: Tensor, enc_mask: Tensor, conditioning: Tensor | None = None) -> Tensor:
        """Return (B, N) for enc (B, N, D) and mask (B, N, 1)."""
        x_BND = self.cond_input(enc, conditioning) * enc_mask
        for layer in self.layers:
            x_BND = layer(x_BND, conditioning)
            if self.mask_hidden:
                x_BND = x_BND * enc_mask
        predicted: Tensor = (self.fc(x_BND) * enc_mask)[..., 0]
        return predicted


class Aligned(NamedTuple):
    """What the aligner says: attention, its logarithm, the best alignment (B, 1, T, N), frames of tokens (B, N)."""

    soft: Tensor
    logprob: Tensor
    hard: Tensor
    durations: Tensor


class Predicted(NamedTuple):
    """What the encoder and the duration predictor say: vectors, mask, durations and their logarithms."""

    encoded: Tensor
    mask: Tensor
    durations: Tensor
    log_durations: Tensor


class Trained(NamedTuple):
    """What training needs, in NeMo's order; None where there is no such thing.

    Spectrogram and its frames; durations predicted, and as logarithms; pitch predicted; attention, its logarithm, the
    best alignment and its durations; pitch that was used; energy predicted and used.
    """

    spect: Annotated[Tensor, NeuralType("B D T", MelSpectrogramType())]
    num_frames: Annotated[Tensor, NeuralType("B", LengthsType())]
    durs_predicted: Annotated[Tensor, NeuralType("B T", TokenDurationType())]
    log_durs_predicted: Annotated[Tensor, NeuralType("B T", TokenLogDurationType())]
    pitch_predicted: Annotated[Tensor, NeuralType("B T", RegressionValuesType())]
    attn_soft: Annotated[Tensor | None, NeuralType("B S T D", ProbsType(), optional=True)]
    attn_logprob: Annotated[Tensor | None, NeuralType("B S T D", LogprobsType(), optional=True)]
    attn_hard: Annotated[Tensor | None, NeuralType("B S T D", ProbsType(), optional=True)]
    attn_hard_dur: Annotated[Tensor | None, NeuralType("B T", TokenDurationType(), optional=True)]
    pitch: Annotated[Tensor | None, NeuralType("B T", RegressionValuesType(), optional=True)]
    energy_pred: Annotated[Tensor | None, NeuralType("B T", RegressionValuesType(), optional=True)]
    energy_tgt: Annotated[Tensor | None, NeuralType("B T", RegressionValuesType(), optional=True)]


class FastPitchModule(NeuralModule):
    """Encoder, predictors, aligner and decoder, wired; keys are NeMo's.

    Without an aligner training needs ``durs``; with one it needs ``spec``, ``mel_lens`` and ``input_lens``. Pitch and
    energy that are given per frame are averaged over tokens.
    """

    def __init__(
        self,
        encoder_module: FFTransformerEncoder,
        decoder_module: FFTransformerDecoder,
        duration_predictor: TemporalPredictor,
        pitch_predictor: TemporalPredictor,
        energy_predictor: TemporalPredictor | None = None,
        aligner: AlignmentEncoder | None = None,
        n_speakers: int = 1,
        symbols_embedding_dim: int = 384,
        pitch_embedding_kernel_size: int = 3,
        energy_embedding_kernel_size: int = 3,
        n_mel_channels: int = 80,
        min_token_duration: int = 0,
        max_token_duration: int = 75,
        use_log_energy: bool = True,
        *,
        half_to_even: bool = False,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder_module, decoder_module
        self.duration_predictor, self.pitch_predictor = duration_predictor, pitch_predictor
        self.energy_predictor, self.aligner = energy_predictor, aligner
        self.speaker_emb = nn.Embedding(n_speakers, symbols_embedding_dim) if n_speakers > 1 else None
        self.min_token_duration, self.max_token_duration = min_token_duration, max_token_duration
        self.use_log_energy, self.half_to_even = use_log_energy, half_to_even
        self.pitch_emb = _embedding(symbols_embedding_dim, pitch_embedding_kernel_size)
        if energy_predictor is not None:
            self.energy_emb = _embedding(symbols_embedding_dim, energy_embedding_kernel_size)
        self.register_buffer("pitch_mean", torch.zeros(1))
        self.register_buffer("pitch_std", torch.zeros(1))
        self.proj = nn.Linear(decoder_module.d_model, n_mel_channels)

    @property
    def learn_alignment(self) -> bool:
        """Whether there is an aligner."""
        return self.aligner is not None

    @typecheck()
    def forward(
        self,
        *,
        text: Annotated[Tensor, NeuralType("B T", TokenIndex())],
        durs: Annotated[Tensor | None, NeuralType("B T", TokenDurationType(), optional=True)] = None,
        pitch: Annotated[Tensor | None, NeuralType("B T", RegressionValuesType(), optional=True)] = None,
        energy: Annotated[Tensor | None, NeuralType("B T", RegressionValuesType(), optional=True)] = None,
        speaker: Annotated[Tensor | None, NeuralType("B", Index(), optional=True)] = None,
        pace: Annotated[float | Tensor, NeuralType(None, optional=True)] = 1.0,
        spec: Annotated[Tensor | None, NeuralType("B D T", MelSpectrogramType(), optional=True)] = None,
        attn_prior: Annotated[Tensor | None, NeuralType("B T T", ProbsType(), optional=True)] = None,
        mel_lens: Annotated[Tensor | None, NeuralType("B", LengthsType(), optional=True)] = None,
        input_lens: Annotated[Tensor | None, NeuralType("B", LengthsType(), optional=True)] = None,
    ) -> Trained:
        """Return what training needs.

        Raises:
            ModelError: no durations are given in training, and there is no aligner.
            ConfigError: there are several speakers, and none is given.
        """
        if self.training and self.aligner is None and durs is None:
            raise ModelError("training needs durations", fix="pass durs=..., or set learn_alignment: true")
        condition = self._speaker(speaker)
        predicted = self._predict(text, condition)
        aligned = self._align(text, spec, attn_prior, mel_lens, input_lens, predicted.mask, condition)
        known = aligned.durations if aligned else durs
        pitch_predicted = self.pitch_predictor(enc=predicted.encoded, enc_mask=predicted.mask, conditioning=condition)
        if pitch is not None:
            pitch = _per_token(pitch, known, predicted.durations)
        encoded = predicted.encoded + _embed(self.pitch_emb, pitch_predicted if pitch is None else pitch)
        encoded, energy_predicted, energy = self._add_energy(encoded, predicted, energy, known, condition)
        spect, frames = self._decode(encoded, predicted.durations if known is None else known, pace, condition)
        soft, logprob, hard, hard_durations = aligned or (None, None, None, None)
        return Trained(
            spect,
            frames,
            predicted.durations,
            predicted.log_durations,
            pitch_predicted,
            soft,
            logprob,
            hard,
            hard_durations,
            pitch,
            energy_predicted,
            energy,
        )

    def infer(
        self,
        *,
        text: Tensor,
        pitch: Tensor | float = 0.0,
        speaker: Tensor | None = None,
        energy: Tensor | None = None,
        pace: float | Tensor = 1.0,
        volume: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor | None]:
        """Speak.

        Args:
            text: tokens (B, N).
            pitch: added to the predicted pitch, in standard deviations, for all tokens or (B, N).
            speaker: (B,).
            energy: used in place of the predicted energy, (B, N).
            pace: 2 for twice as fast, for all tokens or (B, N).
            volume: a factor a token (B, N), spread over frames for a vocoder; 1 in padding.

        Returns:
            spectrogram (B, M, T), frames (B,), durations (B, N) and as logarithms, pitch (B, N), volume (B, T).
        """
        condition = self._speaker(speaker)
        predicted = self._predict(text, condition)
        pitch_used = pitch + self.pitch_predictor(
            enc=predicted.encoded, enc_mask=predicted.mask, conditioning=condition
        )
        encoded = predicted.encoded + _embed(self.pitch_emb, pitch_used)
        encoded, _, _ = self._add_energy(encoded, predicted, energy, None, condition)
        durations = self._audible(predicted.durations, pace)
        spect, frames = self._decode(encoded, durations, pace, condition)
        spread = None
        if volume is not None:
            spread = self._regulate(durations, volume[..., None], pace)[0][..., 0]
            spread = spread.masked_fill(torch.arange(spread.shape[1], device=text.device) >= frames[:, None], 1.0)
        return spect.float(), frames, durations, predicted.log_durations, pitch_used, spread

    def frames(self, durations: Tensor, pace: float | Tensor = 1.0) -> Tensor:
        """Return how many frames (B, N) tokens of these durations get at a pace."""
        return frames_of(durations, pace, half_to_even=self.half_to_even)

    def _audible(self, durations: Tensor, pace: float | Tensor) -> Tensor:
        """The same durations, but in a text that would have no frame at all the longest token gets one."""
        silent = ~self.frames(durations, pace).any(1, keepdim=True)
        longest = torch.zeros_like(durations).scatter(1, durations.argmax(1, keepdim=True), 1.0)
        return torch.where(silent, longest * pace, durations)

    def _speaker(self, speaker: Tensor | None) -> Tensor | None:
        if self.speaker_emb is None:
            return None
        if speaker is None:
            count = self.speaker_emb.num_embeddings
            raise ConfigError("the model has several speakers, and none is given", expected=f"speaker=0 to {count - 1}")
        embedded: Tensor = self.speaker_emb(speaker)[:, None]
        return embedded

    def _predict(self, text: Tensor, condition: Tensor | None) -> Predicted:
        encoded, mask = self.encoder(input=text, conditioning=condition)
        log_durations = self.duration_predictor(enc=encoded, enc_mask=mask, conditioning=condition)
        bounds = self.min_token_duration, self.max_token_duration
        return Predicted(encoded, mask, log_to_duration(log_durations, *bounds, mask), log_durations)

    def _align(
        self,
        text: Tensor,
        spec: Tensor | None,
        prior: Tensor | None,
        mel_lens: Tensor | None,
        input_lens: Tensor | None,
        mask: Tensor,
        condition: Tensor | None,
    ) -> Aligned | None:
        if spec is None:
            return None
        if self.aligner is None or mel_lens is None or input_lens is None:
            raise ModelError("a spectrogram is for the aligner", expected="learn_alignment, mel_lens and input_lens")
        embedded = self.encoder.word_emb(text).transpose(1, 2)
        soft, logprob = self.aligner(spec, embedded, ~mask, prior, conditioning=condition)
        hard = binarize_attention(soft, input_lens, mel_lens)
        return Aligned(soft, logprob, hard, hard.sum(2)[:, 0])

    def _add_energy(
        self,
        encoded: Tensor,
        predicted: Predicted,
        energy: Tensor | None,
        known: Tensor | None,
        condition: Tensor | None,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        if self.energy_predictor is None:
            return encoded, None, None
        guess = self.energy_predictor(enc=encoded, enc_mask=predicted.mask, conditioning=condition)
        if energy is not None and energy.shape[1] != encoded.shape[1]:
            energy = _per_token(energy, known, predicted.durations)
            energy = energy.log1p() if self.use_log_energy else energy
        return encoded + _embed(self.energy_emb, guess if energy is None else energy), guess, energy

    def _regulate(self, durations: Tensor, vectors: Tensor, pace: float | Tensor) -> tuple[Tensor, Tensor]:
        return regulate_len(durations, vectors, pace, half_to_even=self.half_to_even)

    def _decode(
        self, encoded: Tensor, durations: Tensor, pace: float | Tensor, condition: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        frames, lens = self._regulate(durations, encoded, pace)
        decoded, _ = self.decoder(input=frames, seq_lens=lens, conditioning=condition)
        return self.proj(decoded).transpose(1, 2), lens


def _embedding(width: int, kernel_size: int) -> nn.Conv1d:
    return nn.Conv1d(1, width, kernel_size, padding=(kernel_size - 1) // 2)


def _embed(layer: nn.Conv1d, values: Tensor) -> Tensor:
    embedded: Tensor = layer(values[:, None]).transpose(1, 2)
    return embedded


def _per_token(values: Tensor, known: Tensor | None, predicted: Tensor) -> Tensor:
    """Return values (B, N) as they are, and averages of values (B, T) over the durations that make T frames."""
    tokens = predicted.shape[1]
    if values.shape[1] == tokens:
        return values
    fits = known is not None and values.shape[1] == int(known.sum(1).max())
    return average_features(values[:, None], known if fits and known is not None else predicted)[:, 0]
