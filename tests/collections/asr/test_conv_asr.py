from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import nn

from seaspeak.collections.asr.modules import ConvASRDecoder, ConvASREncoder, channels_last
from seaspeak.collections.asr.modules.jasper import BlockSpec
from seaspeak.collections.asr.modules.jasper_layers import MaskedConv1d, SqueezeExcite
from seaspeak.core.errors import ConfigError


def block(filters: int, kernel: int, **options: object) -> dict:
    base = {"filters": filters, "repeat": 2, "kernel": [kernel], "stride": [1], "dilation": [1]}
    base |= {"dropout": 0.0, "residual": True, "separable": True}
    return base | options


PROLOGUE = block(8, 5, repeat=1, stride=[2], residual=False)
EPILOGUE = block(12, 1, repeat=1, residual=False, separable=False)

NETS: dict[str, dict] = {
    "quartznet": {"jasper": [PROLOGUE, block(8, 7), block(10, 9, repeat=3), block(12, 5, dilation=[2]), EPILOGUE]},
    "jasper dense": {
        "jasper": [
            block(8, 5, repeat=1, stride=[2], residual=False, separable=False),
            *(block(width, 5, separable=False, residual_dense=True) for width in (8, 10, 12)),
            EPILOGUE,
        ]
    },
    "sticky maximum": {"jasper": [PROLOGUE, block(8, 7, residual_mode="max"), block(8, 5), EPILOGUE]},
    "stride_add": {
        "jasper": [PROLOGUE, block(8, 7, stride=[2], stride_last=True, residual_mode="stride_add"), EPILOGUE]
    },
    "future context": {"jasper": [PROLOGUE, block(8, 7, future_context=1, dilation=[2]), EPILOGUE]},
    "no masks": {"jasper": [PROLOGUE, block(8, 7), EPILOGUE], "conv_mask": False},
    "ends with a wide kernel": {"jasper": [PROLOGUE, block(8, 7), block(8, 9)], "activation": "hardtanh"},
    "spliced": {"jasper": [PROLOGUE, block(8, 7)], "frame_splicing": 2},
}
RARE: dict[str, dict] = {
    "squeeze-and-excite": {"jasper": [PROLOGUE, block(8, 7, se=True, se_reduction_ratio=2), EPILOGUE]},
    "windowed, unmasked squeeze-and-excite": {
        "jasper": [PROLOGUE, block(8, 7, se=True, se_reduction_ratio=2, se_context_window=4)],
        "mask_se": False,
    },
    "heads": {"jasper": [PROLOGUE, block(8, 7, heads=2), EPILOGUE]},
    "groups": {"jasper": [PROLOGUE, block(8, 7, groups=2), EPILOGUE]},
    "layer norm": {"jasper": [PROLOGUE, block(8, 7), EPILOGUE], "normalization_mode": "layer"},
    "instance norm": {"jasper": [PROLOGUE, block(8, 7), EPILOGUE], "normalization_mode": "instance"},
    "group norm": {"jasper": [PROLOGUE, block(8, 7), EPILOGUE], "normalization_mode": "group", "norm_groups": 2},
}
LENGTHS = torch.tensor([41, 64, 17])


def make(name: str, *, seed: int = 0) -> ConvASREncoder:
    torch.manual_seed(seed)
    encoder = ConvASREncoder(**{"activation": "relu", "feat_in": 6, **{**NETS, **RARE}[name]})
    for layer in encoder.modules():
        if isinstance(layer, nn.BatchNorm1d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias)
            nn.init.normal_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.5, 2.0)
    return encoder


def features(encoder: ConvASREncoder) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(3, encoder._feat_in, 64)


@pytest.mark.parametrize("name", NETS)
def test_the_folded_form_computes_what_the_plain_one_does(name: str) -> None:
    encoder = make(name).eval()
    signal = features(encoder)
    before = signal.clone()
    assert channels_last.suits(encoder, signal)
    with torch.no_grad():
        for lengths in (LENGTHS, torch.tensor([64, 64, 64])):
            expected, expected_lengths = encoder.plain(signal, lengths)
            found, found_lengths = encoder.encode(signal, lengths)
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
            assert torch.equal(found_lengths, expected_lengths)
    assert torch.equal(signal, before)


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("training", [True, False])
def test_gradients_and_statistics_are_those_of_the_plain_form(name: str, training: bool) -> None:
    fast, plain = make(name).train(training), make(name).train(training)
    signal = features(fast)
    found = []
    for encoder, run in ((fast, fast.encode), (plain, plain.plain)):
        inputs = signal.clone().requires_grad_()
        outputs, lengths = run(inputs, LENGTHS)
        weights = torch.linspace(-1, 1, outputs.numel()).reshape(outputs.shape)
        (outputs * weights).sum().backward()
        found.append((outputs, lengths, inputs.grad, [p.grad for p in encoder.parameters()], list(encoder.buffers())))
    for got, expected in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 3, 1), (2, 3, 1), (1, 6, 2), (1, 0, 1)])
def test_depthwise_gradients_hold_against_finite_differences(stride: int, padding: int, dilation: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 1, 15, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 1, 1, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(channels_last.DepthwiseConv.apply, (x, weight, stride, padding, dilation))


# By NeMo's definition padding enters a network without masks, and the statistics of norms over time.
PADDING_COUNTS = {"no masks", "windowed, unmasked squeeze-and-excite", "layer norm", "instance norm", "group norm"}


@pytest.mark.parametrize("name", [name for name in (*NETS, *RARE) if name not in PADDING_COUNTS])
def test_a_result_does_not_depend_on_padding_or_neighbours(name: str) -> None:
    encoder = make(name).eval()
    signal = features(encoder)
    signal[0, :, 41:] = 9.9  # garbage on purpose
    with torch.no_grad():
        together, lengths = encoder.encode(signal, LENGTHS)
        alone, _ = encoder.encode(signal[:1, :, :41], LENGTHS[:1])
    count = int(lengths[0])
    torch.testing.assert_close(together[:1, :, :count], alone[:, :, :count], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [*NETS, *RARE])
def test_lengths_are_those_of_the_convolutions(name: str) -> None:
    encoder = make(name).eval()
    for frames in (1, 2, 17, 64):
        with torch.no_grad():
            outputs, _ = encoder.encode(features(encoder)[:, :, :frames], torch.full((3,), frames))
        assert encoder.output_lengths(torch.tensor([frames])).item() == outputs.shape[-1]


@pytest.mark.parametrize("name", ["quartznet", "jasper dense", "stride_add", "future context"])
def test_the_receptive_field_is_what_a_frame_can_see(name: str) -> None:
    encoder = make(name).eval()
    left, right = encoder.receptive_field
    step, middle = encoder.subsampling_factor, 15
    signal = torch.zeros(1, encoder._feat_in, 2 * 15 * step + 200, requires_grad=True)
    outputs, _ = encoder.encode(signal + torch.randn_like(signal), torch.tensor([signal.shape[-1]]))
    frame = middle + 80 // step
    outputs[0, :, frame].sum().backward()
    seen = signal.grad[0].abs().sum(0).nonzero()[:, 0] - frame * step
    assert -left <= int(seen.min()) and int(seen.max()) <= right
    assert int(seen.max() - seen.min()) > (left + right) / 2


def test_folding_follows_every_change_of_the_weights() -> None:
    encoder, other = make("quartznet").eval(), make("quartznet", seed=3).eval()
    signal = features(encoder)

    def agree() -> None:
        with torch.no_grad():
            got, expected = encoder.encode(signal, LENGTHS)[0], encoder.plain(signal, LENGTHS)[0]
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)

    agree()
    assert channels_last.Folded.of(encoder) is channels_last.Folded.of(encoder)
    encoder.load_state_dict(other.state_dict())
    agree()
    encoder.load_state_dict(make("quartznet", seed=4).state_dict(), assign=True)
    agree()
    with torch.no_grad():
        encoder.encoder[1].mconv[2].running_var.mul_(3.0)
    agree()
    encoder.train()
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.1)
    encoder.encode(signal, LENGTHS)[0].square().mean().backward()
    optimizer.step()
    encoder.eval()
    agree()
    twin = copy.deepcopy(encoder)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(0.1)
    agree()


def test_watched_or_replaced_layers_are_really_called() -> None:
    encoder = make("quartznet").eval()
    seen: list[int] = []
    handle = encoder.encoder[1].mconv[0].register_forward_hook(lambda *_: seen.append(1))
    encoder.encode(features(encoder), LENGTHS)
    assert seen == [1]
    handle.remove()
    assert channels_last.suits(encoder, features(encoder))
    nn.utils.parametrizations.weight_norm(encoder.encoder[1].mconv[0].conv)
    assert not channels_last.suits(encoder, features(encoder))
    assert not channels_last.suits(make("quartznet").double(), features(encoder))


def test_export_has_the_same_outputs() -> None:
    encoder = make("quartznet").eval()
    signal = features(encoder)
    program = torch.export.export(encoder, (signal, LENGTHS))
    with torch.no_grad():
        torch.testing.assert_close(
            program.module()(signal, LENGTHS)[0], encoder(signal, LENGTHS)[0], rtol=1e-4, atol=1e-5
        )


def test_without_lengths_every_frame_counts_and_only_outputs_come_back() -> None:
    encoder = make("quartznet").eval()
    signal = features(encoder)
    with torch.no_grad():
        expected, _ = encoder(audio_signal=signal, length=torch.tensor([64, 64, 64]))
        torch.testing.assert_close(encoder(audio_signal=signal), expected)


def test_a_frozen_encoder_trains_what_follows_it() -> None:
    encoder = make("quartznet").eval().requires_grad_(False)
    decoder = ConvASRDecoder(12, 4)
    decoder(encoder_output=encoder(features(encoder), LENGTHS)[0]).sum().backward()
    assert decoder.decoder_layers[0].weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in encoder.parameters())


def test_the_decoder_reads_both_layouts_alike() -> None:
    decoder = ConvASRDecoder(12, -1, vocabulary=list("abc")).eval()
    encoded = torch.randn(2, 12, 9)
    other = encoded.transpose(1, 2).contiguous().transpose(1, 2)
    log_probs = decoder(encoder_output=encoded)
    assert log_probs.shape == (2, 9, 4) == (2, 9, decoder.num_classes_with_blank)
    torch.testing.assert_close(decoder(encoder_output=other), log_probs)
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(2, 9))
    decoder.temperature = 2.0
    assert decoder(encoder_output=encoded).max() < log_probs.max()


@pytest.mark.parametrize(("repeat", "separable", "entries"), [(3, False, 10), (3, True, 13), (1, True, 3)])
def test_a_branch_has_nemos_number_of_entries(repeat: int, separable: bool, entries: int) -> None:
    encoder = ConvASREncoder([block(4, 5, repeat=repeat, separable=separable)], "relu", 6)
    assert len(encoder.encoder[0].mconv) == entries


def test_keys_lack_the_level_of_the_mask_where_there_is_none() -> None:
    masked, plain = make("quartznet"), make("no masks")
    assert "encoder.0.mconv.0.conv.weight" in masked.state_dict()
    assert "encoder.0.mconv.0.weight" in plain.state_dict()


def test_options_mean_what_nemo_means() -> None:
    def spec(**options: object) -> BlockSpec:
        return BlockSpec.from_config(block(4, 10, **options), residual_mode="add", index=0)

    assert spec().kernel == 11  # the next odd number
    assert spec(kernel_size_factor=0.5).kernel == 5
    assert spec(stride=2).stride == 2  # plain numbers as well as lists
    assert spec(se_context_window=9).se_context_size == 9  # the key of 0.11
    with pytest.raises(ConfigError, match="may not both exceed 1"):
        ConvASREncoder([block(4, 5, stride=[2], dilation=[2])], "relu", 6)
    with pytest.raises(ConfigError, match=r"encoder.jasper\[0\] lacks dropout"):
        BlockSpec.from_config({k: v for k, v in block(4, 5).items() if k != "dropout"}, residual_mode="add", index=0)
    with pytest.raises(ConfigError, match=r"'rlu'[\s\S]*did you mean 'relu'"):
        ConvASREncoder([block(4, 5)], "rlu", 6)
    with pytest.raises(ConfigError, match="no normalization_mode is called 'bach'"):
        ConvASREncoder([block(4, 5)], "relu", 6, normalization_mode="bach")
    with pytest.raises(ConfigError, match="heads need a depth-wise convolution"):
        MaskedConv1d(4, 4, kernel=3, heads=2)
    with pytest.raises(ConfigError, match="num_classes is not the size"):
        ConvASRDecoder(4, 5, vocabulary=["a"])


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
@pytest.mark.parametrize(("family", "gain"), [("xavier", 1.0), ("kaiming", 2.0**0.5), ("tds", None)])
def test_initial_weights_have_the_spread_of_their_mode(family: str, gain: float | None, distribution: str) -> None:
    torch.manual_seed(0)
    net = [block(64, 1, repeat=1, separable=False, residual=False)]
    encoder = ConvASREncoder(net, "relu", 64, init_mode=f"{family}_{distribution}")
    found = encoder.encoder[0].mconv[0].conv.weight.std().item()
    expected = gain / 8 if gain else 2 / 8 / (3**0.5 if distribution == "uniform" else 1)
    assert found == pytest.approx(expected, rel=0.05)
    with pytest.raises(ConfigError, match="no initialisation is called 'xavier'"):
        ConvASREncoder(net, "relu", 64, init_mode="xavier")


def test_squeeze_and_excite_averages_what_its_generation_averages() -> None:
    signal, lengths = torch.rand(2, 4, 10), torch.tensor([10, 6])
    gates = {}
    for masked in (True, False):
        torch.manual_seed(0)
        layer = SqueezeExcite(4, reduction_ratio=2, activation=nn.ReLU(), masked=masked).eval()
        torch.manual_seed(1)
        gates[masked] = layer(signal, lengths)
        means = [row[:, :count].mean(-1) for row, count in zip(signal, lengths if masked else (10, 10), strict=True)]
        expected = torch.sigmoid(layer.fc(torch.stack(means)))[:, :, None] * signal
        count = 6 if masked else 10
        torch.testing.assert_close(gates[masked][:, :, :count], expected[:, :, :count])
    assert not torch.allclose(gates[True][1, :, :6], gates[False][1, :, :6])


def test_every_activation_trains() -> None:
    from seaspeak.collections.asr.modules.jasper import ACTIVATIONS

    for name, mode in itertools.product(ACTIVATIONS, (True, False)):
        encoder = ConvASREncoder([block(4, 5)], name, 6).train(mode)
        encoder.encode(torch.randn(2, 6, 20), torch.tensor([20, 11]))[0].sum().backward()
        assert all(torch.isfinite(parameter.grad).all() for parameter in encoder.parameters())
