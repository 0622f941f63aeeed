"""Takes away what nobody needs: unsent files, uploads nobody finished, bytes nobody refers to."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from chat.files import checking, spool, storing
from chat.models import ContextFile, FileBytes, FileState
from chat.threads import write_transaction

log = logging.getLogger(__name__)

#: Bytes that were stored a moment ago may be about to be referred to.
FRESH = timedelta(minutes=5)


def sweep() -> None:
    """Do it. Blocks."""
    now = timezone.now()
    checking.give_up()
    over = now - timedelta(seconds=settings.LIMIT_FILE_UNSENT)
    with write_transaction():
        ContextFile.objects.filter(conversation=None, changed_at__lt=over).delete()
    known = ContextFile.objects.filter(state__in=(FileState.UPLOADING, FileState.CHECKING))
    for public_id in spool.old(60.0):
        if not known.named(public_id).exists():
            spool.remove(public_id)
    spool.remove_looks(3600.0)
    unused = FileBytes.objects.filter(files=None, created_at__lt=now - FRESH)
    try:
        checking.release(set(unused.values_list("pk", flat=True)))
    except storing.STORAGE_ERRORS as error:
        log.warning("files could not be taken away: %s", type(error).__name__)
