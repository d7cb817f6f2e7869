"""``seaspeak models``, ``info`` and ``doctor``."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from seaspeak.cli import doctor

Seaspeak = Callable[..., Result]


def rows(text: str) -> dict[str, str]:
    return {line.split("  ")[0]: line.split("  ", 1)[1].strip() for line in text.splitlines() if "  " in line.strip()}


def test_models_lists_what_ships_and_what_nvidia_published(seaspeak: Seaspeak) -> None:
    found = rows(seaspeak("models").stdout)
    assert found["seaspeak_en_recogniser"].startswith("ships, ")
    assert found["stt_en_quartznet15x5"].startswith("download")
    assert found["stt_en_conformer_transducer_large"].startswith("not yet")
    assert len(found) > 200


def test_models_takes_a_word(seaspeak: Seaspeak) -> None:
    result = seaspeak("models", "QuartzNet")
    names = [line.split()[0] for line in result.stdout.splitlines()[1:]]
    assert "stt_en_quartznet15x5" in names and all("quartznet" in name.lower() for name in names)


def test_models_shows_what_is_cached(
    seaspeak: Seaspeak, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEASPEAK_CACHE_DIR", str(tmp_path))
    (tmp_path / "stt_en_quartznet15x5.nemo").write_bytes(archive.read_bytes())
    found = rows(seaspeak("models", "--here").stdout)
    assert found["stt_en_quartznet15x5"].startswith("cached, 317.4 kB  ")
    shipped = {file.stem for file in (Path(doctor.__file__).parents[1] / "assets" / "models").glob("*.nemo")}
    assert "seaspeak_en_recogniser" in shipped
    assert set(found) == {"name", "stt_en_quartznet15x5"} | shipped


def test_info_of_an_archive(seaspeak: Seaspeak, archive: Path) -> None:
    result = seaspeak("info", archive)
    found = rows(result.stdout)
    assert result.exit_code == 0, result.output
    assert found["target"] == "nemo.collections.asr.models.ctc_models.EncDecCTCModel"
    assert found["written by"] == "NeMo 3.0.0" and found["recipe"] == "current" and found["loads"] == "yes"
    assert re.fullmatch(r"[\d,]{5,}", found["parameters"])
    assert found["vocabulary"].startswith("28 characters: space a b c")


def test_info_of_an_archive_of_a_class_that_is_not_known(seaspeak: Seaspeak, shared: Path) -> None:
    result = seaspeak("info", shared / "fixtures" / "asr" / "canary_tiny" / "model.nemo")
    assert result.exit_code == 0
    assert rows(result.stdout)["loads"].startswith("no: ")


def test_info_of_a_name_that_ships_shows_its_card(seaspeak: Seaspeak) -> None:
    result = seaspeak("info", "seaspeak_en_recogniser")
    found = rows(result.stdout)
    assert found["class"] == "WhisperModel" and found["loads"] == "yes" and "MIT" in result.stdout
    assert "# " in result.stdout


def test_info_of_a_name_that_is_not_here_says_where_it_is(seaspeak: Seaspeak) -> None:
    found = rows(seaspeak("info", "stt_en_quartznet15x5").stdout)
    assert found["file"].startswith("not on this machine; https://")


def test_info_of_an_unknown_name_proposes_the_nearest(seaspeak: Seaspeak) -> None:
    result = seaspeak("info", "stt_en_quarznet15x5")
    assert result.exit_code == 1 and "did you mean 'stt_en_quartznet15x5'" in result.stderr


def test_doctor_knows_every_extra_and_says_what_is_missing(seaspeak: Seaspeak, monkeypatch: pytest.MonkeyPatch) -> None:
    text = seaspeak("doctor").stdout
    extras = set(importlib.metadata.metadata("seaspeak").get_all("Provides-Extra"))
    assert set(doctor.EXTRAS) == extras - {"all", "dev", "docs"}
    assert all(f"\n  {extra}" in text for extra in doctor.EXTRAS)
    monkeypatch.setattr(doctor, "_version", lambda package: None if package == "hydra-core" else "1.0")
    text = seaspeak("doctor").stdout
    assert 'missing hydra-core: pip install "seaspeak[train]"' in text and text.count("missing") == 1


def test_doctor_tells_threads_devices_cache_and_network(seaspeak: Seaspeak, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEASPEAK_OFFLINE", "1")
    text = seaspeak("doctor").stdout
    for name in ("Threads", "Devices", "Model cache", "Network", "torch"):
        assert name in text
    assert "off (SEASPEAK_OFFLINE)" in text
