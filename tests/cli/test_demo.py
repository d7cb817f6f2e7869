"""``seaspeak demo``, with the model and the recordings that ship."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from typer.testing import Result

from tests.e2e.pages import SAMPLES


@pytest.mark.slow
@pytest.mark.e2e
def test_the_demo_shows_texts_word_times_and_speed(seaspeak: Callable[..., Result]) -> None:
    result = seaspeak("demo")
    assert result.exit_code == 0, result.output
    text = " ".join(result.stdout.split())
    for line in (SAMPLES / "manifest.json").read_text(encoding="utf-8").splitlines():
        assert json.loads(line)["text"] in text
    assert len(re.findall(r"\d\.\d\d - \d\.\d\d [01]\.\d\d [a-z']+", text)) >= 8
    assert re.search(r"real-time factor \d\.\d{3}", text)
    [wrong] = re.findall(r"([\d.]+)% of the words are wrong", text)
    assert float(wrong) < 10
    assert "Where to go next" in text and "\x1b" not in result.stdout
