"""The vendored browser libraries are the packages they say they are, with their licences."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path

import pytest

from chat.importmap import HIGHLIGHT_LANGUAGES, IMPORTS

ROOT = Path(__file__).resolve().parent.parent
STATIC = ROOT / "chat/static"
PACKAGES = json.loads((STATIC / "chat/vendor/VENDOR.json").read_text())["packages"]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package["name"])
def test_vendored_files_have_the_recorded_hashes(package: dict) -> None:
    assert package["files"]
    for path, digest in package["files"].items():
        assert hashlib.sha256((ROOT / path).read_bytes()).hexdigest() == digest, path


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package["name"])
def test_every_package_comes_with_its_licence_and_is_named_in_the_notices(package: dict) -> None:
    licences = [path for path in package["files"] if Path(path).name.startswith("LICENSE")]
    notices = (ROOT / "THIRD_PARTY_NOTICES.md").read_text()
    assert licences
    assert f"## {package['name']} {package['version']}\n" in notices
    for path in licences:
        assert (ROOT / path).read_text().strip() in notices


def test_no_vendored_file_is_unrecorded() -> None:
    recorded = {path for package in PACKAGES for path in package["files"]}
    folders = [STATIC / "chat/vendor", ROOT / "tests/vendor"]
    present = {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert present - {"chat/static/chat/vendor/VENDOR.json"} == recorded


def test_the_record_says_what_vendor_toml_asks_for() -> None:
    wanted = tomllib.loads((ROOT / "scripts/vendor.toml").read_text())["package"]
    keys = ("name", "version", "licence", "integrity")
    assert [[package[key] for key in keys] for package in wanted] == [
        [package[key] for key in keys] for package in PACKAGES
    ]


def test_every_import_map_entry_points_to_a_file() -> None:
    missing = [name for name, path in IMPORTS.items() if not (STATIC / path).is_file()]
    assert missing == []


def test_every_vendored_language_can_be_imported() -> None:
    folder = STATIC / "chat/vendor/highlightjs/languages"
    assert {path.name.removesuffix(".min.js") for path in folder.iterdir()} == set(HIGHLIGHT_LANGUAGES)
