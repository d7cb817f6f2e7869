from __future__ import annotations

import json
import math
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from seaspeak.core.errors import DataError
from seaspeak.data.manifest import Entry, manifest_paths, read, write

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0/,"), min_size=1, max_size=30).filter(
    lambda name: not name.startswith("~")
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)
ENTRIES = st.builds(
    lambda name, duration, text, offset, extra: Entry(
        audio_filepath=f"/clips/{name}", duration=duration, text=text, offset=offset, extra=extra
    ),
    name=NAMES,
    duration=st.none() | st.floats(0, 1e5),
    text=st.text(st.characters(codec="utf-8")),
    offset=st.floats(0, 1e5),
    extra=st.dictionaries(st.sampled_from(["speaker", "lang", "шум", "label"]), JSON),
)


def manifest(folder: Path, *rows: dict | str, name: str = "manifest.json") -> Path:
    path = folder / name
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8"
    )
    return path


def clip(duration: float | None = 1.0, text: str = "hi", name: str = "a.wav", **extra) -> dict:
    return {"audio_filepath": name, "duration": duration, "text": text, **extra}


@settings(deadline=None)
@given(entries=st.lists(ENTRIES, max_size=8))
def test_what_is_written_is_read(tmp_path_factory, entries):
    path = tmp_path_factory.mktemp("round") / "m.json"
    write(path, entries)

    back = read(path)

    assert [(e.audio_filepath, e.duration, e.text, e.offset, e.extra, e.line, e.number) for e in back] == [
        (e.audio_filepath, e.duration, e.text, e.offset, e.extra, place + 1, place) for place, e in enumerate(entries)
    ]


def test_blank_lines_and_byte_order_marks_do_no_harm(tmp_path):
    path = manifest(tmp_path, "\ufeff" + json.dumps(clip(text="one")), "", "   ", clip(text="two"), "")

    entries = read(path)

    assert [(entry.text, entry.line, entry.number) for entry in entries] == [("one", 1, 0), ("two", 4, 1)]
    assert entries[1].where == f"{path}:4"


def test_the_text_comes_from_the_first_key_that_has_it(tmp_path):
    (tmp_path / "t.txt").write_text("from a\nfile\n")
    base = {"audio_filepath": "a.wav", "duration": 1}
    path = manifest(
        tmp_path,
        {**base, "text": "plain", "text_filepath": "t.txt", "normalized_text": "normal"},
        {**base, "text_filepath": "t.txt", "normalized_text": "normal"},
        {**base, "normalized_text": "normal"},
        base,
    )

    assert [entry.text for entry in read(path)] == ["plain", "from afile", "normal", ""]


def test_paths_are_relative_to_the_manifest_or_to_where_one_works(tmp_path, monkeypatch):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "beside.wav").touch()
    (tmp_path / "here.wav").touch()
    absolute = str(tmp_path / "far" / "off.wav")
    path = manifest(tmp_path / "set", *(clip(name=n) for n in ("beside.wav", "here.wav", "nowhere.wav", absolute)))
    monkeypatch.chdir(tmp_path)

    found = [entry.audio_filepath for entry in read(path)]

    beside = str(tmp_path / "set" / "beside.wav")
    assert found == [beside, "here.wav", str(tmp_path / "set" / "nowhere.wav"), absolute]


def test_the_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))

    assert read(manifest(tmp_path, clip(name="~/x.wav")))[0].audio_filepath == os.path.join(tmp_path, "x.wav")


def test_audio_filename_wins(tmp_path):
    path = manifest(tmp_path, clip(name="/a.wav", audio_filename="/b.wav"))

    assert read(path)[0].audio_filepath == "/b.wav"


def test_members_of_tar_files_are_no_paths(tmp_path):
    (tmp_path / "a.wav").touch()

    assert read(manifest(tmp_path, clip(name="a.wav")), tarred=True)[0].audio_filepath == "a.wav"


def test_several_manifests_are_read_as_one(tmp_path):
    first = manifest(tmp_path, clip(text="1"), clip(text="2"), name="a.json")
    second = manifest(tmp_path, clip(text="3"), name="b.json")

    for paths in (f"{first},{second}", [str(first), second], [[first], f"{second}"]):
        entries = read(paths)
        assert [(e.text, e.line, e.number) for e in entries] == [("1", 1, 0), ("2", 2, 1), ("3", 1, 2)]
        assert entries[2].manifest == str(second)


def test_a_file_with_a_comma_in_its_name_is_one_file(tmp_path):
    path = manifest(tmp_path, clip(), name="a,b.json")

    assert manifest_paths(str(path)) == [path]


def test_what_is_dropped_is_counted_by_reason_with_hours(tmp_path, caplog):
    path = manifest(tmp_path, clip(0.05), clip(0.1), clip(3600.0), clip(16.7), clip(16.8), clip(0.04), clip(None))

    entries = read(path, min_duration=0.1, max_duration=16.7)

    assert [entry.duration for entry in entries] == [0.1, 16.7, None]  # the limits themselves are kept
    dropped = {each.reason: (each.count, each.hours) for each in entries.dropped}
    assert dropped == {
        "shorter than 0.1 s": (2, pytest.approx(0.09 / 3600)),
        "longer than 16.7 s": (2, pytest.approx(3616.8 / 3600)),
    }
    assert "left out 2 shorter than 0.1 s (0.00 h); 2 longer than 16.7 s (1.00 h)" in caplog.text


def test_callers_may_drop_for_reasons_of_their_own(tmp_path):
    path = manifest(tmp_path, clip(text="good"), clip(text="bad"), clip(text="good"))

    entries = read(path, keep=lambda entry: "" if entry.text == "good" else "that are bad")

    assert len(entries) == 2
    assert [str(each) for each in entries.dropped] == ["1 that are bad (0.00 h)"]


def test_reading_stops_after_as_many_as_asked_for(tmp_path):
    path = manifest(tmp_path, clip(0.01, "short"), *(clip(text=str(i)) for i in range(5)))

    assert [entry.text for entry in read(path, min_duration=0.1, max_utts=2)] == ["0", "1"]


def test_durations_and_hours(tmp_path):
    entries = read(manifest(tmp_path, clip(3.0), clip(None), clip(1.5), clip("2.5")))

    np.testing.assert_array_equal(entries.durations, [3.0, math.nan, 1.5, 2.5])
    assert entries.hours == pytest.approx(7.0 / 3600)
    assert entries.sorted_by_duration() == [2, 3, 0, 1]


def test_it_is_a_sequence(tmp_path):
    entries = read(manifest(tmp_path, *(clip(text=str(i)) for i in range(4))))

    assert [entry.text for entry in entries[1:3]] == ["1", "2"]
    assert entries[-1].text == "3"
    with pytest.raises(IndexError):
        entries[4]


def test_a_large_manifest_is_a_few_arrays_however_it_is_sent_to_workers(tmp_path):
    entries = read(manifest(tmp_path, *(clip(text=f"text {i}", speaker=i) for i in range(2000))))

    packed = pickle.dumps(entries)

    assert len(packed) < 1.5 * (tmp_path / "manifest.json").stat().st_size
    assert pickle.loads(packed)[1234] == entries[1234]


def test_the_metadata_of_ljspeech_is_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "wavs").mkdir()
    for name in ("LJ001-0001", "LJ001-0002"):
        soundfile.write(tmp_path / "wavs" / f"{name}.wav", np.zeros(11025), 22050)
    metadata = tmp_path / "metadata.csv"
    metadata.write_text("LJ001-0001|Dr. No, 1|Doctor No, one\nLJ001-0002|in 1850\n")
    first, second = read(metadata)
    assert (first.audio_filepath, first.duration) == (str(tmp_path / "wavs/LJ001-0001.wav"), 0.5)
    assert (first.text, first.extra) == ("Dr. No, 1", {"normalized_text": "Doctor No, one"})
    assert (second.text, second.extra) == ("in 1850", {})
    write(tmp_path / "same.json", [first, second])
    assert [entry.extra for entry in read(tmp_path / "same.json")] == [first.extra, second.extra]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("LJ9|gone", r"metadata\.csv:1 names a recording that is missing: wavs/LJ9\.wav"),
        ("no bar", r"metadata\.csv:1 is not 'ID\|text'"),
    ],
)
def test_broken_lines_of_ljspeech_are_named(tmp_path: Path, line: str, problem: str) -> None:
    (tmp_path / "metadata.csv").write_text(line)
    with pytest.raises(DataError, match=problem):
        read(tmp_path / "metadata.csv")
