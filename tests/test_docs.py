"""The documents are held to the code: what is written there can be relied upon."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

import chat.checks
import chat.metrics
import stkweb.settings  # noqa: F401 (asks for every name)
from stkweb.env import NAMES

ROOT = Path(__file__).resolve().parent.parent
DEPLOYING = (ROOT / "docs/deploying.md").read_text()
ROWS = {
    name: default.strip()
    for name, default in re.findall(r"^\| `([A-Z][A-Z0-9_]+)` \| ([^|]+) \|", DEPLOYING, re.MULTILINE)
}


def test_every_setting_is_documented_and_nothing_else() -> None:
    assert set(ROWS) == NAMES


def test_the_defaults_of_numbers_are_those_of_the_code() -> None:
    source = (ROOT / "stkweb/settings.py").read_text()
    numbers = re.findall(r'env_(?:int|float)\("(\w+)", ([\d. *]+)', source)
    assert len(numbers) >= 20
    for name, expression in numbers:
        product = 1.0
        for factor in expression.split("*"):
            product *= float(factor)
        assert float(ROWS[name].strip("`")) == product, name


def test_every_system_check_is_documented_and_nothing_else() -> None:
    source = Path(chat.checks.__file__).read_text()
    documented = re.findall(r"^\| `(stkweb\.[EW]\d+)` \|", DEPLOYING, re.MULTILINE)
    assert sorted(documented) == sorted(set(re.findall(r'id="(stkweb\.[EW]\d+)"', source)))


def test_every_metric_is_documented() -> None:
    for family in chat.metrics._own.collect():
        if not family.name.startswith("stkweb_process"):
            assert family.name in DEPLOYING, family.name


def documents() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_every_command_of_ours_has_a_line_of_help() -> None:
    for name, app in get_commands().items():
        if app == "chat":
            assert load_command_class(app, name).help, name


def test_the_commands_of_the_readme_exist() -> None:
    readme = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?:^|`)make ([a-z-]+)", readme, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    agent = load_command_class("chat", "agent").create_parser("manage.py", "agent").format_help()
    for command in set(re.findall(r"\$manage agent ([a-z]+)", readme)):
        assert command in agent


def test_what_holds_a_promise_about_faults_exists() -> None:
    named = re.findall(r"`([a-z0-9_/]+\.py)(?:::(test_[a-z0-9_]+))?`", (ROOT / "docs/faults.md").read_text())
    assert len(named) > 150
    for file, name in named:
        source = (ROOT / "tests" / file).read_text()
        assert not name or f"def {name}(" in source, f"{file}::{name}"


def test_whoever_names_a_fault_is_in_the_table() -> None:
    table = (ROOT / "docs/faults.md").read_text()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for function in re.findall(
            r'^def (test_\w+)\(.*?^    """[^"]*\b(?:R|S)\d\d\b', path.read_text(), re.M | re.S
        ):
            assert path.relative_to(ROOT / "tests").as_posix() in table, function
