"""docs/sdk-cases.md: no test of the SDK's is missing, and every test that it names as ours exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "sdk-cases.md").read_text()
_NAME = re.compile(r"`(test\w+)`")


def sections() -> dict[str, list[list[str]]]:
    """The cells of each row, by the section's heading."""
    found: dict[str, list[list[str]]] = {}
    for section in re.split(r"(?m)^## ", DOCUMENT)[1:]:
        heading, *lines = section.splitlines()
        rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
        found[heading] = rows[2:]  # without the head and the line below it
    return found


OUR_TESTS = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"def (test_\w+)", path.read_text())
}


@pytest.mark.parametrize("heading", [heading for heading in sections() if heading.endswith(")")])
def test_none_of_the_sdks_tests_is_missing(heading: str) -> None:
    names: list[str] = []
    for first, *_ in sections()[heading]:
        # One name stands for several tests where the SDK used it in several classes.
        again = re.search(r"\(of ([^)]*)\)", first)
        names += _NAME.findall(first) + _NAME.findall(first) * (again[1].count(",") if again else 0)
    (count,) = re.findall(r"\((\d+)\)", heading)
    assert len(names) == int(count)


@pytest.mark.parametrize("heading", sections())
def test_every_case_has_a_test_of_ours_or_a_reason(heading: str) -> None:
    for row in sections()[heading]:
        assert len(row) == 3, row
        first, _, ours = row
        named = _NAME.findall(ours)
        if "by the same name" in ours:
            named += _NAME.findall(first)
        assert named or len(ours) > 10, row
        assert set(named) <= OUR_TESTS, row
