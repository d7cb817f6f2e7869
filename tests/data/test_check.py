"""The check of data: every kind of trouble is found, with its line, and sound data gives none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from seaspeak.audio.features import FilterbankFeatures
from seaspeak.core.errors import FileMissingError
from seaspeak.data.check import Frames, check_manifest
from tests.data.clips import LETTERS, clips, manifest, samples, tarred


def found(report) -> dict[str, list[int]]:
    """Codes of what was found, with the numbers of the lines."""
    return {each.code: [int(where.rpartition(":")[2]) for where, _ in each.places] for each in report.findings}


def recording(folder: Path, name: str, seconds: float = 1.0, value: float = 0.1, rate: int = 16000, **row) -> dict:
    soundfile.write(folder / name, samples(seconds, rate, value), rate)
    return {"audio_filepath": name, "duration": seconds, "text": "hello", **row}


def test_sound_data_gives_no_findings(tmp_path):
    report = check_manifest(clips(tmp_path, [1.0, 2.0, 3.0]), LETTERS)

    assert report.findings == []
    assert report.ok
    assert report.exit_code == 0
    assert (report.utterances, report.hours) == (3, pytest.approx(6 / 3600))
    assert report.lines()[-1] == "nothing is wrong with them"
    assert report.facts["durations"] == "1.00 to 3.00 s, median 2.00 s, 95 % up to 2.90 s"
    assert report.facts["rates"] == "16000 Hz (3)"


def test_each_trouble_is_found_where_it_is(tmp_path):
    noise = np.random.default_rng(0).standard_normal(32000) * 0.1
    soundfile.write(tmp_path / "cut.flac", noise, 16000)
    (tmp_path / "cut.flac").write_bytes((tmp_path / "cut.flac").read_bytes()[:20000])
    (tmp_path / "text.wav").write_text("no recording")
    rows = [
        recording(tmp_path, "good.wav", value=0.11),
        {"audio_filepath": "gone.wav", "duration": 1.0, "text": "hello"},
        {"audio_filepath": "cut.flac", "duration": 2.0, "text": "hello"},
        {"audio_filepath": "text.wav", "duration": 1.0, "text": "hello"},
        recording(tmp_path, "empty.wav", value=0.12, text=" "),
        recording(tmp_path, "accent.wav", value=0.13, text="héllo wörld é"),
        recording(tmp_path, "fast.wav", 0.2, value=0.14, text="hello there you"),
        recording(tmp_path, "copy.wav", value=0.11),
        recording(tmp_path, "other.wav", value=0.11, text="goodbye"),
        recording(tmp_path, "phone.wav", value=0.15, rate=8000),
        {**recording(tmp_path, "long.wav", value=0.16), "duration": 1.5},
        {**recording(tmp_path, "short.wav", value=0.17), "duration": 0.5},
        {**recording(tmp_path, "unknown.wav", value=0.18), "duration": None},
        recording(tmp_path, "hour.wav", 17.0, value=0.19, rate=16000),
    ]
    path = manifest(tmp_path, rows)
    with path.open("a") as file:
        file.write("{broken\n")

    report = check_manifest(path, LETTERS)

    assert found(report) == {
        "missing-file": [2],
        "unreadable-file": [3, 4],
        "cannot-align": [7],
        "broken-line": [15],
        "empty-text": [5],
        "unknown-character": [6],
        "duplicate": [8],
        "contradiction": [9],
        "low-rate": [10],
        "beyond-the-end": [11],
        "shorter-than-file": [12],
        "no-duration": [13],
        "long": [14],
    }
    serious = [each.code for each in report.findings if each.serious]
    assert set(serious) == {"missing-file", "unreadable-file", "cannot-align", "broken-line"}
    assert [each.serious for each in report.findings] == [True] * 4 + [False] * 9  # what is serious comes first
    assert report.exit_code == 1


def test_a_text_in_a_missing_file_is_a_broken_line(tmp_path):
    folder = tmp_path / "with blanks"
    folder.mkdir()
    row = recording(folder, "a.wav")
    del row["text"]
    path = manifest(folder, [{**row, "text_filepath": "gone.txt"}])

    report = check_manifest(path, LETTERS)

    assert found(report) == {"broken-line": [1]}
    assert report.findings[0].places == [
        (f"{path}:1", f"names a text that cannot be read: {folder / 'gone.txt'}"),
    ]


def test_the_text_form_names_places_and_what_to_do(tmp_path):
    rows = [recording(tmp_path, f"{i}.wav", value=i / 100 + 0.1, text="É") for i in range(7)]

    text = "\n".join(check_manifest(manifest(tmp_path, rows), LETTERS).lines())

    assert "warning  texts with characters that the model has no labels for, which are left out: 'É' 7× (7)" in text
    assert f"{tmp_path / 'manifest.json'}:1  'É' in 'É'" in text
    assert "and 2 more" in text
    assert "fix: respell these texts, or add labels" in text


def test_the_json_form_has_every_place(tmp_path):
    rows = [recording(tmp_path, f"{i}.wav", value=i / 100 + 0.1, text="") for i in range(7)]

    data = json.loads(json.dumps(check_manifest(manifest(tmp_path, rows)).to_dict()))

    assert data["ok"] is True
    assert data["findings"][0]["code"] == "empty-text"
    assert data["findings"][0]["severity"] == "warning"
    assert [place["where"].rpartition(":")[2] for place in data["findings"][0]["places"]] == list("1234567")


def test_capitals_are_told_to_be_normalised_and_then_are_no_trouble(tmp_path):
    path = manifest(tmp_path, [recording(tmp_path, "a.wav", text="Hello, Bob!")])

    report = check_manifest(path, LETTERS)

    assert found(report) == {"unknown-character": [1]}
    assert "normalize_transcripts" in report.findings[0].fix
    assert check_manifest(path, LETTERS, normalize=True).findings == []


@given(seconds=st.floats(0.0, 30.0), stride=st.sampled_from([0.01, 0.0125]), subsampling=st.sampled_from([1, 2, 4, 8]))
def test_frames_are_those_of_the_front_end_halved_upwards(seconds, stride, subsampling):
    frames = Frames(window_stride=stride, subsampling=subsampling)
    hop = int(stride * 16000)
    front_end = FilterbankFeatures(n_window_size=400, n_window_stride=hop)

    import torch

    of_front_end = int(front_end.get_seq_len(torch.tensor([round(seconds * 16000)])))

    assert frames.count(seconds) == -(-of_front_end // subsampling)


@pytest.mark.parametrize(("text", "fits"), [("abcde", True), ("aabbc", False), ("abcdef", False), ("aab", True)])
def test_repeated_labels_need_a_frame_between_them(tmp_path, text, fits):
    path = manifest(tmp_path, [recording(tmp_path, "a.wav", 0.1, text=text)])  # 10 frames, halved: 5

    assert found(check_manifest(path, LETTERS)) == ({} if fits else {"cannot-align": [1]})


def test_cuts_of_one_recording_are_no_duplicates(tmp_path):
    soundfile.write(tmp_path / "long.wav", np.sin(np.arange(32000) ** 1.1 / 20) * 0.3, 16000)
    rows = [{"audio_filepath": "long.wav", "offset": i / 2, "duration": 0.5, "text": "hello"} for i in range(4)]

    assert check_manifest(manifest(tmp_path, rows), LETTERS).findings == []
    again = check_manifest(manifest(tmp_path, [*rows, rows[1]]), LETTERS)
    assert found(again) == {"duplicate": [5]}


def test_a_quick_check_decodes_nothing(tmp_path):
    soundfile.write(tmp_path / "cut.flac", np.random.default_rng(0).standard_normal(32000) * 0.1, 16000)
    (tmp_path / "cut.flac").write_bytes((tmp_path / "cut.flac").read_bytes()[:20000])
    path = manifest(tmp_path, [{"audio_filepath": "cut.flac", "duration": 2.0, "text": "hello"}])

    assert check_manifest(path, LETTERS, decode=False).ok
    assert found(check_manifest(path, LETTERS)) == {"unreadable-file": [1]}


def test_recordings_in_tar_files_are_checked(tmp_path):
    tars, path = tarred(tmp_path, shards=2, each=3)
    with path.open("a") as file:
        file.write(json.dumps({"audio_filepath": "clip99.flac", "duration": 0.1, "text": "a"}) + "\n")

    report = check_manifest(path, LETTERS, tar_files=tars)

    assert found(report) == {"missing-file": [7], "cannot-align": [4, 5, 6]}  # "aaa" needs five of five frames
    assert report.facts["formats"] == "FLAC PCM_16 (6)"


def test_progress_is_told_once_an_utterance(tmp_path):
    told = []

    check_manifest(clips(tmp_path, [0.5] * 5), progress=lambda: told.append(1))

    assert len(told) == 5


def test_a_missing_manifest_is_an_error_not_a_finding(tmp_path):
    with pytest.raises(FileMissingError, match="there is no manifest"):
        check_manifest(tmp_path / "nowhere.json", LETTERS)


def test_real_data_is_sound(shared: Path):
    report = check_manifest(shared / "data" / "an4" / "val.json", LETTERS)

    assert [each.code for each in report.findings] in ([], ["long"])
    assert report.utterances == 10
