"""Static files under names that carry their hash, compressed beforehand.

Modules are found through the page's import map, so names inside them need no rewriting.
"""

from __future__ import annotations

from typing import Any

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStatic(CompressedManifestStaticFilesStorage):
    """WhiteNoise's storage; a name that is missing is shown as it is instead of failing a page."""

    manifest_strict = False

    def hashed_name(self, name: str, content: Any = None, filename: str | None = None) -> str:
        try:
            return str(super().hashed_name(name, content, filename))
        except ValueError:
            return name
