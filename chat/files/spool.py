"""Where slices are put together: one file on disk for each upload, written in place, held by a lock.

A slice that turns out to be damaged is written over by the next one: only what a row's offset covers
counts. Nothing here knows rows.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO

from django.conf import settings

#: Bytes that are held in memory at a time.
PIECE = 64 * 1024
#: How the folders begin in which a file is looked into.
LOOK = "look-"


def folder() -> Path:
    """The folder of uploads that are not whole yet; several machines must share it."""
    return Path(settings.DATA_DIR) / "incoming"


def path_of(public_id: str) -> Path:
    """Where the upload's bytes are put together."""
    return folder() / f"{public_id}.part"


@contextmanager
def locked(public_id: str) -> Iterator[BinaryIO]:
    """The upload's file, made when it is not there; nobody else writes to it meanwhile. Raises OSError."""
    folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path_of(public_id), os.O_RDWR | os.O_CREAT, 0o600)
    with open(descriptor, "r+b", buffering=0) as part:
        fcntl.flock(part, fcntl.LOCK_EX)
        yield part


def write(part: BinaryIO, offset: int, body: IO[bytes], length: int) -> tuple[int, bytes]:
    """Write at most `length` bytes of `body` at `offset`: (bytes written, their SHA-256). Raises OSError."""
    digest, written = hashlib.sha256(), 0
    part.seek(offset)
    while written < length and (piece := body.read(min(PIECE, length - written))):
        digest.update(piece)
        view = memoryview(piece)
        while view:
            view = view[part.write(view) :]
        written += len(piece)
    return written, digest.digest()


def remove(public_id: str) -> None:
    """Take the upload's bytes away; nothing happens when there are none."""
    path_of(public_id).unlink(missing_ok=True)


def remove_looks(seconds: float) -> None:
    """Take away what processes left that died while they looked into a file, so long ago."""
    limit = time.time() - seconds
    for path in folder().glob(f"{LOOK}*"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < limit:
                shutil.rmtree(path, ignore_errors=True)


def old(seconds: float) -> Iterator[str]:
    """Ids of uploads that nobody wrote to for so long."""
    if not folder().is_dir():
        return
    limit = time.time() - seconds
    for path in folder().glob("*.part"):
        try:
            if path.stat().st_mtime < limit:
                yield path.stem
        except FileNotFoundError:
            continue
