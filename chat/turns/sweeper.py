"""Takes away what is over: conversations deleted an hour ago, receipts of sends after their day.

What is taken away is gone; the ledger knows nothing of it and keeps every entry.
"""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from chat.files import sweeping
from chat.models import AuditEvent, Conversation, SendReceipt
from chat.threads import write_transaction
from chat.turns.spending import release_stale

#: Seconds between two sweeps.
INTERVAL = 600.0
#: How long a deleted conversation may be brought back.
UNDO = timedelta(hours=1)
#: A receipt answers for 24 hours; one more keeps a slow clock from cutting that short.
RECEIPT = timedelta(hours=25)
#: Rows of one transaction, so that a sweep never holds the writer for long.
BATCH = 50


def sweep() -> int:
    """Take away what is over; returns the number of conversations. Blocks."""
    now = timezone.now()
    over = Conversation.objects.filter(deleted_at__lt=now - UNDO).order_by("pk")
    swept = 0
    while keys := list(over.values_list("pk", flat=True)[:BATCH]):
        with write_transaction():
            gone = Conversation.objects.filter(pk__in=keys, deleted_at__lt=now - UNDO)
            for public_id in gone.values_list("public_id", flat=True):
                AuditEvent.objects.append(None, "conversation.purged", f"conversation:{public_id}")
            gone.delete()
        swept += len(keys)
    with write_transaction():
        SendReceipt.objects.filter(created_at__lt=now - RECEIPT).delete()
        release_stale()
    sweeping.sweep()
    return swept
