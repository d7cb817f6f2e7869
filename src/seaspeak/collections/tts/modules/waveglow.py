"""WaveGlow's network: a flow between sound and noise, conditioned on a mel spectrogram (arXiv:1811.00002).

Parameter names and arithmetic are those of NeMo's archives.

Shape letters in this file:
    B  batch size      D  mel bands    T  frames         S  samples
    G  samples of a group, which a step of the flow takes at once: S = G * P
    P  groups          C  channels of the network within a step
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import torch
from torch import Tensor, nn

from seaspeak.collections.tts.modules import waveglow_fast
from seaspeak.collections.tts.modules.weight_norm import NormedConv1d
from seaspeak.core.errors import ConfigError
from seaspeak.core.module import NeuralModule
from seaspeak.core.types import (
    AudioSignal,
    LogDeterminantType,
    MelSpectrogramType,
    NeuralType,
    NormalDistributionSamplesType,
    VoidType,
)
from seaspeak.core.typing import typecheck

Noise = Annotated[Tensor, NeuralType(("B", "flowgroup", "T"), NormalDistributionSamplesType())]
Mel = Annotated[Tensor, NeuralType("B D T", MelSpectrogramType())]


class Flow(NamedTuple):
    """What sound becomes: noise (B, G, P), and what the loss needs of each step to say how likely the sound is."""

    pred_normal_dist: Noise
    log_s_list: list[Annotated[Tensor, NeuralType(("B", "flowgroup", "T"), VoidType())]]
    log_det_W_list: list[Annotated[Tensor, NeuralType(elements_type=LogDeterminantType())]]


class Invertible1x1Conv(nn.Module):
    """A matrix that mixes the channels, at first a rotation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, 1, bias=False)
        with torch.no_grad():
            matrix = torch.linalg.qr(torch.randn(channels, channels)).Q
            if not matrix.is_meta and torch.linalg.det(matrix) < 0:
                matrix[:, 0] = -matrix[:, 0]
            self.conv.weight.copy_(matrix[..., None])

    def forward(self, x_BGP: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mixed channels and the logarithm of how much that changes the volume, for the whole batch."""
        log_det = torch.linalg.slogdet(self.conv.weight[..., 0].float()).logabsdet
        return self.conv(x_BGP), x_BGP.shape[0] * x_BGP.shape[2] * log_det

    def inverse(self) -> Tensor:
        """The matrix (G, G) that undoes it."""
        return torch.linalg.inv(self.conv.weight[..., 0].float()).to(self.conv.weight.dtype)


class WaveNet(nn.Module):
    """Dilated convolutions that tell, from half of the channels, how to shift and scale the other half.

    Shapes:
        half     (B, N, P)
        mel      (B, D * G, P)
        returns  (B, 2 * N, P)  shift, then logarithm of the scale; zero before training
    """

    def __init__(self, num_half: int, mel_channels: int, num_layers: int, channels: int, kernel: int) -> None:
        super().__init__()
        if kernel % 2 == 0 or channels % 2:
            raise ConfigError("WaveGlow needs an odd kernel and even channels", got=f"{kernel} and {channels}")
        self.channels = channels
        self.start = NormedConv1d(num_half, channels, 1)
        self.cond_layer = NormedConv1d(mel_channels, 2 * channels * num_layers, 1)
        self.in_layers, self.res_skip_layers = nn.ModuleList(), nn.ModuleList()
        for layer in range(num_layers):
            dilation = 2**layer
            self.in_layers.append(
                NormedConv1d(channels, 2 * channels, kernel, dilation=dilation, padding=dilation * (kernel - 1) // 2)
            )
            self.res_skip_layers.append(NormedConv1d(channels, channels * (1 + (layer + 1 < num_layers)), 1))
        self.end = nn.Conv1d(channels, 2 * num_half, 1)
        nn.init.zeros_(self.end.weight)
        assert self.end.bias is not None
        nn.init.zeros_(self.end.bias)

    def forward(self, half: Tensor, mel: Tensor) -> Tensor:
        """Return shift and logarithm of the scale."""
        x_BCP = self.start(half)
        conditions = self.cond_layer(mel).split(2 * self.channels, 1)
        skipped: Tensor | None = None
        for dilated, res_skip, condition in zip(self.in_layers, self.res_skip_layers, conditions, strict=True):
            tanh, gate = (dilated(x_BCP) + condition).chunk(2, 1)
            y = res_skip(tanh.tanh() * gate.sigmoid())
            if y.shape[1] > self.channels:
                x_BCP = x_BCP + y[:, : self.channels]
                y = y[:, self.channels :]
            skipped = y if skipped is None else skipped + y
        shift_and_scale: Tensor = self.end(skipped)
        return shift_and_scale


class WaveGlowModule(NeuralModule):
    """Steps of a flow, each a mixing of the channels and a WaveNet that shifts and scales half of them.

    Every ``n_early_every`` steps ``n_early_size`` channels leave as noise. Forward leads from sound to noise,
    `inverse` from noise to sound.

    Shapes:
        spec   (B, D, T)   natural log of mel magnitudes
        audio  (B, S)      samples in [-1, 1]; what does not fill a group is cut

    Raises:
        ConfigError: sizes that do not fit each other.
    """

    convinv: Any  # ModuleList of Invertible1x1Conv

    def __init__(
        self,
        n_mel_channels: int,
        n_flows: int,
        n_group: int,
        n_early_every: int,
        n_early_size: int,
        n_wn_channels: int,
        n_wn_layers: int,
        wn_kernel_size: int,
    ) -> None:
        super().__init__()
        left = n_group - n_early_size * ((n_flows - 1) // n_early_every)
        if left < 2 or n_group % 2 or n_early_size % 2:
            raise ConfigError(
                "n_group and n_early_size of WaveGlow must be even, with channels left for the last flow",
                got=f"n_group={n_group}, n_early_size={n_early_size}, n_flows={n_flows}",
            )
        self.n_group, self.n_early_every, self.n_early_size = n_group, n_early_every, n_early_size
        self.upsample = nn.ConvTranspose1d(n_mel_channels, n_mel_channels, 1024, stride=256)
        self.wavenet, self.convinv = nn.ModuleList(), nn.ModuleList()
        channels = n_group
        for step in range(n_flows):
            channels -= n_early_size * self.leaves(step)
            self.convinv.append(Invertible1x1Conv(channels))
            self.wavenet.append(
                WaveNet(channels // 2, n_mel_channels * n_group, n_wn_layers, n_wn_channels, wn_kernel_size)
            )
        self.n_remaining = channels

    def leaves(self, step: int) -> bool:
        """Whether channels leave before this step."""
        return step > 0 and step % self.n_early_every == 0

    @typecheck()
    def forward(self, spec: Mel, audio: Annotated[Tensor, NeuralType("B T", AudioSignal())]) -> Flow:
        """Return the noise that sound stands for."""
        audio = audio[:, : audio.shape[1] // self.n_group * self.n_group]
        mel = self._grouped(self.upsample(spec)[:, :, : audio.shape[1]])
        x_BGP = audio.unflatten(1, (-1, self.n_group)).transpose(1, 2)
        left, scales, determinants = [], [], []
        for step, (mix, network) in enumerate(zip(self.convinv, self.wavenet, strict=True)):
            if self.leaves(step):
                left.append(x_BGP[:, : self.n_early_size])
                x_BGP = x_BGP[:, self.n_early_size :]
            x_BGP, log_det = mix(x_BGP)
            kept, changed = x_BGP.chunk(2, 1)
            shift, log_scale = network(kept, mel).chunk(2, 1)
            x_BGP = torch.cat([kept, log_scale.exp() * changed + shift], 1)
            scales.append(log_scale)
            determinants.append(log_det)
        return Flow(torch.cat([*left, x_BGP], 1), scales, determinants)

    def noise(self, spec: Tensor, sigma: float) -> Tensor:
        """Draw noise (B, G, P) for a spectrogram."""
        groups = spec.shape[2] * self.upsample.stride[0] // self.n_group
        return sigma * torch.randn(spec.shape[0], self.n_group, groups, device=spec.device, dtype=spec.dtype)

    def inverse(self, spec: Tensor, z: Tensor | None = None, sigma: float = 1.0) -> Tensor:
        """Return the sound (B, S) that noise stands for.

        Args:
            spec: (B, D, T).
            z: (B, G, P): first the channels of the last step, then those that left, the last to leave first. Drawn
                with deviation ``sigma`` by default.
            sigma: less is cleaner and duller.
        """
        z = self.noise(spec, sigma) if z is None else z
        if waveglow_fast.suits(self, spec):
            return waveglow_fast.inverse(self, spec, z)
        return self.plain_inverse(spec, z)

    def plain_inverse(self, spec: Tensor, z: Tensor) -> Tensor:
        """The same, layer by layer: on any device, differentiable, and what the fast form is held to."""
        mel = self.conditions(spec)
        x_BGP, waiting = z[:, : self.n_remaining], z[:, self.n_remaining :]
        for step in reversed(range(len(self.wavenet))):
            kept, changed = x_BGP.chunk(2, 1)
            shift, log_scale = self.wavenet[step](kept, mel).chunk(2, 1)
            x_BGP = torch.cat([kept, (changed - shift) / log_scale.exp()], 1)
            x_BGP = self.convinv[step].inverse() @ x_BGP
            if self.leaves(step):
                x_BGP = torch.cat([waiting[:, : self.n_early_size], x_BGP], 1)
                waiting = waiting[:, self.n_early_size :]
        return x_BGP.transpose(1, 2).flatten(1)

    def conditions(self, spec: Tensor) -> Tensor:
        """The spectrogram at the pace of groups, (B, D * G, P)."""
        surplus = self.upsample.kernel_size[0] - self.upsample.stride[0]
        return self._grouped(self.upsample(spec)[:, :, :-surplus])

    def _grouped(self, mel_BDS: Tensor) -> Tensor:
        return mel_BDS.unflatten(2, (-1, self.n_group)).permute(0, 1, 3, 2).flatten(1, 2)
