"""WaveGlow: NeMo's numbers in both directions, every spelling of its archives, the fast inverse, learning."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from seaspeak.collections.tts.losses.waveglow import WaveGlowLoss
from seaspeak.collections.tts.models.base import Vocoder
from seaspeak.collections.tts.models.waveglow import WaveGlowModel
from seaspeak.collections.tts.modules.waveglow import WaveGlowModule
from seaspeak.collections.tts.modules.weight_norm import folded
from seaspeak.core.archive import Archive, write
from seaspeak.core.errors import ConfigError, ModelError
from tests.fixture import Fixture


@pytest.fixture(scope="module")
def fixture(shared: Path) -> Fixture:
    return Fixture(shared / "fixtures/tts/waveglow_tiny")


@pytest.fixture
def model(fixture: Fixture) -> WaveGlowModel:
    return WaveGlowModel.restore_from(fixture.archive).eval()


def tensors(fixture: Fixture, *names: str) -> list[Tensor]:
    return [torch.from_numpy(fixture.io[name]) for name in names]


@torch.no_grad()
def test_sound_of_noise_is_nemos_on_both_paths(model: WaveGlowModel, fixture: Fixture) -> None:
    spec, z = tensors(fixture, "spec", "z")
    fixture.assert_close("audio_from_z", model.waveglow.inverse(spec, z))
    fixture.assert_close("audio_from_z", model.waveglow.plain_inverse(spec, z))


@torch.no_grad()
def test_a_seed_draws_nemos_noise(model: WaveGlowModel, fixture: Fixture) -> None:
    (spec,) = tensors(fixture, "spec")
    torch.manual_seed(11)
    fixture.assert_close("random_z_seed11/z", model.waveglow.noise(spec, 0.6))
    torch.manual_seed(11)
    audio = model.convert_spectrogram_to_audio(spec, sigma=0.6, denoise=False)
    fixture.assert_close("random_z_seed11/audio", audio)


@torch.no_grad()
def test_noise_of_sound_and_its_loss_are_nemos(model: WaveGlowModel, fixture: Fixture) -> None:
    spec, audio = tensors(fixture, "spec", "audio")
    flow = model.waveglow(spec=spec, audio=audio)
    fixture.assert_close("forward/z", flow.pred_normal_dist)
    for step, (scale, determinant) in enumerate(zip(flow.log_s_list, flow.log_det_W_list, strict=True)):
        fixture.assert_close(f"forward/log_s_{step}", scale)
        # A rotation's is 0 but for rounding, which 512 groups multiply.
        torch.testing.assert_close(determinant, tensors(fixture, f"forward/log_det_W_{step}")[0], atol=5e-4, rtol=0)
    for sigma in (1.0, 0.7):
        loss = WaveGlowLoss()(
            z=flow.pred_normal_dist, log_s_list=flow.log_s_list, log_det_W_list=flow.log_det_W_list, sigma=sigma
        )
        fixture.assert_close(f"loss_sigma{sigma}", loss)


@pytest.mark.parametrize(("sigma", "surplus"), [(1.0, 2), (0.6, 1)])
def test_loss_is_nemos(shared: Path, sigma: float, surplus: int) -> None:
    losses = Fixture(shared / "fixtures/tts/v1_losses")
    given = {name: torch.from_numpy(array) for name, array in losses.group("waveglow").items()}
    # NeMo adds the others to the first determinant in place, at every call: what was recorded has been through two.
    given["log_det_W_0"] = given["log_det_W_0"] - surplus * (given["log_det_W_1"] + given["log_det_W_2"])
    steps = range(3)
    loss = WaveGlowLoss()(
        z=given["z"],
        log_s_list=[given[f"log_s_{step}"] for step in steps],
        log_det_W_list=[given[f"log_det_W_{step}"] for step in steps],
        sigma=sigma,
    )
    losses.assert_close(f"waveglow_sigma{sigma}/loss", loss)


@torch.no_grad()
@pytest.mark.parametrize("strength", [0.01, 0.1])
def test_denoising_is_nemos(model: WaveGlowModel, fixture: Fixture, strength: float) -> None:
    (audio,) = tensors(fixture, "audio_from_z")
    fixture.assert_close("denoiser_bias_spectrum", model.bias_spectrum())
    fixture.assert_close(f"denoised_strength{strength}", model.denoise(audio, strength))


@torch.no_grad()
def test_the_inverse_undoes_the_flow(model: WaveGlowModel, fixture: Fixture) -> None:
    spec, audio = tensors(fixture, "spec", "audio")
    z = model.waveglow(spec=spec, audio=audio).pred_normal_dist
    early, rest = z[:, :2], z[:, 2:]
    torch.testing.assert_close(model.waveglow.inverse(spec, torch.cat([rest, early], 1)), audio, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_changed_weight_changes_the_fast_path(model: WaveGlowModel, fixture: Fixture) -> None:
    spec, z = tensors(fixture, "spec", "z")
    before = model.waveglow.inverse(spec, z)
    model.waveglow.wavenet[2].in_layers[1].weight_g.mul_(1.5)
    after = model.waveglow.inverse(spec, z)
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, model.waveglow.plain_inverse(spec, z))


def test_gradients_reach_through_the_inverse(model: WaveGlowModel, fixture: Fixture) -> None:
    spec, z = tensors(fixture, "spec", "z")
    model.waveglow.inverse(spec.requires_grad_(), z).sum().backward()
    assert spec.grad is not None and spec.grad.abs().sum() > 0


@torch.no_grad()
@pytest.mark.parametrize("spelling", ["normed", "plain"])
def test_every_spelling_of_an_archive_loads(fixture: Fixture, tmp_path: Path, spelling: str) -> None:
    spec, z = tensors(fixture, "spec", "z")
    with Archive.open(fixture.archive) as source:
        config, state = source.config, dict(source.state_dict())
    state = {name: tensor for name, tensor in state.items() if "inv_conv" not in name}
    if spelling == "plain":
        for name in [name for name in state if name.endswith("_g")]:
            part = nn.Module()
            part.weight_g, part.weight_v = state.pop(name), state.pop(f"{name[:-1]}v")
            state[name[:-2]] = folded(part)
    write(tmp_path / "other.nemo", config, state, {}, "float32")
    fixture.assert_close("audio_from_z", Vocoder.restore_from(tmp_path / "other.nemo").waveglow.inverse(spec, z))


@torch.no_grad()
def test_speaking_changes_no_key_and_saving_keeps_the_sound(
    model: WaveGlowModel, fixture: Fixture, tmp_path: Path
) -> None:
    spec, z = tensors(fixture, "spec", "z")
    keys = list(model.state_dict())
    model.convert_spectrogram_to_audio(spec=spec)
    assert list(model.state_dict()) == keys
    assert "waveglow.wavenet.0.start.weight_g" in keys and "waveglow.convinv.0.conv.weight" in keys
    model.save_to(tmp_path / "again.nemo")
    again = Vocoder.restore_from(tmp_path / "again.nemo")
    assert isinstance(again, WaveGlowModel)
    assert again.cfg.target == "nemo.collections.tts.models.waveglow.WaveGlowModel"
    torch.testing.assert_close(again.waveglow.inverse(spec, z), model.waveglow.inverse(spec, z))


def test_parameter_counts_are_those_of_the_published_model() -> None:
    with torch.device("meta"):
        network = WaveGlowModule(80, 12, 8, 4, 2, 256, 8, 3)
    assert round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 1) == 87.9


def test_ports_are_those_of_nemo(model: WaveGlowModel, fixture: Fixture) -> None:
    (audio,) = tensors(fixture, "audio")
    lengths = torch.tensor([2048, 2000])
    names = ["pred_normal_dist", "log_s_list", "log_det_W_list"]
    assert list(model.output_types) == [*names, "audio_pred", "spec", "spec_len"]
    assert list(model(audio=audio, audio_len=lengths)._fields) == [*names, "audio_pred", "spec", "spec_len"]
    assert list(model.train()(audio=audio, audio_len=lengths)._fields) == names


def test_mistakes_are_named(model: WaveGlowModel, fixture: Fixture) -> None:
    with pytest.raises(ModelError, match="WaveGlowModel does not take this spectrogram"):
        model.convert_spectrogram_to_audio(spec=torch.zeros(1, 80, 10))
    with pytest.raises(ConfigError, match="lacks waveglow"):
        WaveGlowModel({**fixture.config, "waveglow": None})
    with pytest.raises(ConfigError, match="channels left for the last flow"):
        WaveGlowModule(6, 12, 8, 2, 2, 8, 2, 3)
    with pytest.raises(ConfigError, match="odd kernel"):
        WaveGlowModule(6, 2, 8, 4, 2, 8, 2, 4)


@pytest.mark.slow
def test_it_learns_what_sound_is_likely(fixture: Fixture) -> None:
    torch.manual_seed(5)
    model = WaveGlowModel(fixture.config).train()
    time = torch.arange(8000) / 22050
    pitch = torch.tensor([150.0, 220.0, 300.0])[:, None]
    batch = (0.3 * torch.sin(2 * torch.pi * pitch * time) + 0.01 * torch.randn(3, 8000), torch.full((3,), 8000))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    losses = []
    for step in range(50):
        loss = model.training_step(batch, step)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.5
    assert float(model.eval().validation_step(batch)["val_loss"]) < losses[0]
