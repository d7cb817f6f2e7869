from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from seaspeak.pipelines.report import render
from seaspeak.pipelines.voice_swap import VoiceSwap
from tests import voices
from tests.pipelines.conftest import SAMPLES, Models

PROBE = """
<pre id="probe"></pre>
<script>
const seen = [];
window.addEventListener("error", event => seen.push(event.message || "a resource did not load"), true);
window.addEventListener("load", async () => {
  const players = [...document.querySelectorAll("audio")];
  await Promise.all(players.map(player => player.readyState >= 1 || player.error ? 0 : new Promise(done => {
    player.addEventListener("loadedmetadata", done); player.addEventListener("error", done);
  })));
  const span = document.querySelector("#spoken span:last-child");
  span.click();
  document.getElementById("probe").textContent = JSON.stringify({
    errors: seen,
    durations: players.map(player => player.duration),
    failures: players.map(player => player.error && player.error.message).filter(Boolean),
    pictures: [...document.images].map(picture => picture.naturalWidth * picture.naturalHeight),
    jumped: Math.abs(document.getElementById("swapped").currentTime - span.dataset.start) < 0.05,
    overflow: document.documentElement.scrollWidth > window.innerWidth,
  });
});
</script>
"""


@pytest.fixture(scope="module")
def swapper(models: Models) -> VoiceSwap:
    return VoiceSwap(models.recognition.model, models.punctuation.model, voices.generator(), voices.vocoder())


class Outline(HTMLParser):
    """Checks that every element is closed in its turn."""

    VOID = frozenset({"meta", "link", "img", "polygon"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_shows_texts_times_and_factors(swapper: VoiceSwap) -> None:
    result = swapper(SAMPLES / "boats.flac")
    page = render(result, swapper)
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    for word in result.transcript.words:
        assert f'title="{word.start:.2f} to {word.end:.2f} s, confidence {word.confidence:.2f}"' in page
    for factor in result.real_time_factors.values():
        assert f"<b>{factor:.2f}</b>" in page
    assert "$" not in re.sub(r"base64,[^\"]*", "", page)


def test_names_and_texts_cannot_break_the_page(swapper: VoiceSwap, tmp_path: Path) -> None:
    path = tmp_path / "<script>alert(1)</script>&.flac".replace("/", "")
    shutil.copy(SAMPLES / "boats.flac", path)
    page = render(swapper(path), swapper)
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_the_page_and_loads_both_players(width: int, swapper: VoiceSwap, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs Chromium: apt install chromium")
    recording = tmp_path / f"a_name_that_{'never_' * 20}ends.flac"
    shutil.copy(SAMPLES / "boats.flac", recording)
    result = swapper(recording)
    page = tmp_path / "report.html"
    page.write_text(render(result, swapper).replace("<body>", f"<body>{PROBE}"), encoding="utf-8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command += [
        f"--window-size={width},1600",
        "--enable-logging=stderr",
        "--virtual-time-budget=10000",
        "--dump-dom",
    ]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    [probe] = re.findall(r'<pre id="probe">(.+?)</pre>', done.stdout)
    seen = json.loads(probe)
    seconds = [result.heard.recording_seconds, len(result.samples) / result.sample_rate]
    assert seen["durations"] == pytest.approx(seconds, abs=0.05)
    assert seen["errors"] == [] and seen["failures"] == [] and all(seen["pictures"]) and len(seen["pictures"]) == 2
    assert seen["jumped"] and not seen["overflow"]
    assert [line for line in done.stderr.splitlines() if ":CONSOLE" in line] == []
