"""What a user installs: the wheel, and the images that the Dockerfile describes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.e2e.pages import ROOT, SAMPLES

pytestmark = [pytest.mark.slow, pytest.mark.e2e]


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def tracked(folder: str) -> list[str]:
    """Return the files below ``folder`` that belong to the project, relative to the root."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        return run("git", "ls-files", folder, cwd=ROOT).split()
    return [str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*") if path.suffix not in {"", ".pyc"}]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    [path] = folder.glob("*.whl")
    return path


def test_the_wheel_holds_the_package_with_its_data_and_nothing_else(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert {name.removeprefix("src/") for name in tracked("src/seaspeak")} <= held
    assert {name.split("/")[0] for name in held} == {"seaspeak"}
    for data in ("core/registry.tsv", "core/catalogue.json", "assets/samples/manifest.json", "py.typed"):
        assert f"seaspeak/{data}" in held


def test_the_wheel_is_smaller_than_100_mb(wheel: Path) -> None:
    assert wheel.stat().st_size < 100e6


def test_the_installed_wheel_runs_and_transcribes_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    python = clean_environment(tmp_path)
    run(python, "-m", "pip", "install", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    (site / "packages.pth").write_text(sysconfig.get_path("purelib"))  # torch and the like, but no editable Seaspeak

    seaspeak = python.with_name("seaspeak")
    assert run(seaspeak, "--version", cwd=tmp_path) == "seaspeak 0.1.0\n"
    where = run(python, "-c", "import seaspeak; print(seaspeak.__file__)", cwd=tmp_path)
    assert where.startswith(str(tmp_path))
    text = run(seaspeak, "transcribe", SAMPLES / "boats.flac", cwd=tmp_path, SEASPEAK_OFFLINE="1")
    assert "storm" in text


def test_the_pip_lines_of_the_dockerfile_install_a_seaspeak_that_transcribes(tmp_path: Path) -> None:
    lines = pip_lines((ROOT / "Dockerfile").read_text(encoding="utf-8"), "cpu")
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "constraints.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__"))
    python = clean_environment(tmp_path)
    for line in lines:
        path = os.pathsep.join([str(python.parent), os.environ["PATH"]])
        run("bash", "-c", line, cwd=source, PATH=path)
    text = run(python.with_name("seaspeak"), "transcribe", SAMPLES / "boats.flac", cwd=tmp_path, SEASPEAK_OFFLINE="1")
    assert "storm" in text


def pip_lines(dockerfile: str, target: str) -> list[str]:
    """Return the ``pip install`` commands of one target (uv's line only chooses the build of torch: CPU or CUDA)."""
    stage = dockerfile.split(f" AS {target}\n")[1].split("\nFROM ")[0]
    return [
        line
        for line in re.findall(r"^RUN (.+)$", stage, re.MULTILINE)
        if line.startswith("pip install") and "uv" not in line
    ]


def test_both_targets_install_the_same_seaspeak() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert pip_lines(dockerfile, "cpu") == pip_lines(dockerfile, "gpu") != []


def clean_environment(folder: Path) -> Path:
    """Make a virtual environment with nothing in it, and return its interpreter."""
    venv.create(folder / "venv", with_pip=True)
    return folder / "venv" / "bin" / "python"
