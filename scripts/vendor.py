"""Copy the browser libraries named in vendor.toml into the repository: fetch, verify, copy, record.

Uses the ordinary npm client (`npm pack`), so whatever registry that client is set up with. Must not be needed
to run or test the product: what it writes is committed.

    python scripts/vendor.py            fetch, verify and write everything
    python scripts/vendor.py --check    fetch and compare with what is committed; exit 1 on a difference
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = Path("chat/static/chat/vendor/VENDOR.json")
NOTICES = Path("THIRD_PARTY_NOTICES.md")


class VendorError(Exception):
    """A package is not what vendor.toml says it is."""


def fetch(name: str, version: str, integrity: str, into: Path) -> Path:
    """Return the tarball of exactly `name@version`; VendorError unless its sha512 is `integrity`."""
    command = ["npm", "pack", "--silent", "--ignore-scripts", f"{name}@{version}"]
    done = subprocess.run(command, cwd=into, check=True, capture_output=True, text=True)
    tarball = into / done.stdout.strip().splitlines()[-1]
    digest = base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != integrity:
        raise VendorError(f"{name}@{version}: sha512-{digest} is not the integrity in vendor.toml")
    return tarball


def read_members(tarball: Path, members: list[str]) -> dict[str, bytes]:
    """Return the bytes of the named members (paths inside the package folder)."""
    found: dict[str, bytes] = {}
    with tarfile.open(tarball) as archive:
        for member in members:
            handle = archive.extractfile(f"package/{member}")
            if handle is None:
                raise VendorError(f"{tarball.name}: {member} is not a file")
            found[member] = handle.read()
    return found


def collect(package: dict[str, Any]) -> tuple[dict[Path, bytes], dict[str, Any]]:
    """Return (repository path -> bytes, the package's entry in VENDOR.json)."""
    with tempfile.TemporaryDirectory() as folder:
        tarball = fetch(package["name"], package["version"], package["integrity"], Path(folder))
        members = read_members(tarball, [*package["files"], *package["licences"]])
    targets = {**package["files"], **{name: name for name in package["licences"]}}
    outputs = {Path(package["folder"]) / target: members[source] for source, target in targets.items()}
    entry = {
        "name": package["name"],
        "version": package["version"],
        "licence": package["licence"],
        "integrity": package["integrity"],
        "files": {
            path.as_posix(): hashlib.sha256(data).hexdigest() for path, data in sorted(outputs.items())
        },
    }
    return outputs, entry


def notices(packages: list[dict[str, Any]], outputs: dict[Path, bytes]) -> bytes:
    """Return THIRD_PARTY_NOTICES.md: what is shipped in this repository, and every licence text in full."""
    parts = [
        "# Third-party notices\n",
        "Browser libraries kept in this repository, unchanged. Written by `scripts/vendor.py`.\n",
    ]
    for package in packages:
        parts.append(f"## {package['name']} {package['version']}\n")
        parts.append(f"Licence: {package['licence']}. Files: `{package['folder']}/`.\n")
        for licence in package["licences"]:
            text = outputs[Path(package["folder"]) / licence].decode("utf-8").strip()
            parts.append(f"### {licence}\n\n~~~~text\n{text}\n~~~~\n")
    return "\n".join(parts).encode()


def build() -> dict[Path, bytes]:
    """Return every file this script owns: repository path -> bytes."""
    packages = tomllib.loads((ROOT / "scripts/vendor.toml").read_text())["package"]
    outputs: dict[Path, bytes] = {}
    entries = []
    for package in packages:
        files, entry = collect(package)
        outputs.update(files)
        entries.append(entry)
    text = notices(packages, outputs)
    outputs[MANIFEST] = (json.dumps({"packages": entries}, indent=2) + "\n").encode()
    outputs[NOTICES] = text
    return outputs


def main() -> int:
    """Write the files, or with --check compare them; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only")
    check = parser.parse_args().check
    different = 0
    for path, data in build().items():
        target = ROOT / path
        if target.is_file() and target.read_bytes() == data:
            continue
        different += 1
        print(path)
        if not check:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
    print(f"{different} file(s) {'differ' if check else 'written'}")
    return 1 if check and different else 0


if __name__ == "__main__":
    sys.exit(main())
