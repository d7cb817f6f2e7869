"""Manifests that cannot be used: one clear sentence with file and line."""

from __future__ import annotations

import json

import pytest

from seaspeak.core.errors import DataError, FileMissingError
from seaspeak.data.manifest import read

GOOD = json.dumps({"audio_filepath": "a.wav", "duration": 1.0, "text": "hi"})


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"audio_filepath": "a.wav", "duration": 1.0', "is not JSON: Expecting"),
        ("a.wav 1.0 hello", "is not JSON: Expecting value"),
        ('["a.wav", 1.0]', "is not a JSON object but a list"),
        ('{"duration": 1.0, "text": "hi"}', "has no audio_filepath"),
        ('{"audio_filepath": null, "duration": 1.0}', "has no audio_filepath"),
        ('{"audio_filepath": "a.wav", "duration": "long"}', "has duration 'long', which is not a number of seconds"),
        ('{"audio_filepath": "a.wav", "duration": -1}', "has duration -1, which is not a number of seconds"),
        ('{"audio_filepath": "a.wav", "duration": NaN}', "has duration nan, which is not a number of seconds"),
        ('{"audio_filepath": "a.wav", "offset": [1]}', r"has offset \[1\], which is not a number of seconds"),
        ('{"audio_filepath": "a.wav", "text": 5}', "has text 5, which is not a text"),
        ('{"audio_filepath": "a.wav", "text_filepath": null}', "has text_filepath None, which is not a text"),
    ],
)
def test_a_broken_line_is_named_by_file_and_number(tmp_path, line, problem):
    path = tmp_path / "train.json"
    path.write_text(f"{GOOD}\n\n{line}\n{GOOD}\n")

    with pytest.raises(DataError, match=rf"train.json:3 {problem}"):
        read(path)


def test_a_line_that_is_not_utf_8(tmp_path):
    path = tmp_path / "latin.json"
    path.write_bytes(GOOD.encode() + b'\n{"audio_filepath": "caf\xe9.wav"}\n')

    with pytest.raises(DataError, match=r"latin.json:2 is not UTF-8"):
        read(path)


def test_other_broken_lines_are_named_too(tmp_path):
    path = tmp_path / "train.json"
    path.write_text("{\n" * 9)

    with pytest.raises(DataError, match=r"train.json:1 is not JSON") as caught:
        read(path)

    assert "train.json:2 is not JSON" in caught.value.fix
    assert "and 4 more" in caught.value.fix


def test_a_json_list_says_how_to_make_lines_of_it(tmp_path):
    path = tmp_path / "list.json"
    path.write_text(f"[{GOOD},\n{GOOD}]\n")

    with pytest.raises(DataError, match=r"list.json:1 .*(.|\n)*jq -c '\.\[\]'"):
        read(path)


def test_a_missing_manifest(tmp_path):
    with pytest.raises(FileMissingError, match=r"there is no manifest .*nowhere.json"):
        read(tmp_path / "nowhere.json")


def test_a_folder_in_place_of_a_manifest(tmp_path):
    with pytest.raises(DataError, match="cannot be opened"):
        read(tmp_path)


@pytest.mark.parametrize("paths", ["", [], " , "])
def test_no_manifest_at_all(paths):
    with pytest.raises(DataError, match="no manifest is named"):
        read(paths)


def test_a_missing_text_file(tmp_path):
    path = tmp_path / "train.json"
    path.write_text(json.dumps({"audio_filepath": "a.wav", "text_filepath": "gone.txt"}) + "\n")

    with pytest.raises(DataError, match=r"train.json:1 names a text that cannot be read: .*gone.txt"):
        read(path)[0]
