"""Tacotron 2: NeMo's numbers, free decoding, words from attention, learning."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from seaspeak.collections.tts.losses.tacotron2 import Tacotron2Loss, guided_attention_loss
from seaspeak.collections.tts.models.base import SpectrogramGenerator, SpokenWord
from seaspeak.collections.tts.models.tacotron2 import Tacotron2Model, _words_in
from seaspeak.core.errors import ConfigError
from tests.fixture import Fixture


@pytest.fixture(scope="module")
def fixture(shared: Path) -> Fixture:
    return Fixture(shared / "fixtures/tts/tacotron2_tiny")


@pytest.fixture
def model(fixture: Fixture) -> Tacotron2Model:
    return Tacotron2Model.restore_from(fixture.archive).eval()


def tensors(fixture: Fixture, *names: str) -> list[Tensor]:
    return [torch.from_numpy(fixture.io[name]) for name in names]


def encoded(model: Tacotron2Model, fixture: Fixture, rows: slice = slice(None)) -> tuple[Tensor, Tensor]:
    tokens, lengths = (tensor[rows] for tensor in tensors(fixture, "tokens", "token_len"))
    return model._encoded(tokens, lengths), lengths


@torch.no_grad()
def test_text_and_encoder_are_nemos(model: Tacotron2Model, fixture: Fixture) -> None:
    rows = [model.parse(text)[0].tolist() for text in fixture.meta["text_outputs"]["texts"]]
    assert rows == fixture.meta["text_outputs"]["token_rows"]
    fixture.assert_close("encoder_output", encoded(model, fixture)[0])


@torch.no_grad()
@pytest.mark.parametrize(("case", "rows"), [("infer_batch", slice(None)), ("infer_single", slice(0, 1))])
def test_free_decoding_gives_nemos_frames(model: Tacotron2Model, fixture: Fixture, case: str, rows: slice) -> None:
    tokens, lengths = (tensor[rows] for tensor in tensors(fixture, "tokens", "token_len"))
    spoken = model(tokens=tokens, token_len=lengths)
    for name, tensor in spoken._asdict().items():
        fixture.assert_close(f"{case}/{name}", tensor)


@torch.no_grad()
def test_prenet_dropout_drops_what_nemo_drops(model: Tacotron2Model, fixture: Fixture) -> None:
    case = "infer_batch_prenet_dropout"
    model.decoder.prenet.p_dropout = 0.5
    memory, lengths = encoded(model, fixture)
    decoded = model.decoder.infer(memory, lengths, masks=iter(tensors(fixture, f"{case}/masks")[0]))
    fixture.assert_close(f"{case}/spec_pred_dec", decoded.mel_outputs)
    fixture.assert_close(f"{case}/spec_pred_postnet", model.postnet(mel_spec=decoded.mel_outputs))
    fixture.assert_close(f"{case}/gate_pred", decoded.gate_outputs)
    fixture.assert_close(f"{case}/alignments", decoded.alignments)
    fixture.assert_close(f"{case}/pred_length", decoded.mel_lengths)


@torch.no_grad()
def test_following_gives_nemos_frames_and_loss(model: Tacotron2Model, fixture: Fixture) -> None:
    memory, lengths = encoded(model, fixture)
    (spec,) = tensors(fixture, "teacher/spec")
    frames, gates, alignments = model.decoder.follow(memory, lengths, spec)
    postnet = model.postnet(mel_spec=frames)
    fixture.assert_close("teacher/mel_outputs", frames)
    fixture.assert_close("teacher/gate_outputs", gates)
    fixture.assert_close("teacher/alignments", alignments)
    fixture.assert_close("teacher/postnet", postnet)
    loss, gate_target = model.loss(
        spec_pred_dec=frames,
        spec_pred_postnet=postnet,
        gate_pred=gates,
        spec_target=spec,
        spec_target_len=tensors(fixture, "loss/spec_len")[0],
        pad_value=model.pad_value,
    )
    fixture.assert_close("loss/total", loss)
    fixture.assert_close("loss/gate_target", gate_target)


@pytest.mark.parametrize("case", ["tacotron2", "tacotron2_longer_prediction", "tacotron2_shorter_prediction"])
def test_loss_of_any_length_is_nemos(shared: Path, case: str) -> None:
    losses = Fixture(shared / "fixtures/tts/v1_losses")
    given = {name: torch.from_numpy(array) for name, array in losses.group("tacotron2").items()}
    given |= {name: torch.from_numpy(array) for name, array in losses.group(case).items()}
    names = ("spec_pred_dec", "spec_pred_postnet", "gate_pred", "spec_target", "spec_target_len")
    loss, gate_target = Tacotron2Loss()(pad_value=-11.52, **{name: given[name] for name in names})
    losses.assert_close(f"{case}/loss", loss)
    losses.assert_close(f"{case}/gate_target", gate_target)


def test_folded_steps_equal_the_plain_layers(model: Tacotron2Model) -> None:
    location = model.decoder.attention_layer.location_layer
    looked = torch.randn(3, 2, 40)
    plain = location.location_dense(location.location_conv(looked).transpose(1, 2))
    folded = torch.nn.functional.conv1d(looked, location.folded(), padding=15).transpose(1, 2)
    torch.testing.assert_close(folded, plain)


def test_the_base_finds_the_class_and_saving_keeps_everything(
    model: Tacotron2Model, fixture: Fixture, tmp_path: Path
) -> None:
    model.save_to(tmp_path / "again.nemo")
    again = SpectrogramGenerator.restore_from(tmp_path / "again.nemo")
    assert isinstance(again, Tacotron2Model)
    assert again.cfg.target == "nemo.collections.tts.models.tacotron2.Tacotron2Model"
    assert again.state_dict().keys() == model.state_dict().keys()
    assert "audio_to_melspec_precessor.window" in again.state_dict()
    tokens = again.parse(fixture.meta["text_outputs"]["texts"][0])
    torch.testing.assert_close(again.generate_spectrogram(tokens=tokens), model.generate_spectrogram(tokens=tokens))


def test_a_batch_is_cut_and_padded_like_its_items(model: Tacotron2Model) -> None:
    first, second = model.parse("Hello, world."), model.parse("A cat?")
    padded = torch.nn.functional.pad(second, (0, first.shape[1] - second.shape[1]), value=model.pad_id)
    both = model.generate_spectrogram(tokens=torch.cat([first, padded]))
    alone = model.generate_spectrogram(tokens=first)
    torch.testing.assert_close(both[:1, :, : alone.shape[2] - 4], alone[:, :, :-4], atol=1e-5, rtol=1e-4)


def test_a_seed_gives_the_same_frames_and_modes_are_kept(model: Tacotron2Model) -> None:
    model.decoder.prenet.p_dropout = 0.5
    tokens = model.parse("Say it again.")
    model.train()
    specs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        specs.append(model.generate_spectrogram(tokens=tokens))
    assert model.training and model.decoder.training
    torch.testing.assert_close(specs[0], specs[1], rtol=0, atol=0)
    assert specs[0].shape != specs[2].shape or not torch.allclose(specs[0], specs[2])


def test_too_long_a_text_stops_with_a_warning(model: Tacotron2Model, caplog: pytest.LogCaptureFixture) -> None:
    model.decoder.gate_threshold, model.decoder.max_decoder_steps = 1.0, 7
    with caplog.at_level(logging.WARNING):
        assert model.generate_spectrogram(tokens=model.parse("For ever"))[0].shape == (16, 7)
    assert "Reached max decoder steps 7" in caplog.text
    assert "sentence by sentence" in caplog.text


def test_what_has_no_token_is_named_once_and_left_out(model: Tacotron2Model, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        tokens = model.parse("a☃b☃ 你", normalize=False)
    assert len(caplog.records) == 1
    assert "'☃' (2), '你' (1)" in caplog.text
    assert [model.labels[token] for token in tokens[0, 1:-1]] == ["a", "b", " "]


def test_every_word_is_spoken_where_the_attention_says(model: Tacotron2Model) -> None:
    spec, words = model.synthesize("Hello, big world.")
    assert [word.text for word in words] == ["Hello,", "big", "world."]
    assert all(0 <= word.start <= word.end <= spec.shape[1] for word in words)
    half, _ = model.synthesize("Hello, big world.", pace=2.0)
    assert half.shape[1] == round(spec.shape[1] / 2)


def test_frames_of_words_follow_the_attention_that_never_goes_back() -> None:
    alignment = torch.nn.functional.one_hot(torch.tensor([0, 1, 2, 1, 3, 4, 4, 5]), 6).float()
    words = _words_in([SpokenWord("ab", 1, 3), SpokenWord("c", 4, 5)], alignment)
    assert words == [SpokenWord("ab", 1, 4), SpokenWord("c", 5, 7)]


def test_ports_are_those_of_nemo(model: Tacotron2Model) -> None:
    assert list(model.input_types) == ["tokens", "token_len", "audio", "audio_len"]
    common = ["spec_pred_dec", "spec_pred_postnet", "gate_pred"]
    assert list(model.output_types) == [*common, "alignments", "pred_length"]
    assert list(model.train().output_types) == [*common, "spec_target", "spec_target_len", "alignments"]


def test_training_without_recordings_says_what_is_missing(model: Tacotron2Model) -> None:
    model.train()
    with pytest.raises(ConfigError, match="needs audio and audio_len"):
        model(tokens=model.parse("a"), token_len=torch.tensor([3]))


def test_a_configuration_without_labels_is_refused(fixture: Fixture) -> None:
    with pytest.raises(ConfigError, match="lacks labels"):
        Tacotron2Model({**fixture.config, "labels": None})


def test_attention_far_from_the_diagonal_costs() -> None:
    diagonal = torch.eye(8)[None].repeat_interleave(2, 1)
    lengths = torch.tensor([8]), torch.tensor([16])
    near = guided_attention_loss(diagonal, *lengths)
    far = guided_attention_loss(diagonal.flip(2), *lengths)
    assert near < 0.05 < 0.5 < far


def chirps(count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Recordings in which each letter is a tone of its own."""
    generator = torch.Generator().manual_seed(0)
    letters = torch.randint(0, 4, (count, 5), generator=generator)
    time = torch.arange(2048) / 22050
    tones = torch.sin(2 * torch.pi * (300 + 500 * letters[..., None]) * time) * 0.3
    tokens = torch.cat([torch.full((count, 1), 66), letters + 40, torch.full((count, 1), 67)], 1)
    return tones.flatten(1), torch.full((count,), 5 * 2048), tokens, torch.full((count,), 7)


@pytest.mark.slow
def test_it_learns_a_few_utterances(fixture: Fixture) -> None:
    torch.manual_seed(3)
    config: dict[str, Any] = {**fixture.config, "guided_attention": 1.0}
    model = Tacotron2Model(config).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    batch = chirps(4)
    losses = []
    for step in range(60):
        loss = model.training_step(batch, step)["loss"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.35 * losses[0]
    model.eval()
    assert float(model.validation_step(batch)["val_loss"]) < losses[0]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The '.*' does not have many workers")
@pytest.mark.filterwarnings("ignore:`isinstance\\(treespec, LeafSpec\\)` is deprecated")
def test_the_packaged_recipe_trains_and_shows_alignments(shared: Path, tmp_path: Path) -> None:
    import lightning.pytorch as pl
    from lightning.pytorch.loggers import Logger
    from omegaconf import OmegaConf

    import seaspeak.collections.tts.configs as packaged

    config = OmegaConf.load(Path(packaged.__file__).parent / "tacotron2.yaml")
    changes = {"embedding_dim": 16, "guided_attention": 1.0, "postnet.postnet_embedding_dim": 16}
    changes |= {f"decoder.{key}": 16 for key in ("prenet_dim", "attention_rnn_dim", "decoder_rnn_dim")}
    for key in ("train_ds", "validation_ds"):
        changes[f"{key}.dataset.manifest_filepath"] = str(shared / "data/fsdd/dev.json")
        changes[f"{key}.dataset.max_utts"] = 4
        changes[f"{key}.dataloader_params"] = {"batch_size": 2}
    for name, value in changes.items():
        OmegaConf.update(config, f"model.{name}", value, merge=False)

    shown: dict[str, Tensor] = {}

    class Pictures(Logger):
        name, version, experiment = "pictures", 0, property(lambda self: self)

        def add_image(self, name: str, image: Tensor, step: int) -> None:
            shown[name] = image

        def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None: ...

        def log_hyperparams(self, params: object) -> None: ...

    options: dict[str, Any] = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(
        max_epochs=1,
        logger=Pictures(),
        enable_checkpointing=False,
        default_root_dir=tmp_path,
        log_every_n_steps=1,
        **options,
    )
    model = Tacotron2Model(cfg=config.model, trainer=trainer)
    trainer.fit(model)
    assert trainer.global_step == 2
    assert 0 < float(model.logged["val_attention"]) <= 1
    assert set(shown) == {"val_alignment", "val_mel_target", "val_mel_predicted"}
    assert shown["val_mel_target"].shape[:2] == (3, 80)
    assert all(0 <= float(image.min()) <= float(image.max()) <= 1 for image in shown.values())
