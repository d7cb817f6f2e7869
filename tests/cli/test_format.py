"""Plain text for people."""

from __future__ import annotations

import pytest

from seaspeak.cli.format import clock, columns, size


def test_columns_are_aligned_and_lines_have_no_blanks_at_the_end() -> None:
    assert columns([("a", "b", "c"), ("long", "", "")], indent=" ") == " a     b  c\n long"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (59.94, "59.9 s"), (59.96, "1 min 00 s"), (3599.6, "1 h 00 min"), (7384, "2 h 03 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@pytest.mark.parametrize(("num_bytes", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (3.7e13, "37000.0 GB")])
def test_sizes(num_bytes: float, text: str) -> None:
    assert size(num_bytes) == text
