from __future__ import annotations

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from seaspeak.collections.tts.modules import fourier_conv
from seaspeak.collections.tts.modules.fourier_conv import FourierConv


@settings(deadline=None, max_examples=60)
@given(
    batch=st.integers(1, 2),
    steps=st.integers(1, 400),
    taps=st.sampled_from([7, 9, 11, 15]),
    dilation=st.integers(1, 5),
    with_bias=st.booleans(),
    block=st.sampled_from([1, 2000, 1 << 19]),
)
def test_every_signal_is_convolved_as_torch_does(
    batch: int, steps: int, taps: int, dilation: int, with_bias: bool, block: int
) -> None:
    draw = torch.Generator().manual_seed(steps)
    weight, signal = torch.randn(6, 4, taps, generator=draw), torch.randn(batch, 4, steps, generator=draw)
    bias = torch.randn(6, generator=draw) if with_bias else None
    expected = F.conv1d(signal, weight, bias, padding=dilation * (taps - 1) // 2, dilation=dilation)
    before, fourier_conv._BLOCK = fourier_conv._BLOCK, block
    try:
        made = FourierConv.of(weight, bias, dilation)(signal.unsqueeze(2).contiguous(memory_format=torch.channels_last))
    finally:
        fourier_conv._BLOCK = before
    torch.testing.assert_close(made.squeeze(2), expected, atol=2e-5, rtol=1e-5)


def test_only_wide_convolutions_with_long_kernels_are_worth_it() -> None:
    worth = {(c, k) for c in (32, 64, 128, 256) for k in (3, 7, 11) if fourier_conv.pays(torch.empty(c, c, k))}
    assert worth == {(64, 11), (128, 7), (128, 11), (256, 7), (256, 11)}
