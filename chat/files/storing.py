"""Files in Django's storage: on disk below the data folder, or in an S3-compatible bucket.

Names are random and say nothing about the file. Everything is read and written in pieces.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.files import File
from django.core.files.storage import default_storage

#: What a storage fails with: a full disk, a bucket that does not answer.
try:
    from botocore.exceptions import BotoCoreError, ClientError

    STORAGE_ERRORS: tuple[type[Exception], ...] = (OSError, BotoCoreError, ClientError)
except ImportError:  # the extra `s3` is not installed
    STORAGE_ERRORS = (OSError,)


class _Movable(File):  # type: ignore[type-arg]
    """A file that the storage on disk moves into its place instead of copying it."""

    def temporary_file_path(self) -> str:
        return str(self.name)


def keep(path: Path) -> str:
    """Store the file at `path`, which may be moved away; returns its new name. Raises STORAGE_ERRORS."""
    token = secrets.token_hex(20)
    with path.open("rb") as content:
        return default_storage.save(f"{token[:2]}/{token[2:]}", _Movable(content, str(path)))


def open_stored(name: str) -> File[bytes]:
    """The stored file, to be read in pieces. Raises STORAGE_ERRORS."""
    return default_storage.open(name, "rb")


def head_of(name: str, size: int) -> bytes:
    """Its first `size` bytes. Raises STORAGE_ERRORS."""
    with open_stored(name) as content:
        head: bytes = content.read(size)
        return head


def forget(names: Iterable[str]) -> None:
    """Delete them; what is not there is no error. Raises STORAGE_ERRORS."""
    for name in names:
        default_storage.delete(name)


@contextmanager
def on_disk(name: str) -> Iterator[Path]:
    """A path under which the stored file can be read meanwhile. Raises STORAGE_ERRORS."""
    try:
        yield Path(default_storage.path(name))
        return
    except NotImplementedError:
        pass
    descriptor, copy = tempfile.mkstemp(prefix="stkweb-")
    try:
        with os.fdopen(descriptor, "wb") as target, open_stored(name) as source:
            shutil.copyfileobj(source, target)
        yield Path(copy)
    finally:
        Path(copy).unlink(missing_ok=True)
