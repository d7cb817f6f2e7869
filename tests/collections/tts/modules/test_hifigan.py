from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seaspeak.collections.tts.losses.hifigan import DiscriminatorLoss, FeatureMatchingLoss, GeneratorLoss
from seaspeak.collections.tts.modules import hifigan_fast
from seaspeak.collections.tts.modules.hifigan import Generator
from seaspeak.collections.tts.modules.hifigan_discriminators import (
    DiscriminatorP,
    MultiPeriodDiscriminator,
    MultiScaleDiscriminator,
    SpectralConv1d,
)
from seaspeak.collections.tts.modules.weight_norm import NormedConv1d, folded, split_weights
from seaspeak.core.errors import ConfigError
from tests.fixture import Fixture

PAIRS: dict[str, Any] = {"resblock": 1, "resblock_kernel_sizes": [3, 7, 11], "resblock_dilation_sizes": [[1, 3, 5]] * 3}
SINGLES: dict[str, Any] = {
    "resblock": 2,
    "resblock_kernel_sizes": [3, 5, 7],
    "resblock_dilation_sizes": [[1, 2], [2, 6], [3, 12]],
}
FOUR: dict[str, Any] = {"upsample_rates": [8, 8, 2, 2], "upsample_kernel_sizes": [16, 16, 4, 4]}
THREE: dict[str, Any] = {"upsample_rates": [8, 8, 4], "upsample_kernel_sizes": [16, 16, 8]}


def tiny(**changes: Any) -> Generator:
    torch.manual_seed(0)
    return Generator(**{**PAIRS, **FOUR, "upsample_initial_channel": 32, "initial_input_size": 6, **changes}).eval()


def relative(ours: torch.Tensor, reference: torch.Tensor) -> float:
    return float((ours - reference).abs().max() / reference.abs().max())


@pytest.mark.parametrize(
    ("config", "count"),
    [
        ({**PAIRS, **FOUR, "upsample_initial_channel": 512}, 13_936_130),
        ({**PAIRS, **FOUR, "upsample_initial_channel": 128}, 928_514),
        ({**SINGLES, **THREE, "upsample_initial_channel": 256}, 1_464_322),
    ],
)
def test_parameters_are_as_many_as_nemos(config: dict[str, Any], count: int) -> None:
    with torch.device("meta"):
        generator = Generator(**config)
    assert sum(parameter.numel() for parameter in generator.parameters()) == count


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {**SINGLES, **THREE},
        {"upsample_rates": [4, 2], "upsample_kernel_sizes": [8, 6]},  # a kernel that is not twice its rate
        {"upsample_rates": [3, 2], "upsample_kernel_sizes": [7, 4]},  # rates that are odd
    ],
)
@torch.no_grad()
def test_fast_form_is_exact_whether_in_tiles_or_whole(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    generator, spec = tiny(**changes), torch.randn(2, 6, 61)
    reference = generator.plain(spec)
    assert hifigan_fast.suits(generator, spec)
    assert relative(generator(x=spec).audio, reference) < 1e-5
    monkeypatch.setattr(hifigan_fast, "_TILE", 1)
    assert relative(generator(x=spec).audio, reference) < 1e-5


@given(frames=st.integers(1, 40), batch=st.integers(1, 3))
@settings(max_examples=15, deadline=None)
@torch.no_grad()
def test_every_frame_becomes_hop_length_samples(frames: int, batch: int) -> None:
    generator = tiny(upsample_rates=[4, 2], upsample_kernel_sizes=[8, 4])
    spec = torch.randn(batch, 6, frames)
    audio = generator(x=spec).audio
    assert audio.shape == (batch, 1, 8 * frames)
    torch.testing.assert_close(audio, generator.plain(spec), rtol=0, atol=1e-6)


@torch.no_grad()
def test_fast_form_follows_changes_of_the_weights() -> None:
    generator, spec = tiny(), torch.randn(1, 6, 8)
    before = generator(x=spec).audio
    generator.ups[1].weight_g.mul_(3.0)  # type: ignore[union-attr, operator]
    after = generator(x=spec).audio
    assert relative(after, generator.plain(spec)) < 1e-5
    assert relative(after, before) > 1e-3


def test_gradients_flow_where_they_are_asked_for() -> None:
    generator = tiny()
    generator(x=torch.randn(1, 6, 8)).audio.square().sum().backward()
    assert all(parameter.grad is not None for parameter in generator.parameters())


@pytest.mark.parametrize("changes", [{}, {**SINGLES, **THREE}])
def test_context_is_what_a_frame_depends_on(changes: dict[str, Any]) -> None:
    generator = tiny(**changes).double()
    context, hop = generator.context, generator.hop_length
    spec = torch.randn(1, 6, 2 * context + 3, dtype=torch.float64, requires_grad=True)
    middle = context + 1
    generator.plain(spec)[0, 0, middle * hop : (middle + 1) * hop].square().sum().backward()
    assert spec.grad is not None
    seen = spec.grad[0].abs().sum(0).nonzero().flatten()
    reach = max(middle - int(seen.min()), int(seen.max()) - middle)
    assert context - 1 <= reach <= context


@pytest.mark.parametrize(
    "changes", [{}, {**SINGLES, **THREE}, {"upsample_rates": [3, 2], "upsample_kernel_sizes": [7, 4]}]
)
@torch.no_grad()
def test_inner_frames_are_those_of_the_whole(changes: dict[str, Any]) -> None:
    generator = tiny(**changes)
    context, hop = generator.context, generator.hop_length
    spec = torch.randn(2, 6, 3 * context + 5)
    whole = generator.plain(spec)
    inner = generator.inner(spec[..., 2 : 2 * context + 6], context, context)
    torch.testing.assert_close(inner, whole[..., (2 + context) * hop : (6 + context) * hop], rtol=0, atol=1e-6)
    torch.testing.assert_close(generator.inner(spec, 0, 3), whole[..., : -3 * hop], rtol=0, atol=1e-6)
    with torch.enable_grad():
        torch.testing.assert_close(generator.inner(spec, 1, 3), whole[..., hop : -3 * hop], rtol=0, atol=1e-6)


def test_lists_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ConfigError, match="upsample_rates and upsample_kernel_sizes"):
        tiny(upsample_rates=[8, 8])


def test_initial_weights_of_the_first_convolution_can_be_drawn_anew() -> None:
    conv = tiny(apply_weight_init_conv_pre=True).conv_pre
    assert float(folded(conv).detach().std()) == pytest.approx(0.01, rel=0.2)


def test_three_spellings_of_a_normalised_weight_are_one() -> None:
    conv = NormedConv1d(3, 4, 5)
    plain = torch.nn.Conv1d(3, 4, 5)
    plain.load_state_dict({"weight": folded(conv).detach(), "bias": conv.bias.detach()})  # type: ignore[union-attr]
    state = {f"a.{name}": tensor for name, tensor in plain.state_dict().items()}
    split = split_weights(state, owns=lambda name: name == "a")
    again = NormedConv1d(3, 4, 5)
    again.load_state_dict({name.removeprefix("a."): tensor for name, tensor in split.items()})
    torch.testing.assert_close(folded(again), folded(conv))

    parametrised = torch.nn.utils.parametrizations.weight_norm(plain)
    state = {f"a.{name}": tensor for name, tensor in parametrised.state_dict().items()}
    split = split_weights(state, owns=lambda name: name == "a")
    again.load_state_dict({name.removeprefix("a."): tensor for name, tensor in split.items()})
    torch.testing.assert_close(folded(again), folded(conv))


def test_spectral_normalisation_is_torchs() -> None:
    torch.manual_seed(0)
    ours = SpectralConv1d(3, 4, 5)
    theirs = torch.nn.utils.spectral_norm(torch.nn.Conv1d(3, 4, 5))
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, 9)
    for mode in (True, True, False):
        torch.testing.assert_close(ours.train(mode)(x), theirs.train(mode)(x))


def test_period_discriminator_gives_nemos_scores_and_maps(shared: Any) -> None:
    fixture = Fixture(shared / "fixtures/tts/hifigan_period_discriminator")
    judge = DiscriminatorP(3, debug=True)
    judge.load_state_dict({name: torch.from_numpy(array) for name, array in fixture.group("weights").items()})
    found = {kind: judge(torch.from_numpy(fixture.io[f"wave_{kind}"])) for kind in ("real", "generated")}
    for kind, (score, maps) in found.items():
        fixture.assert_close(f"score_{kind}", score)
        for number, each in enumerate(maps):
            fixture.assert_close(f"fmap_{kind}_{number}", each)

    real, generated = found["real"][0], found["generated"][0]
    terms = DiscriminatorLoss()(disc_real_outputs=[real, 2 * real], disc_generated_outputs=[generated, generated / 2])
    fixture.assert_close("disc_loss", terms.loss)
    fixture.assert_close("disc_real_losses", torch.stack(terms.real_losses))
    fixture.assert_close("disc_generated_losses", torch.stack(terms.fake_losses))
    fooled = GeneratorLoss()(disc_outputs=[generated, generated / 2])
    fixture.assert_close("gen_loss", fooled.loss)
    fixture.assert_close("gen_losses", torch.stack(fooled.fake_losses))
    distance = FeatureMatchingLoss()(fmap_r=[found["real"][1]], fmap_g=[found["generated"][1]])
    fixture.assert_close("feature_matching_loss", distance)


def test_losses_are_those_of_nemo_1(shared: Any) -> None:
    fixture = Fixture(shared / "fixtures/tts/v1_losses")
    io = {name: torch.from_numpy(np.asarray(array)) for name, array in fixture.group("hifigan").items()}
    maps = {
        kind: [[io[f"fmap_{kind}_0_0"], io[f"fmap_{kind}_0_1"]], [io[f"fmap_{kind}_1_0"]]]
        for kind in ("real", "generated")
    }
    fixture.assert_close(
        "hifigan/feature_matching/loss", FeatureMatchingLoss()(fmap_r=maps["real"], fmap_g=maps["generated"])
    )
    real, fake = ([io[f"disc_{kind}_{number}"] for number in (0, 1)] for kind in ("real", "generated"))
    terms = DiscriminatorLoss()(disc_real_outputs=real, disc_generated_outputs=fake)
    fixture.assert_close("hifigan/discriminator/loss_0", terms.loss)
    fixture.assert_close("hifigan/discriminator/loss_1", torch.stack(terms.real_losses))
    fixture.assert_close("hifigan/discriminator/loss_2", torch.stack(terms.fake_losses))
    fooled = GeneratorLoss()(disc_outputs=fake)
    fixture.assert_close("hifigan/generator/loss_0", fooled.loss)
    fixture.assert_close("hifigan/generator/loss_1", torch.stack(fooled.fake_losses))


def test_discriminators_are_of_nemos_size() -> None:
    with torch.device("meta"):
        judges = MultiPeriodDiscriminator(), MultiScaleDiscriminator()
    assert [round(sum(p.numel() for p in judge.parameters()) / 1e6, 1) for judge in judges] == [41.1, 29.6]


def test_judges_look_at_both_signals_alike() -> None:
    torch.manual_seed(0)
    y = torch.randn(2, 1, 700)
    for judge in (MultiPeriodDiscriminator(debug=True), MultiScaleDiscriminator(debug=True).eval()):
        judged = judge(y=y, y_hat=y)
        assert len(judged.real_scores) == len(judge.discriminators)
        for real, fake in zip(judged.real_scores, judged.fake_scores, strict=True):
            torch.testing.assert_close(real, fake)
