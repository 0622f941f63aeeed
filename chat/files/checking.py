"""What happens to a file once it is whole: hash, real type, scan, text, preview; then it is stored, once.

Ends in `ready` or in `refused` with a code, whatever the file does. A person's file that is already
there is referred to, not stored again; another person's is never looked for.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from chat.extract import kinds
from chat.files import boxed, clamd, spool, storing
from chat.files.pools import CHECKS, submit
from chat.models import ContextFile, FileBytes, FileState
from chat.threads import write_transaction

log = logging.getLogger(__name__)

#: Seconds after which a check that did not end is given up: its process is gone.
DEADLINE = 120.0


class _Refused(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def begin(pk: int) -> None:
    """Have the file checked, in a thread of the files' own."""
    submit(CHECKS, check, pk)


def check(pk: int) -> None:
    """Check the file whose row says `checking`. Blocks."""
    row = ContextFile.objects.filter(pk=pk, state=FileState.CHECKING).first()
    if row is None:
        return
    try:
        changes = _checked(row)
    except _Refused as refused:
        changes = {"state": FileState.REFUSED, "code": refused.code}
    except storing.STORAGE_ERRORS as error:
        log.error("file %s could not be stored: %s", row.public_id, type(error).__name__)
        changes = {"state": FileState.REFUSED, "code": "storage_failed"}
    with write_transaction():
        ours = ContextFile.objects.filter(pk=pk, state=FileState.CHECKING)
        ours.update(changed_at=timezone.now(), **changes)
    spool.remove(row.public_id)


def give_up(**which: Any) -> None:
    """Refuse the files whose check did not end in time."""
    late = ContextFile.objects.filter(state=FileState.CHECKING, **which)
    late = late.filter(changed_at__lt=timezone.now() - timedelta(seconds=DEADLINE))
    for public_id in list(late.values_list("public_id", flat=True)):
        late.filter(public_id=public_id).update(state=FileState.REFUSED, code="storage_failed")
        spool.remove(public_id)


def _checked(row: ContextFile) -> dict[str, Any]:
    path = spool.path_of(row.public_id)
    with path.open("rb") as content:
        head = content.read(kinds.HEAD)
        content.seek(0)
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if row.sha256 and row.sha256 != digest:
        raise _Refused("file_damaged")
    try:
        kind = kinds.checked(row.name, row.claimed, head)
    except kinds.Mismatch:
        raise _Refused("file_type_wrong") from None
    _scan(path)
    stored = _refer(row, digest, kind.kind) or _store(row, path, digest, kind)
    ready = {"state": FileState.READY, "sha256": digest, "type": kind.type, "kind": kind.kind}
    return {**ready, "stored": stored}


def _scan(path: Path) -> None:
    if not settings.CLAMAV_URL:
        return
    try:
        found = clamd.finding(settings.CLAMAV_URL, path)
    except clamd.ScanFailed as failed:
        log.error("the virus scanner gave no answer: %s", failed)
        raise _Refused("file_scan_failed") from failed
    if found is not None:
        log.warning("the virus scanner found %r in a file", found)
        raise _Refused("file_infected")


def _refer(row: ContextFile, digest: str, kind: str) -> FileBytes | None:
    """The same bytes of the same person, held fast so that nobody takes them away meanwhile."""
    with write_transaction():
        same = FileBytes.objects.select_for_update().filter(
            owner_pk=row.owner_id, sha256=digest, kind=kind, doomed=False
        )
        stored = same.first()
        if stored is not None:
            ContextFile.objects.filter(pk=row.pk).update(stored=stored)
        return stored


def _store(row: ContextFile, path: Path, digest: str, kind: kinds.Kind) -> FileBytes:
    found = FileBytes(owner_pk=row.owner_id, sha256=digest, kind=kind.kind, size=row.size)
    try:
        _make(found, path, kinds.ending(row.name))
        found.name = storing.keep(path)
        with write_transaction():
            found.save()
            ContextFile.objects.filter(pk=row.pk).update(stored=found)
    except IntegrityError:
        # A twin came first.
        storing.forget(found.names)
        twin = _refer(row, digest, kind.kind)
        if twin is None:
            raise _Refused("storage_failed") from None
        return twin
    except _Refused:
        storing.forget(found.names)
        raise
    except storing.STORAGE_ERRORS:
        storing.forget(found.names)
        raise
    return found


def _make(found: FileBytes, path: Path, last: str) -> None:
    """What is made of the file: an image's pictures, a document's text. Refused: what is dangerous."""
    with tempfile.TemporaryDirectory(prefix=spool.LOOK, dir=spool.folder()) as name:
        folder = Path(name)
        if found.kind == "image":
            seen = boxed.look("image", path, last, folder)
            if seen["code"]:
                raise _Refused(seen["code"])
            found.shown_type = seen["shown_type"]
            found.thumbnail = storing.keep(folder / "thumbnail")
            found.shown = storing.keep(folder / "shown")
        elif found.kind in ("pdf", "office"):
            seen = boxed.look("text", path, last, folder)
            if seen["code"] in ("file_bomb", "file_type_wrong"):
                raise _Refused(seen["code"])
            # Without text it may still be of use to an agent that reads it by itself.
            found.text_code, found.text_cut = seen["code"], bool(seen.get("cut"))
            if not seen["code"]:
                found.text = storing.keep(folder / "text")
        elif last == ".zip":
            seen = boxed.look("archive", path, last, folder)
            if seen["code"]:
                raise _Refused(seen["code"])


def release(pks: set[int]) -> None:
    """Take away those of these bytes that no file refers to any more. Raises STORAGE_ERRORS."""
    with write_transaction():
        rows = FileBytes.objects.select_for_update().filter(pk__in=pks)
        unused = list(rows.exclude(pk__in=ContextFile.objects.filter(stored__in=pks).values("stored")))
        FileBytes.objects.filter(pk__in=[row.pk for row in unused]).update(doomed=True)
    for row in unused:
        storing.forget(row.names)
        row.delete()


def release_later(pks: set[int]) -> None:
    """The same once the transaction is committed, in a thread of the files' own."""
    if pks:
        transaction.on_commit(lambda: submit(CHECKS, _release_quietly, pks))


def _release_quietly(pks: set[int]) -> None:
    try:
        release(pks)
    except storing.STORAGE_ERRORS as error:
        log.warning("files are left for the sweeper: %s", type(error).__name__)
