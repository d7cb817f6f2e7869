from __future__ import annotations

import contextlib
import copy
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from omegaconf import OmegaConf

from seaspeak.collections.asr.models import ASRModel, EncDecCTCModel
from seaspeak.core import Model
from seaspeak.core.errors import ConfigError, SeaspeakError
from seaspeak.text.transcript import Transcript
from tests.collections.asr.nets import LABELS, tiny_config, tiny_model
from tests.collections.asr.test_recognition import noise

CONFIGS = Path(__file__).parents[3] / "src" / "seaspeak" / "collections" / "asr" / "configs"


@pytest.fixture(scope="module")
def model() -> EncDecCTCModel:
    return tiny_model()


def batch(model: EncDecCTCModel) -> tuple[torch.Tensor, ...]:
    signal = torch.from_numpy(np.stack([noise(1.0, seed=seed) for seed in range(3)]))
    lengths, counts = torch.tensor([16000, 12000, 16000]), torch.tensor([4, 3, 2])
    labels = torch.randint(0, 28, (3, 4), generator=torch.Generator().manual_seed(0))
    return signal, lengths, labels, counts


def test_outputs_come_in_nemos_order(model: EncDecCTCModel) -> None:
    signal, lengths, *_ = batch(model)
    with torch.no_grad():
        log_probs, encoded_lengths, predictions = model(input_signal=signal, input_signal_length=lengths)
    assert log_probs.shape == (3, 56, 29) and predictions.shape == (3, 56)
    assert encoded_lengths.tolist() == [50, 38, 50]
    assert list(model.output_types) == ["outputs", "encoded_lengths", "greedy_predictions"]
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(3, 56))
    assert torch.equal(predictions, log_probs.argmax(-1))


def test_samples_and_features_exclude_each_other(model: EncDecCTCModel) -> None:
    signal, lengths, *_ = batch(model)
    features, counts = model.preprocessor(input_signal=signal, length=lengths)
    with torch.no_grad():
        from_features = model(processed_signal=features, processed_signal_length=counts)
        from_samples = model(input_signal=signal, input_signal_length=lengths)
    torch.testing.assert_close(from_features.outputs, from_samples.outputs)
    for arguments in (
        {},
        {"input_signal": signal},
        {
            "input_signal": signal,
            "input_signal_length": lengths,
            "processed_signal": features,
            "processed_signal_length": counts,
        },
    ):
        with pytest.raises(ValueError, match="mutually exclusive"):
            model(**arguments)


def test_transcribe_takes_nemos_arguments(model: EncDecCTCModel, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(1.0), 16000, subtype="FLOAT")
    text = model.transcribe(str(path))[0]
    assert text and model.transcribe(paths2audio_files=[str(path)], batch_size=1, verbose=False) == [text]
    hypothesis = model.transcribe([path], return_hypotheses=True)[0]
    assert isinstance(hypothesis, Transcript) and hypothesis.text == text
    assert hypothesis.y_sequence.shape == (50, 29) and hypothesis.length == 50 and hypothesis.score < 0
    timed = model.transcribe([path], timestamps=True)[0]
    assert timed.y_sequence is None
    assert [word["word"] for word in timed.timestamp["word"]] == text.split()
    assert all(0 <= word.start < word.end <= 1.0 for word in timed.words)
    np.testing.assert_array_equal(model.transcribe([path], logprobs=True)[0], hypothesis.y_sequence)
    assert model.transcribe([path], override_config={"timestamps": True})[0] == timed
    assert model.transcribe([]) == []
    for wrong in ({"logprobs": True, "return_hypotheses": True}, {"augmentor": {}}, {"paths2audio_files": [path]}):
        with pytest.raises(ConfigError):
            model.transcribe([path], **wrong)


def test_batches_and_order_change_no_text(model: EncDecCTCModel) -> None:
    signals = [noise(seconds, seed=place) for place, seconds in enumerate((0.7, 2.0, 1.1, 0.3, 1.6))]
    alone = [model.transcribe(signal)[0] for signal in signals]
    assert len(set(alone)) == 5
    assert model.transcribe(signals, batch_size=4) == alone
    assert model.transcribe(signals[::-1], batch_size=3) == alone[::-1]


def test_transcribe_leaves_everything_as_it_was(tmp_path: Path) -> None:
    model = tiny_model()
    model.train()
    model.decoder.eval()
    model.encoder.requires_grad_(False)
    featurizer = model.preprocessor.featurizer
    before = (
        [module.training for module in model.modules()],
        [parameter.requires_grad for parameter in model.parameters()],
        (featurizer.dither, featurizer.pad_to, featurizer.normalize),
        copy.deepcopy(model.state_dict()),
    )
    for audio, failure in ((noise(1.0), contextlib.nullcontext()), (tmp_path / "no.wav", pytest.raises(SeaspeakError))):
        with failure:
            model.transcribe([audio])
        after = (
            [module.training for module in model.modules()],
            [parameter.requires_grad for parameter in model.parameters()],
            (featurizer.dither, featurizer.pad_to, featurizer.normalize),
        )
        assert after == before[:3]
        assert all(torch.equal(before[3][key], value) for key, value in model.state_dict().items())
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


def test_archives_keep_text_class_and_configuration(model: EncDecCTCModel, tmp_path: Path) -> None:
    model.save_to(tmp_path / "a.nemo")
    for base in (Model, ASRModel, EncDecCTCModel):
        again = base.restore_from(tmp_path / "a.nemo")
        assert isinstance(again, EncDecCTCModel) and again.recipe == "current"
        assert again.transcribe(noise(1.0)) == model.transcribe(noise(1.0))
    assert again.cfg.target == "nemo.collections.asr.models.ctc_models.EncDecCTCModel"
    assert set(again.state_dict()) == set(model.state_dict())


def test_a_step_of_training_lowers_the_loss_and_logs_nemos_names() -> None:
    model = tiny_model().train()
    model.setup_optimization()
    losses = []
    for step in range(12):
        loss = model.training_step(batch(model), step)["loss"]
        loss.backward()
        model._optimizer.step()
        model._optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    assert {"train_loss", "learning_rate", "training_batch_wer"} <= set(model.logged)


def test_an_epoch_of_validation_counts_words_and_not_batches(model: EncDecCTCModel) -> None:
    model.eval()
    with torch.no_grad():
        outputs = [model.validation_step(batch(model), 0), model.validation_step(batch(model), 1)]
    outputs[1]["val_wer_num"], outputs[1]["val_wer_denom"] = torch.tensor(1.0), torch.tensor(97.0)
    outputs[0]["val_wer_num"], outputs[0]["val_wer_denom"] = torch.tensor(3.0), torch.tensor(3.0)
    log = model.multi_validation_epoch_end(outputs)["log"]
    assert log["val_wer"] == pytest.approx(0.04)
    assert log["val_loss"] == pytest.approx(float(outputs[0]["val_loss"]))
    assert set(model.multi_test_epoch_end([model.test_step(batch(model))])["log"]) == {"test_loss", "test_wer"}


def test_augmentation_happens_in_training_alone() -> None:
    augment = {"_target_": "nemo.collections.asr.modules.SpectrogramAugmentation", "rect_masks": 5, "rect_time": 40}
    model = tiny_model(spec_augment={**augment, "rect_freq": 8})
    model.preprocessor.featurizer.dither = 0.0
    signal, lengths, *_ = batch(model)
    seen = []
    model.encoder.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["audio_signal"]), with_kwargs=True
    )
    with torch.no_grad():
        for training in (False, False, True):
            model.train(training)(input_signal=signal, input_signal_length=lengths)
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])


def test_a_new_vocabulary_gives_a_new_decoder_and_keeps_the_encoder() -> None:
    model = tiny_model(train_ds={"manifest_filepath": None, "labels": LABELS})
    encoder = copy.deepcopy(model.encoder.state_dict())
    before = model.decoder.decoder_layers[0].weight
    model.change_vocabulary(LABELS)
    assert model.decoder.decoder_layers[0].weight is before
    weights = model.num_weights
    model.change_vocabulary([*LABELS, "!", "?", "."])
    assert model.num_weights - weights == 3 * (24 + 1)
    assert model.cfg.decoder.num_classes == 31 and model.loss.blank == 31 and model.decoding.blank == 31
    assert list(model.cfg.train_ds.labels) == model.vocabulary == [*LABELS, "!", "?", "."]
    assert all(torch.equal(encoder[key], value) for key, value in model.encoder.state_dict().items())
    assert model.transcribe(noise(0.5))
    for nothing in (None, []):
        with pytest.raises(ConfigError, match="has no characters"):
            model.change_vocabulary(nothing)


def test_decoding_can_be_changed() -> None:
    model = tiny_model()
    confidence = {"preserve_word_confidence": True, "method_cfg": {"name": "entropy"}}
    model.change_decoding_strategy({"strategy": "greedy", "preserve_alignments": True, "confidence_cfg": confidence})
    found = model.transcribe(noise(1.0), timestamps=True)[0]
    assert found.alignments[0].shape == (50, 29) and len(found.frame_confidence) == 50
    assert model.cfg.decoding.strategy == "greedy"
    with pytest.raises(ConfigError, match=r"'greedyy' is unknown[\s\S]*did you mean 'greedy'"):
        model.change_decoding_strategy({"strategy": "greedyy"})


def test_a_gradient_that_is_no_number_does_not_count() -> None:
    model = tiny_model(skip_nan_grad=True).train()
    model.training_step(batch(model))["loss"].backward()
    model.on_after_backward()
    assert any(parameter.grad is not None for parameter in model.parameters())
    model.decoder.decoder_layers[0].bias.grad[0] = float("nan")
    model.on_after_backward()
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder": None}, "lacks encoder"),
        ({"ctc_reduction": "mean_bach"}, r"'mean_bach'[\s\S]*did you mean 'mean_batch'"),
    ],
)
def test_configurations_that_cannot_work_say_why(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EncDecCTCModel(cfg=tiny_config(**change))


def test_a_network_without_masks_reports_true_lengths() -> None:
    config = tiny_config()
    config["encoder"]["conv_mask"] = False
    model = tiny_model(encoder=config["encoder"])
    signal, lengths, *_ = batch(model)
    with torch.no_grad():
        assert model(input_signal=signal, input_signal_length=lengths).encoded_lengths.tolist() == [50, 38, 50]


def test_other_front_ends_are_transcribed_too() -> None:
    section = {"_target_": "nemo.collections.asr.modules.AudioToMFCCPreprocessor", "n_mfcc": 16, "n_mels": 16}
    model = tiny_model(preprocessor={**section, "window_size": 0.02, "n_fft": 512})
    assert model.transcribe([noise(1.0), noise(0.5)])[0] == model.transcribe(noise(1.0))[0] != ""


@pytest.mark.parametrize(
    ("name", "tensors", "floats"),
    [
        ("quartznet_15x5", 635, 18_971_968),
        ("jasper_10x5dr", 648, 332_724_736),
        ("quartznet_10x5", 430, 12_841_792),
        ("quartznet_5x5", 225, 6_711_616),
    ],
)
def test_packaged_configurations_describe_the_published_networks(name: str, tensors: int, floats: int) -> None:
    config = OmegaConf.load(CONFIGS / f"{name}.yaml")
    assert config.name == name and {"model", "trainer", "exp_manager"} <= set(config)
    config.model.train_ds = config.model.validation_ds = None
    with torch.device("meta"):
        model = EncDecCTCModel(cfg=config.model)
    state = model.encoder.state_dict()
    assert len(state) == tensors
    assert sum(value.numel() for key, value in state.items() if "num_batches" not in key) == floats
    assert model.vocabulary == LABELS


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    lines = []
    for seed, text in enumerate(["ab", "ba a", "it's"]):
        soundfile.write(tmp_path / f"{seed}.wav", noise(1.0, seed=seed), 16000)
        lines.append({"audio_filepath": f"{seed}.wav", "duration": 1.0, "text": text})
    path = tmp_path / "train.json"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_it_learns_three_sentences_by_heart(manifest: Path) -> None:
    section = {"manifest_filepath": str(manifest), "sample_rate": 16000, "batch_size": 3, "labels": LABELS}
    model = tiny_model(train_ds={**section, "shuffle": True}, validation_ds=section).train()
    model.setup_optimization()
    for _epoch in range(120):
        for step, items in enumerate(model.train_dataloader()):
            loss = model.training_step(items, step)["loss"]
            loss.backward()
            model._optimizer.step()
            model._optimizer.zero_grad()
        if loss < 0.1:
            break
    assert loss < 0.5, f"loss {loss} after {_epoch + 1} epochs"
    recordings = [manifest.with_name(f"{seed}.wav") for seed in range(3)]
    model.eval()
    with torch.no_grad():
        result = model.multi_validation_epoch_end([model.validation_step(next(iter(model.val_dataloader())))])
    assert result["log"]["val_wer"] <= 0.5
    assert len(model.transcribe(recordings)) == 3


def test_the_window_of_squeeze_and_excite_can_be_changed() -> None:
    config = tiny_config()
    config["encoder"]["jasper"][1] |= {"se": True, "se_reduction_ratio": 4}
    model = tiny_model(encoder=config["encoder"])
    assert model.encoder.blocks[1].mconv[-1].context_size == -1
    model.change_conv_asr_se_context_window(20)
    assert model.encoder.blocks[1].mconv[-1].context_size == 20
    assert [block.get("se_context_size") for block in model.cfg.encoder.jasper] == [None, 20, None]


@pytest.mark.parametrize(
    ("version", "recipe", "masked"),
    [("3.0.0", "current", True), ("1.23.0", "1.0", True), ("1.5.0", "1.0", False), (None, "1.0", False)],
)
def test_squeeze_and_excite_masks_as_the_archives_release_did(version: str | None, recipe: str, masked: bool) -> None:
    config = tiny_config(nemo_version=version, seaspeak={"recipe": recipe, "nemo_version": version})
    config["encoder"]["jasper"][1] |= {"se": True}
    model = EncDecCTCModel(cfg=config)
    assert model.encoder.blocks[1].mconv[-1].masked is masked
