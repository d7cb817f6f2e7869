from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seaspeak.cli.main import app
from tests.data.clips import clips, manifest, tarred


def run(*arguments: str | Path):
    return CliRunner().invoke(app, ["data", "check", *map(str, arguments)])


def test_sound_data_gives_exit_code_0(tmp_path):
    done = run(clips(tmp_path, [1.0, 2.0]))

    assert done.exit_code == 0
    assert "2 utterances" in done.stdout
    assert "nothing is wrong with them" in done.stdout


def test_data_that_cannot_be_trained_on_gives_exit_code_1(tmp_path):
    done = run(manifest(tmp_path, [{"audio_filepath": "gone.wav", "duration": 1.0, "text": "hello"}]))

    assert done.exit_code == 1
    assert "error  recordings are missing (1)" in done.stdout


def test_json(tmp_path):
    done = run(clips(tmp_path, [1.0]), "--json")

    assert json.loads(done.stdout)["ok"] is True


def test_labels_rate_and_normalisation_can_be_given(tmp_path):
    path = clips(tmp_path, [1.0], ["Hi!"])

    assert "'H' 1×" in run(path).stdout
    assert "nothing is wrong" in run(path, "--labels", " Hi!").stdout
    assert "nothing is wrong" in run(path, "--normalize").stdout
    assert "below the model's 44100 Hz" in run(path, "--normalize", "--sample-rate", "44100").stdout


def test_the_configuration_says_how_many_frames_there_are(tmp_path):
    path = clips(tmp_path, [0.3], ["abcdefghijklmnopqr"])  # 18 labels
    half = tmp_path / "half.yaml"
    half.write_text(
        "model: {sample_rate: 16000, labels: [a, b], preprocessor: {window_stride: 0.01},"
        " encoder: {jasper: [{stride: [2], repeat: 2}, {stride: [1]}]}}"
    )

    assert run(path, "--config", "quartznet_5x5").exit_code == 1
    assert "0.30 s give 15 frames, 18 labels need 18" in run(path, "--config", "quartznet_5x5").stdout
    assert "0.30 s give 8 frames" in run(path, "--config", half, "--labels", "abcdefghijklmnopqr").stdout


def test_the_labels_of_an_archive_are_read(tmp_path, shared):
    done = run(
        clips(tmp_path, [1.0], ["é"]), "--config", shared / "fixtures" / "asr" / "quartznet5x5_tiny" / "model.nemo"
    )

    assert "'é' 1×" in done.stdout


def test_recordings_in_tar_files_are_found_beside_the_manifest(tmp_path):
    _, path = tarred(tmp_path, shards=2, each=1)

    assert run(path, "--tar", "audio_{0..1}.tar").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "quartznet_5x6"], "no packaged configuration is called 'quartznet_5x6'"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--tar", "nowhere_{0..3}.tar"], "there is no tar file nowhere_0.tar"),
    ],
)
def test_what_does_not_exist_is_said_in_a_sentence(tmp_path, arguments, message):
    done = run(clips(tmp_path, [0.1]), *arguments)

    assert done.exit_code == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_manifest(tmp_path):
    done = run(tmp_path / "nowhere.json")

    assert done.exit_code == 1
    assert "there is no manifest" in done.stderr
