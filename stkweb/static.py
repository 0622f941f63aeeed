"""Static files under names that carry their hash, compressed beforehand.

Modules are found through the page's import map, so names inside them need no rewriting.
"""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStatic(CompressedManifestStaticFilesStorage):
    """WhiteNoise's storage; a name that is missing is shown as it is instead of failing a page."""

    manifest_strict = False
