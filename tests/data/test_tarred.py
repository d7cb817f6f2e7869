from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from seaspeak.core.errors import ConfigError, DataError, FileMissingError
from seaspeak.data.speech import build_loader
from seaspeak.data.tarred import TarredAudioToCharDataset, expand_braces, shard_paths
from tests.data.clips import LETTERS, manifest, tarred


def texts(dataset) -> list[int]:
    return [int(example[3]) for example in dataset]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a.tar", ["a.tar"]),
        ("a_{0..2}.tar", ["a_0.tar", "a_1.tar", "a_2.tar"]),
        ("a_{08..10}.tar", ["a_08.tar", "a_09.tar", "a_10.tar"]),
        ("{x,y}/{1..2}", ["x/1", "x/2", "y/1", "y/2"]),
    ],
)
def test_braces_stand_for_names(pattern, names):
    assert expand_braces(pattern) == names


@pytest.mark.parametrize("pattern", ["{0..2}", "(0..2)", "[0..2]", "<0..2>", "_OP_0..2_CL_", "{0,1,2}"])
def test_shards_are_found_by_pattern(tmp_path, pattern):
    paths, _ = tarred(tmp_path, shards=3, each=1)

    assert shard_paths(str(tmp_path / f"audio_{pattern}.tar")) == paths


def test_shards_are_found_by_list_commas_and_beside_the_manifest(tmp_path):
    paths, _ = tarred(tmp_path, shards=3, each=1)

    assert shard_paths([str(paths[0]), [paths[1], paths[2]]]) == paths
    assert shard_paths(f"{paths[0]}, {paths[1]}") == paths[:2]
    assert shard_paths("audio_{0..2}.tar", beside=[tmp_path]) == paths


def test_every_utterance_comes_once_with_its_own_text(tmp_path):
    _, path = tarred(tmp_path, shards=3, each=4)
    dataset = TarredAudioToCharDataset("audio_{0..2}.tar", path, LETTERS, 16000)

    examples = list(dataset)

    assert len(dataset) == 12
    assert [int(example[3]) for example in examples] == list(range(1, 13))
    assert all(abs(float(signal[0]) - int(n) / 100) < 1e-4 for signal, _, _, n in examples)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_shuffled_epoch_has_every_utterance_once(tmp_path, workers):
    _, path = tarred(tmp_path, shards=4, each=5)
    cfg = {
        "manifest_filepath": str(path),
        "tarred_audio_filepaths": "audio_{0..3}.tar",
        "is_tarred": True,
        "sample_rate": 16000,
        "labels": LETTERS,
        "batch_size": 3,
        "num_workers": workers,
        "seed": 1,
    }
    loader = build_loader(cfg, shuffle=True)

    epochs = [[n for batch in loader for n in batch[3].tolist()] for _ in range(2)]

    assert [sorted(epoch) for epoch in epochs] == [list(range(1, 21))] * 2
    assert epochs[0] != epochs[1]
    assert [n for batch in build_loader(cfg, shuffle=True) for n in batch[3].tolist()] == epochs[0]


def test_several_entries_may_cut_up_one_member(tmp_path):
    paths, _ = tarred(tmp_path, shards=1, each=1)
    rows = [
        {"audio_filepath": "clip0.wav", "offset": 0.0, "duration": 0.025, "text": "a"},
        {"audio_filepath": "clip0.wav", "offset": 0.025, "duration": 0.05, "text": "bb"},
    ]
    dataset = TarredAudioToCharDataset(paths, manifest(tmp_path, rows), LETTERS, 16000)

    assert [(len(signal), int(n)) for signal, _, _, n in dataset] == [(400, 1), (800, 2)]


def test_members_that_the_manifest_leaves_out_are_passed_over(tmp_path):
    paths, path = tarred(tmp_path, shards=2, each=3)
    kept = manifest(tmp_path, [{"audio_filepath": "clip4.flac", "duration": 0.1, "text": "abc"}], "few.json")

    assert texts(TarredAudioToCharDataset(paths, kept, LETTERS, 16000)) == [3]
    assert len(path.read_text().splitlines()) == 6


@pytest.mark.parametrize(
    ("strategy", "expected"), [("scatter", [[1, 2, 3, 4], [5, 6, 7, 8]]), ("replicate", [list(range(1, 11))] * 2)]
)
def test_processes_share_the_shards_or_read_them_all(tmp_path, strategy, expected, caplog):
    paths, path = tarred(tmp_path, shards=5, each=2)

    found = [
        texts(
            TarredAudioToCharDataset(
                paths, path, LETTERS, 16000, shard_strategy=strategy, global_rank=rank, world_size=2
            )
        )
        for rank in range(2)
    ]

    assert found == expected
    assert ("1 of 5 tar files are not read" in caplog.text) == (strategy == "scatter")


def test_what_cannot_be_is_refused(tmp_path):
    paths, path = tarred(tmp_path, shards=1, each=1)

    with pytest.raises(FileMissingError, match=r"there is no tar file audio_7\.tar"):
        TarredAudioToCharDataset("audio_{7..9}.tar", path, LETTERS, 16000)
    with pytest.raises(ConfigError, match="tarred_shard_strategy is not known"):
        TarredAudioToCharDataset(paths, path, LETTERS, 16000, shard_strategy="split")
    with pytest.raises(DataError, match="1 tar files cannot be shared out to 2 processes"):
        TarredAudioToCharDataset(paths, path, LETTERS, 16000, world_size=2)
    with pytest.raises(ConfigError, match=r"train_ds.is_tarred needs train_ds.tarred_audio_filepaths"):
        build_loader({"manifest_filepath": str(path), "sample_rate": 16000, "batch_size": 1, "is_tarred": True})


def test_a_tar_file_that_is_cut_off_is_told(tmp_path, caplog):
    paths, path = tarred(tmp_path, shards=1, each=3)
    (tmp_path / "cut.tar").write_bytes(paths[0].read_bytes()[:2048])

    TarredAudioToCharDataset(paths, path, LETTERS, 16000)
    assert "cut off" not in caplog.text
    TarredAudioToCharDataset(tmp_path / "cut.tar", path, LETTERS, 16000)
    assert "cut.tar has no end mark: it may be cut off" in caplog.text


def test_a_file_that_is_no_tar_file_and_a_damaged_member_are_named(tmp_path):
    _, path = tarred(tmp_path, shards=1, each=1)
    (tmp_path / "no.tar").write_text("text")
    with pytest.raises(DataError, match=r"the tar file .*no\.tar is damaged"):
        texts(TarredAudioToCharDataset(tmp_path / "no.tar", path, LETTERS, 16000))

    (tmp_path / "clip0.flac").write_text("no recording")
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        tar.add(tmp_path / "clip0.flac", "clip0.flac")
    with pytest.raises(DataError, match=rf"{path.name}:1: clip0.flac is not a recording"):
        texts(TarredAudioToCharDataset(tmp_path / "bad.tar", path, LETTERS, 16000))


def test_an_error_in_a_worker_process_names_its_line(tmp_path):
    _, path = tarred(tmp_path, shards=1, each=1)
    (tmp_path / "clip0.flac").write_text("no recording")
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        tar.add(tmp_path / "clip0.flac", "clip0.flac")
    cfg = {"manifest_filepath": str(path), "sample_rate": 16000, "labels": LETTERS, "batch_size": 1, "num_workers": 1}

    with pytest.raises(DataError, match=rf"^{path}:1: clip0.flac is not a recording"):
        list(build_loader({**cfg, "is_tarred": True, "tarred_audio_filepaths": str(tmp_path / "bad.tar")}))


def test_the_real_training_shards_are_read(shared: Path):
    folder = shared / "data" / "librispeech" / "train"
    dataset = TarredAudioToCharDataset(
        "audio_0.tar", folder / "train.json", LETTERS, 16000, max_duration=16.7, shuffle_n=8, seed=0
    )

    signal, length, _tokens, token_length = next(iter(dataset))

    assert len(dataset) > 2000
    assert 0 < len(signal) <= 16.7 * 16000 + 16
    assert length.item() == len(signal)
    assert token_length.item() > 3
