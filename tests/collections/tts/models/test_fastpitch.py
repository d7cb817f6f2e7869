from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from seaspeak.audio.mel import AudioToMelSpectrogramPreprocessor
from seaspeak.collections.tts.data.dataset import save_tensor
from seaspeak.collections.tts.models.fastpitch import FastPitchModel
from seaspeak.core.config import to_config
from seaspeak.core.errors import ConfigError, DataError, NeuralTypeError
from seaspeak.core.types import MelSpectrogramType
from seaspeak.data import manifest
from tests.fixture import Fixture

OUTPUTS = ("spect", "num_frames", "durs_predicted", "log_durs_predicted", "pitch_predicted")
ALIGNED = ("attn_soft", "attn_logprob", "attn_hard", "attn_hard_dur", "pitch_out")


def as_nemo_batches(fixture: Fixture) -> FastPitchModel:
    """The fixture's model, whose padding leaks as NeMo's does."""
    config = to_config(fixture.config)
    for key in ("input_fft", "output_fft", "duration_predictor", "pitch_predictor"):
        config[key].mask_hidden = False
    return FastPitchModel.restore_from(fixture.archive, override_config_path=config).eval()


@pytest.fixture(scope="module")
def plain(shared: Path) -> Fixture:
    return Fixture(shared / "fixtures/tts/fastpitch_tiny")


@pytest.fixture(scope="module")
def aligned(shared: Path) -> Fixture:
    return Fixture(shared / "fixtures/tts/fastpitch_aligner_tiny")


def tensor(fixture: Fixture, name: str) -> torch.Tensor:
    return torch.from_numpy(fixture.io[name])


@torch.no_grad()
@pytest.mark.parametrize(
    ("case", "given"),
    [
        ("predicted", {}),
        ("given_durs", {"durs": True}),
        ("pace1.5", {"pace": 1.5}),
        ("pace0.7_given_durs", {"durs": True, "pace": 0.7}),
        ("given_durs_and_pitch", {"durs": True, "pitch": True}),
    ],
)
def test_given_durations_give_nemos_numbers(plain: Fixture, case: str, given: dict[str, Any]) -> None:
    inputs = dict(given, text=tensor(plain, "text"))
    if "durs" in given:
        inputs["durs"] = tensor(plain, "durs")
    if "pitch" in given:
        inputs["pitch"] = tensor(plain, "pitch_frames")
    outputs = as_nemo_batches(plain)(**inputs)
    for name, output in zip(OUTPUTS, outputs, strict=False):
        plain.assert_close(f"{case}/{name}", output)
    if "pitch" in given:
        plain.assert_close(f"{case}/pitch_out", outputs[9])


@torch.no_grad()
def test_infer_gives_nemos_numbers(plain: Fixture) -> None:
    outputs = as_nemo_batches(plain).fastpitch.infer(
        text=tensor(plain, "text"), pitch=tensor(plain, "pitch_shift_chars")
    )
    for number in range(5):
        plain.assert_close(f"infer/{number}", outputs[number])


@torch.no_grad()
def test_aligner_gives_nemos_numbers(aligned: Fixture) -> None:
    model = as_nemo_batches(aligned)
    common = {name: tensor(aligned, name) for name in ("text", "input_lens", "spec", "mel_lens")}
    for case, prior in (("prior", tensor(aligned, "attn_prior")), ("no_prior", None)):
        outputs = model(**common, attn_prior=prior, pitch=tensor(aligned, "pitch_frames"))
        for name, output in zip(OUTPUTS + ALIGNED, outputs, strict=False):
            aligned.assert_close(f"{case}/{name}", output)
        if case == "prior":
            lens = {"in_lens": common["input_lens"], "out_lens": common["mel_lens"]}
            aligned.assert_close("loss/forward_sum", model.forward_sum_loss(attn_logprob=outputs[6], **lens))
            aligned.assert_close("loss/bin", model.bin_loss(hard_attention=outputs[7], soft_attention=outputs[5]))


@torch.no_grad()
def test_shorter_texts_are_not_changed_by_their_neighbours(plain: Fixture) -> None:
    model = FastPitchModel.restore_from(plain.archive).eval()
    text, durs = tensor(plain, "text"), tensor(plain, "durs")
    batch, lens, *_ = model(text=text, durs=durs)
    alone, length, *_ = model(text=text[1:, :8], durs=durs[1:, :8])
    assert lens[1] == length[0] == durs[1].sum()
    torch.testing.assert_close(batch[1:, :, : int(length)], alone)


def test_tokenizer_and_both_names_of_the_aligner_come_from_the_archive(aligned: Fixture, tmp_path: Path) -> None:
    model = FastPitchModel.restore_from(aligned.archive).eval()
    for text, tokens, length in zip(
        aligned.meta["text_outputs"]["texts"], tensor(aligned, "text"), tensor(aligned, "input_lens"), strict=True
    ):
        assert model.parse(text)[0].tolist() == tokens[:length].tolist()
    assert model.aligner is model.fastpitch.aligner
    model.save_to(tmp_path / "again.nemo")
    again = FastPitchModel.restore_from(tmp_path / "again.nemo")
    assert set(again.state_dict()) == set(model.state_dict()) and "fastpitch.aligner.key_proj.0.conv.weight" in (
        again.state_dict()
    )


def test_words_know_their_frames(aligned: Fixture) -> None:
    model = FastPitchModel.restore_from(aligned.archive).eval()
    utterance = model.synthesize("The 2 cats, hello!", pace=1.3)
    assert [word.text for word in utterance.words] == ["The", "2", "cats,", "hello!"]
    bounds = [frame for word in utterance.words for frame in (word.start, word.end)]
    assert bounds == sorted(bounds) and bounds[-1] <= utterance.spec.shape[1]
    with pytest.raises(DataError, match="nothing in the text can be spoken"):
        model.synthesize("...")


@torch.no_grad()
def test_a_text_that_would_last_no_frame_lasts_one(plain: Fixture) -> None:
    module = as_nemo_batches(plain).fastpitch
    module.duration_predictor.fc.bias.fill_(-9.0)
    text = tensor(plain, "text")
    for pace in (1.0, 3.0, torch.full(text.shape, 0.5)):
        spect, frames, durations, *_ = module.infer(text=text, pace=pace)
        assert frames.tolist() == [1] * len(text) and spect.shape[2] == 1
        assert module.frames(durations, pace).sum(1).tolist() == frames.tolist()


def test_pitch_and_pace_are_heard(aligned: Fixture) -> None:
    model = FastPitchModel.restore_from(aligned.archive).eval()
    tokens = model.parse("hello world")
    plain = model.generate_spectrogram(tokens=tokens)
    assert model.generate_spectrogram(tokens=tokens, pace=2.0).shape[2] == pytest.approx(plain.shape[2] / 2, abs=13)
    higher = model.generate_spectrogram(tokens=tokens, pitch=2.0)
    assert higher.shape == plain.shape and not torch.allclose(higher, plain)


def test_ports_are_those_of_nemo_and_wrong_ones_are_refused(aligned: Fixture) -> None:
    model = FastPitchModel.restore_from(aligned.archive).eval()
    assert {*model.input_types} == {
        "text", "durs", "pitch", "energy", "speaker", "pace", "spec", "attn_prior", "mel_lens", "input_lens",
    }  # fmt: skip
    assert tuple(model.output_types)[:9] == OUTPUTS + ALIGNED[:4]
    spec = AudioToMelSpectrogramPreprocessor(features=80)(
        input_signal=torch.zeros(1, 8000), length=torch.tensor([8000])
    )[0]
    with pytest.raises(NeuralTypeError, match=r"'text' of FastPitchModel"):
        model(text=spec)
    with pytest.raises(NeuralTypeError, match="durations"):
        model(text=model.parse("hello"), durations=None)
    assert isinstance(model(text=model.parse("hello")).spect.neural_type.elements_type, MelSpectrogramType)


def test_model_without_text_front_end_says_so(plain: Fixture) -> None:
    with pytest.raises(ConfigError, match="no text_tokenizer and no labels"):
        FastPitchModel.restore_from(plain.archive).parse("hello")


def test_several_speakers_sound_different_and_one_must_be_named(aligned: Fixture) -> None:
    config = to_config(aligned.config)
    config.n_speakers = 2
    torch.manual_seed(0)
    model = FastPitchModel(config).eval()
    tokens = model.parse("hello")
    first, second = (model.fastpitch.infer(text=tokens, speaker=torch.tensor([who]))[4] for who in (0, 1))
    assert not torch.allclose(first, second)
    with pytest.raises(ConfigError, match="several speakers"):
        model.generate_spectrogram(tokens=tokens)
    with pytest.raises(ConfigError, match="no speaker 7"):
        model.generate_spectrogram(tokens=tokens, speaker=7)


@pytest.mark.slow
@pytest.mark.parametrize("durations", ["learnt", "given"])
def test_a_few_clips_are_learnt(aligned: Fixture, shared: Path, tmp_path: Path, durations: str) -> None:
    lines = (shared / "data/kathleen/train.json").read_text().splitlines()[:60]
    entries = sorted((json.loads(line) for line in lines), key=lambda entry: entry["duration"])[:4]
    for entry in entries:
        entry["audio_filepath"] = str(shared / "data/kathleen" / entry["audio_filepath"])
    manifest.write(tmp_path / "few.json", entries)
    config = to_config(aligned.config)
    types = ["align_prior_matrix", "pitch"] if durations == "learnt" else ["durations", "pitch"]
    dataset = {"manifest_filepath": str(tmp_path / "few.json"), "sample_rate": 22050, "sup_data_types": types}
    dataset |= {"sup_data_path": str(tmp_path / "sup"), "pitch_fmin": 80.0, "pitch_fmax": 420.0}
    dataset |= {"pitch_norm": True, "pitch_mean": 162.0, "pitch_std": 30.0}
    torch.manual_seed(0)
    model = FastPitchModel(config)
    if durations == "given":
        for entry in entries:
            tokens, frames = len(model.vocab.encode(entry["text"])), int(entry["duration"] * 22050 / 256)
            even = torch.full((tokens,), frames // tokens)
            save_tensor(tmp_path / f"sup/durations/{Path(entry['audio_filepath']).stem}.pt", even)
    target = "nemo.collections.tts.data.dataset.TTSDataset"
    model.setup_training_data({"dataset": {"_target_": target, **dataset}, "dataloader_params": {"batch_size": 4}})
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    batch = next(iter(model.train_dataloader()))
    losses = []
    for _ in range(60):
        loss = model.training_step(batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
    assert (model.logged["t_forward_sum_loss"] > 0) == (durations == "learnt")
