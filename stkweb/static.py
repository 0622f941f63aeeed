"""Static files under names that carry their hash, our modules without their comments, compressed beforehand.

Modules are found through the page's import map, so names inside them need no rewriting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from django.core.files.base import ContentFile, File
from whitenoise.storage import CompressedManifestStaticFilesStorage

#: Comments that fill whole lines. Browsers read none of them, and they were a fifth of our modules'
#: compressed bytes.
_COMMENTS = re.compile(rb"^[ \t]*(?:/\*\*(?:(?!\*/).)*\*/[ \t]*|//[^\n]*)\n", re.DOTALL | re.MULTILINE)


def bare(module: bytes) -> bytes:
    """A module's source without the comments that fill whole lines."""
    return _COMMENTS.sub(b"", module)


class _Bare:
    """Opens the modules of a finder's storage without their comments."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage

    def open(self, path: str) -> File[bytes]:
        with self._storage.open(path) as source:
            return ContentFile(bare(source.read()), name=path)


class HashedStatic(CompressedManifestStaticFilesStorage):
    """WhiteNoise's storage; a name that is missing is shown as it is instead of failing a page."""

    manifest_strict = False

    def post_process(self, paths: dict[str, Any], dry_run: bool = False, **options: Any) -> Iterator[Any]:
        """As WhiteNoise does it, but our own modules lose their comments; vendored files keep theirs."""
        ours = re.compile(r"chat/[^/]+\.js")
        found = {
            name: (_Bare(storage), path) if ours.fullmatch(name) else (storage, path)
            for name, (storage, path) in paths.items()
        }
        yield from super().post_process(found, dry_run, **options)

    def hashed_name(self, name: str, content: Any = None, filename: str | None = None) -> str:
        try:
            return str(super().hashed_name(name, content, filename))
        except ValueError:
            return name
