"""``seaspeak demo``, with the models and the recording that ship."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from seaspeak.audio.io import info
from tests.e2e.pages import SAMPLES
from tests.memory import measured

LETTER = next(
    entry
    for entry in map(json.loads, (SAMPLES / "manifest.json").read_text(encoding="utf-8").splitlines())
    if entry["audio_filepath"] == "letter.flac"
)


@pytest.mark.slow
@pytest.mark.e2e
def test_the_demo_swaps_a_voice_in_little_memory_and_ends_with_where_the_results_are(tmp_path: Path) -> None:
    result = measured("demo", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.peak < 2e9
    text = " ".join(result.stdout.split())
    assert f"said {LETTER['text']} heard have you seen the letter" in text
    assert re.search(r"spoken have you seen the letter from my sister", text, re.IGNORECASE)
    assert len(re.findall(r"\d\.\d\d - \d\.\d\d [01]\.\d\d \d\.\d\d - \d\.\d\d [A-Za-z']+", text)) == 8
    assert re.search(r"real-time factor of \d\.\d{3}, spoke [\d.]+ s at \d+\.\d{3}", text)
    assert "\x1b" not in result.stdout
    *_, recording, report = result.stdout.splitlines()
    assert recording.split() == ["recording", str(tmp_path / "demo" / "swapped.wav")]
    assert report.split() == ["report", str(tmp_path / "demo" / "report.html")]
    assert info(tmp_path / "demo" / "swapped.wav").duration > 5
    assert (tmp_path / "demo" / "report.html").read_text(encoding="utf-8").endswith("</html>\n")
