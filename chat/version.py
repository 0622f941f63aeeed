"""The product's version, and that of its static files: a browser that holds another one reloads."""

from __future__ import annotations

import hashlib

from django.conf import settings

__version__ = "0.1.0"


def _assets() -> str:
    """12 hexadecimal digits of the static files' manifest; the version where there is none yet."""
    manifest = settings.STATIC_ROOT / "staticfiles.json"
    if not manifest.is_file():
        return __version__
    return hashlib.sha256(manifest.read_bytes()).hexdigest()[:12]


VERSION = _assets()
