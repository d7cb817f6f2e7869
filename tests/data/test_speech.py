"""Data sets of recordings with transcripts, and the loaders that configurations describe."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from omegaconf import OmegaConf

from seaspeak.core.errors import ConfigError, DataError
from seaspeak.core.types import AudioSignal, LabelsType
from seaspeak.data.sampler import DurationBatchSampler
from seaspeak.data.speech import AudioToCharDataset, build_loader
from tests.data.clips import LETTERS, clips, manifest, samples


def section(path: Path, **keys):
    return OmegaConf.create(
        {"manifest_filepath": str(path), "sample_rate": 16000, "labels": LETTERS, "batch_size": 2, **keys}
    )


def test_an_example_is_samples_and_labels(tmp_path):
    dataset = AudioToCharDataset(clips(tmp_path, [0.5, 0.25], ["Hi Bob!", "it's"]), LETTERS, 16000)

    signal, length, tokens, token_length = dataset[0]

    assert len(dataset) == 2
    torch.testing.assert_close(signal, torch.from_numpy(samples(0.5, value=0.01)))
    assert (length.item(), token_length.item()) == (8000, 6)
    assert "".join(LETTERS[number] for number in tokens) == "hi bob"
    assert (signal.dtype, length.dtype, tokens.dtype, token_length.dtype) == (torch.float32, *[torch.int64] * 3)


def test_a_batch_is_filled_up_exactly_to_the_longest(tmp_path):
    dataset = AudioToCharDataset(clips(tmp_path, [0.5, 0.1, 0.3]), LETTERS, 16000, pad_id=7)

    signal, length, tokens, token_length = dataset.collate_fn([dataset[i] for i in range(3)])

    assert signal.shape == (3, 8000)
    assert length.tolist() == [8000, 1600, 4800]
    for place, n in enumerate(length.tolist()):
        assert (signal[place, :n] == signal[place, 0]).all()
        assert (signal[place, n:] == 0).all()
    assert tokens.tolist() == [[1, 7, 7], [1, 1, 7], [1, 1, 1]]
    assert token_length.tolist() == [1, 2, 3]


def test_batches_carry_their_types(tmp_path):
    dataset = AudioToCharDataset(clips(tmp_path, [0.1], rate=8000), LETTERS, 8000)

    assert list(dataset.output_types) == ["audio_signal", "a_sig_length", "transcripts", "transcript_length"]
    assert dataset.output_types["audio_signal"].elements_type == AudioSignal(freq=8000)
    assert isinstance(dataset.output_types["transcripts"].elements_type, LabelsType)
    signal = dataset.collate_fn([dataset[0]])[0]
    assert signal.neural_type == dataset.output_types["audio_signal"]


def test_recordings_are_resampled_cut_and_mixed(tmp_path):
    stereo = np.stack([samples(2.0, 48000, 0.1), samples(2.0, 48000, 0.3)], axis=1)
    soundfile.write(tmp_path / "stereo.flac", stereo, 48000)
    path = manifest(tmp_path, [{"audio_filepath": "stereo.flac", "offset": 0.5, "duration": 0.25, "text": "x"}])

    mixed = AudioToCharDataset(path, LETTERS, 16000)[0][0]
    left = AudioToCharDataset(path, LETTERS, 16000, channel_selector=0)[0][0]

    assert len(mixed) == 4000
    torch.testing.assert_close(mixed[200:-200].mean(), torch.tensor(0.2), atol=1e-3, rtol=0)
    torch.testing.assert_close(left[200:-200].mean(), torch.tensor(0.1), atol=1e-3, rtol=0)


def test_begin_and_end_labels_count(tmp_path):
    dataset = AudioToCharDataset(clips(tmp_path, [0.1], ["ab"]), LETTERS, 16000, bos_id=50, eos_id=51)

    _, _, tokens, token_length = dataset[0]

    assert tokens.tolist() == [50, 1, 2, 51]
    assert token_length.item() == 4


def test_silence_is_trimmed_when_asked(tmp_path):
    sound = np.concatenate([np.zeros(8000), samples(0.5), np.zeros(8000)])
    soundfile.write(tmp_path / "a.wav", sound, 16000)
    path = manifest(tmp_path, [{"audio_filepath": "a.wav", "duration": 1.5, "text": "x"}])

    assert len(AudioToCharDataset(path, LETTERS, 16000)[0][0]) == 24000
    assert len(AudioToCharDataset(path, LETTERS, 16000, trim=True)[0][0]) < 8000 + 2 * 2048


def test_an_augmentor_changes_the_samples(tmp_path):
    dataset = AudioToCharDataset(clips(tmp_path, [0.1]), LETTERS, 16000, augmentor=lambda x, rate: x[::2] * rate)

    assert dataset[0][0].tolist() == pytest.approx([samples(0.1, value=0.01)[0] * 16000] * 800)


def test_ready_labels_in_the_manifest_are_taken(tmp_path):
    soundfile.write(tmp_path / "a.wav", samples(0.1), 16000)
    path = manifest(tmp_path, [{"audio_filepath": "a.wav", "duration": 0.1, "text": "zz", "token_labels": [3, 1, 2]}])

    assert AudioToCharDataset(path, LETTERS, 16000)[0][2].tolist() == [3, 1, 2]


def test_texts_without_labels_are_left_out_and_counted(tmp_path):
    path = clips(tmp_path, [0.1] * 3, ["one", "skip", "two"])

    dataset = AudioToCharDataset(path, LETTERS, 16000, parser=lambda text: None if text == "skip" else [len(text)])

    assert [dataset[place][2].tolist() for place in range(2)] == [[3], [3]]
    assert [str(each) for each in dataset.manifest.dropped] == ["1 whose text has no labels (0.00 h)"]


def test_characters_without_labels_are_told_once_with_their_number(tmp_path, caplog):
    path = clips(tmp_path, [0.1] * 3, ["añb", "ñ!", "ab"])

    AudioToCharDataset(path, LETTERS, 16000, normalize=False)
    assert caplog.text.count("no labels for: 'ñ' 2×, '!' 1×") == 1

    caplog.clear()
    AudioToCharDataset(path, LETTERS, 16000, normalize=True)
    assert "no labels" not in caplog.text


def test_sample_ids_are_places_in_the_manifest(tmp_path):
    loader = build_loader(section(clips(tmp_path, [0.1] * 3), return_sample_id=True))

    assert [batch[4].tolist() for batch in loader] == [[0, 1], [2]]


# --- loaders ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("keys", [{}, {"use_bucketing": True}, {"batch_size": None, "batch_duration": 0.5}])
def test_each_epoch_has_every_utterance_once_in_another_order(tmp_path, workers, keys):
    durations = [0.1, 0.2, 0.05, 0.3, 0.15, 0.25, 0.1]
    loader = build_loader(section(clips(tmp_path, durations), num_workers=workers, seed=3, **keys), shuffle=True)

    epochs = [[n for batch in loader for n in batch[3].tolist()] for _ in range(3)]

    assert all(sorted(epoch) == [1, 2, 3, 4, 5, 6, 7] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_the_section_says_how_to_batch(tmp_path):
    path = clips(tmp_path, [0.1] * 5)

    assert [len(batch[0]) for batch in build_loader(section(path))] == [2, 2, 1]
    assert [len(batch[0]) for batch in build_loader(section(path, drop_last=True))] == [2, 2]
    assert [len(batch[0]) for batch in build_loader(section(path, batch_size=-1))] == [5]
    assert len(build_loader(section(path, max_utts=3))) == 2
    bucketed = build_loader(section(path, use_bucketing=True, batch_duration=0.3, batch_size=4), shuffle=True)
    assert isinstance(bucketed.batch_sampler, DurationBatchSampler)
    assert sorted(len(batch[0]) for batch in bucketed) == [2, 3]


def test_the_section_wins_over_the_callers_shuffle(tmp_path):
    path = clips(tmp_path, [0.1] * 8)

    in_order = [n for batch in build_loader(section(path, shuffle=False), shuffle=True) for n in batch[3].tolist()]

    assert in_order == list(range(1, 9))


@pytest.mark.parametrize("keys", [{}, {"use_bucketing": True}, {"num_workers": 1}])
@pytest.mark.parametrize("taken", [0, 1, 3, 4])
def test_a_loader_goes_on_where_its_state_was_taken(tmp_path, keys, taken):
    cfg = section(clips(tmp_path, [0.1, 0.2, 0.05, 0.3, 0.15, 0.25, 0.1]), **keys)

    def contents(batches):
        return [batch[3].tolist() for batch in batches]

    torch.manual_seed(11)
    whole = build_loader(cfg, shuffle=True)
    contents(whole)
    second, third = contents(whole), contents(whole)

    torch.manual_seed(11)
    interrupted = build_loader(cfg, shuffle=True)
    contents(interrupted)
    batches = iter(interrupted)
    had = contents(next(batches) for _ in range(taken))
    state = json.loads(json.dumps(interrupted.state_dict()))
    torch.manual_seed(99)
    resumed = build_loader(cfg, shuffle=True)
    resumed.load_state_dict(state)

    if taken == 0:  # the second epoch had not begun: its first batch is asked for before the state counts
        assert state["batches"] in (0, 4)
    assert had + contents(resumed) == (second if 0 < taken < 4 else had + (third if taken == 4 else second))


def test_a_state_survives_being_resumed_and_interrupted_again(tmp_path):
    cfg = section(clips(tmp_path, [0.1] * 8), seed=5)
    whole = [batch[3].tolist() for batch in build_loader(cfg, shuffle=True)]

    first = build_loader(cfg, shuffle=True)
    next(iter(first))
    second = build_loader(cfg, shuffle=True)
    second.load_state_dict(first.state_dict())
    next(iter(second))
    third = build_loader(cfg, shuffle=True)
    third.load_state_dict(second.state_dict())

    assert [batch[3].tolist() for batch in third] == whole[2:]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unreadable_recording_is_named_with_its_line(tmp_path, workers):
    path = clips(tmp_path, [0.1] * 4)
    (tmp_path / "clip2.wav").write_text("not a recording")
    loader = build_loader(section(path, num_workers=workers))

    with pytest.raises(DataError) as caught:
        list(loader)

    first, *rows = str(caught.value).splitlines()
    assert first == f"{path}:3: {tmp_path / 'clip2.wav'} is not a recording that can be read"
    assert rows[0].strip().startswith("got      text that begins 'not a recording'".strip())
    assert "Traceback" not in str(caught.value)


def test_an_error_is_raised_by_other_loaders_too(tmp_path):
    path = clips(tmp_path, [0.1] * 2)
    (tmp_path / "clip1.wav").unlink()
    dataset = AudioToCharDataset(path, LETTERS, 16000)

    with pytest.raises(DataError, match=r":2: there is no file .*clip1\.wav"):
        list(torch.utils.data.DataLoader(dataset, batch_size=2, collate_fn=dataset.collate_fn))
    with pytest.raises(DataError, match=r":2: there is no file .*clip1\.wav"):
        dataset[1]


@pytest.mark.parametrize("key", ["manifest_filepath", "sample_rate", "batch_size"])
def test_a_missing_key_is_named_in_full(tmp_path, key):
    cfg = section(clips(tmp_path, [0.1]))
    del cfg[key]

    with pytest.raises(ConfigError, match=rf"validation_ds\.{key} is not given"):
        build_loader(cfg, section="validation_ds")


def test_nothing_left_to_train_on_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"no utterance is left of train_ds\.manifest_filepath"):
        build_loader(section(clips(tmp_path, [0.1]), min_duration=1.0))


@pytest.mark.parametrize("keys", [{"use_dali": True}, {"augmentor": {"speed": {"prob": 0.5}}}])
def test_keys_that_are_ignored_are_told(tmp_path, keys, caplog):
    build_loader(section(clips(tmp_path, [0.1]), **keys))

    assert f"train_ds.{next(iter(keys))} is ignored" in caplog.text


def test_transcripts_are_normalised_only_when_asked(tmp_path):
    path = clips(tmp_path, [0.1], ["Ab"])

    raw = next(iter(build_loader(section(path))))
    normal = next(iter(build_loader(section(path, normalize_transcripts=True))))

    assert raw[2].tolist() == [[2]]  # the capital is no label
    assert normal[2].tolist() == [[1, 2]]


def test_other_models_bring_their_own_tokenizer(tmp_path):
    cfg = section(clips(tmp_path, [0.1], ["abc"]))

    batch = next(iter(build_loader(cfg, tokenize=lambda text: [len(text), 9])))

    assert batch[2].tolist() == [[3, 9]]


def test_real_recordings_make_a_batch(shared: Path):
    loader = build_loader(section(shared / "data" / "an4" / "val.json", batch_size=4), shuffle=False)

    signal, length, tokens, token_length = next(iter(loader))

    assert signal.shape == (4, int(length.max()))
    assert tokens.shape == (4, int(token_length.max()))
    assert 0.01 < signal.abs().max() <= 1
