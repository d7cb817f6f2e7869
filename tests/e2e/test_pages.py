"""Every code block of the README and of the documentation runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from seaspeak.core import errors
from tests.e2e import pages

README = pages.ROOT / "README.md"
DOCS = sorted(
    page
    for page in (pages.ROOT / "docs").rglob("*.md")
    if any(fence in page.read_text(encoding="utf-8") for fence in ("```python", "```console"))
    and "decisions" not in page.parts  # they record what was measured on their day, with other programs too
)


@pytest.mark.slow
@pytest.mark.e2e
def test_every_block_of_the_readme_runs(tmp_path: Path) -> None:
    assert pages.run(README, tmp_path) >= 5


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.parametrize("page", DOCS, ids=lambda page: str(page.relative_to(pages.ROOT)))
def test_every_block_of_the_documentation_runs(page: Path, tmp_path: Path) -> None:
    assert pages.run(page, tmp_path) >= 1


def test_readme_starts_with_the_two_commands() -> None:
    [first, *_] = README.read_text(encoding="utf-8").split("```console\n")[1:]
    assert [line for line in first.split("```")[0].splitlines() if line] == ["$ make demo", "$ make test"]


def test_every_error_code_is_explained_and_nothing_else() -> None:
    page = (pages.ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    headings = [line.removeprefix("## `").removesuffix("`") for line in page.splitlines() if line.startswith("## `")]
    found = {cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, errors.SeaspeakError)}
    assert sorted(headings) == sorted({cls.code for cls in found})
    for cls in found:
        bases = " ".join(base.__name__ for base in cls.__bases__ if base is not errors.SeaspeakError)
        entry = page.split(f"## `{cls.code}`")[1].split("## `")[0]
        assert f"`{cls.__name__}` (" in entry, cls.code
        for base in bases.split():
            assert f"`{base}`" in entry.splitlines()[2], (cls.code, base)


def test_page_runner_notices_wrong_output_and_failing_commands(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for body in ("```console\n$ echo one\ntwo\n```\n", "```console\n$ false\n```\n", "```python\nassert 1 == 2\n```\n"):
        page.write_text(body, encoding="utf-8")
        folder = tmp_path / str(abs(hash(body)))
        folder.mkdir()
        with pytest.raises((AssertionError, ValueError)):
            pages.run(page, folder)
