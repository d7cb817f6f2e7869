"""The programs with which people train: the command line, and the article's script."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seaspeak.cli.main import app
from tests.training.toy import PACKAGES

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "asr" / "speech_to_text_ctc.py"
SMALL = ROOT / "examples" / "asr" / "conf" / "small.yaml"


@pytest.fixture(scope="module")
def manifests(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """``model.train_ds...`` and ``model.validation_ds...`` of a few short clips, as overrides, by name."""
    folder = tmp_path_factory.mktemp("clips")
    entries = [json.loads(line) for line in (shared / "data" / "an4" / "val.json").read_text().splitlines()]
    for entry in entries:
        entry["audio_filepath"] = str(shared / "data" / "an4" / entry["audio_filepath"])
    made = {}
    for name, some in {"ten": entries[:10], "four": entries[:4]}.items():
        path = folder / f"{name}.json"
        path.write_text("".join(json.dumps(entry) + "\n" for entry in some))
        made[name] = str(path)
    return made


def data(manifest: str) -> list[str]:
    sets = ("train_ds", "validation_ds")
    return [f"model.{name}.manifest_filepath={manifest}" for name in sets] + [
        f"model.{name}.num_workers=0" for name in sets
    ]


def run(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


def train(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run([str(Path(sys.executable).parent / "seaspeak"), "train", *arguments], cwd)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_small_quartznet_learns_four_clips_by_heart_and_the_command_goes_on_where_it_stopped(
    tmp_path: Path, manifests: dict[str, str]
) -> None:
    command = ["--config", str(SMALL), *data(manifests["four"]), "~model.spec_augment", "++seed=1"]
    command += ["trainer.check_val_every_n_epoch=15", "+model.optim.sched.max_steps=60", "model.train_ds.batch_size=4"]
    first = train(tmp_path, *command, "trainer.max_epochs=30")
    assert first.returncode == 0, first.stderr
    done = train(tmp_path, *command, "trainer.max_epochs=60")
    assert done.returncode == 0, done.stderr
    assert "step_30-last.ckpt" in done.stderr.splitlines()[0]
    folder = tmp_path / "seaspeak_experiments" / "small"
    logged = rows(folder / "metrics.csv")
    losses = [float(row["train_loss"]) for row in logged if row["train_loss"]]
    assert len(losses) == 60
    assert losses[-1] < 0.01 < 50 < losses[0]
    assert [float(row["val_wer"]) for row in logged if row["val_wer"]][-1] == 0.0
    assert any(float(row["training_batch_wer"]) == 1.0 for row in logged if row["training_batch_wer"])
    model = folder / "checkpoints" / "small.nemo"
    assert f"model    {model.relative_to(tmp_path)}\n" in done.stdout
    first_clip = json.loads(Path(manifests["four"]).read_text().splitlines()[0])
    heard = run(
        [sys.executable, "-m", "seaspeak", "transcribe", first_clip["audio_filepath"], "-m", str(model)], tmp_path
    )
    assert heard.stdout.strip() == first_clip["text"], heard.stderr

    again = train(tmp_path, *command, "trainer.max_epochs=60")
    assert again.returncode == 0, again.stderr
    assert "this run is complete" in again.stderr
    other = train(tmp_path, *command, "model.decoder.feat_in=256", "model.encoder.jasper.4.filters=256")
    assert other.returncode == 1
    assert "belongs to another network" in other.stderr
    assert "Traceback" not in other.stderr


@pytest.mark.parametrize("package", PACKAGES)
def test_the_articles_script_trains_with_either_lightning(
    tmp_path: Path, manifests: dict[str, str], package: str
) -> None:
    text = SCRIPT.read_text()
    assert "import pytorch_lightning as pl" in text
    script = tmp_path / "script.py"
    script.write_text(text.replace("import pytorch_lightning as pl", f"import {package} as pl"))
    command = [sys.executable, str(script), *data(manifests["ten"]), "model.repeat=1", "trainer.max_steps=3"]
    command += ["model.train_ds.batch_size=4", "trainer.log_every_n_steps=1", "model.validation_ds.batch_size=5"]
    done = run(command, tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "seaspeak_experiments" / "quartznet_15x5").iterdir()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", folder.name)
    logged = rows(folder / "metrics.csv")
    assert len([row for row in logged if row["train_loss"]]) == 3
    assert len([row for row in logged if row["val_wer"]]) == 1
    assert (folder / "checkpoints" / "quartznet_15x5.nemo").exists()
    assert len(list((folder / "checkpoints").glob("*-last.ckpt"))) == 1
    assert not (tmp_path / "outputs").exists()


def test_the_script_is_the_articles_word_for_word(shared: Path) -> None:
    pages = (shared / "design" / "architecture.md").read_text()
    program = next(block for block in re.findall(r"```python\n(.*?)```", pages, re.S) if "@hydra_runner" in block)
    assert SCRIPT.read_text().endswith(f'"""\n\n{program}')


def test_own_configurations_are_built_upon_packaged_ones(tmp_path: Path, manifests: dict[str, str]) -> None:
    done = run([sys.executable, str(SCRIPT), "--config-name=small", *data(manifests["four"]), "--cfg=job"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "name: small\n" in done.stdout
    assert "features: 64\n" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "leaves 1 value open (???)\n  got      model.train_ds.manifest_filepath"),
        (["--config", "quartz"], "no packaged configuration is called 'quartz'"),
        (["model.train_ds.manifest_filepath=nowhere.json"], "nowhere.json"),
        (["FOUR", "model.optim.namee=adam"], "did you mean 'model.optim.name'"),
        (["FOUR", "model.optim.name=adan", "trainer.max_steps=1"], "did you mean 'adam'"),
        (["FOUR", "+trainer.gpu=0"], "trainer.gpu is not an argument"),
        (["FOUR", "exp_manager.exp_dir=/proc/x"], "the run cannot be kept in /proc/x"),
        (["FOUR", "trainer.max_epochs=["], "cannot be used"),
    ],
)
def test_mistakes_are_told_before_anything_trains(
    manifests: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [each for word in arguments for each in (data(manifests["four"]) if word == "FOUR" else [word])]
    result = CliRunner().invoke(app, ["train", *([] if "--config" in given else ["--config", "quartznet_5x5"]), *given])
    assert result.exit_code == 1, result.output
    assert message in result.stderr
    assert not list(tmp_path.rglob("*.ckpt"))


def test_wrong_usage_and_help_name_what_there_is() -> None:
    wrong = CliRunner().invoke(app, ["train"])
    assert wrong.exit_code == 2
    helped = CliRunner().invoke(app, ["train", "--help"])
    assert helped.exit_code == 0
    for result in (wrong.stderr, helped.stdout):
        assert "quartznet_15x5" in result
