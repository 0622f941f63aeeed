"""Holding the ledger against itself: its chain and the audit log's.

It takes as long as there are rows; a command calls it, and a page that says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Max

from chat.actions.recording import record
from chat.models import AuditEvent, LedgerEntry
from chat.threads import write_transaction

#: The audit log's word for a chain that was found whole; later looks begin by it.
VERIFIED = "ledger.verified"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a look at the chains found. `broken` is the number of the first ledger entry that was touched,
    `cut` the number of an entry that was there at an earlier look and is not, or is another, now;
    `event` the key of the first event of the audit log that was touched. All None: nothing was."""

    entries: int
    last: int
    broken: int | None = None
    cut: int | None = None
    event: int | None = None

    @property
    def whole(self) -> bool:
        """Nothing was touched."""
        return self.broken is None and self.cut is None and self.event is None


def verify() -> Verdict:
    """Read both chains from the first row to the last. A whole one is noted in the audit log with its last
    digest, so that rows cut off its end are missed at the next look."""
    entries, last = LedgerEntry.objects.aggregate(n=Count("pk"), last=Max("pk")).values()
    event = AuditEvent.objects.all().first_broken()
    found = Verdict(
        entries, last or 0, LedgerEntry.objects.filter(pk__lte=last or 0).first_broken(), _cut(),
        event.pk if event else None,
    )  # fmt: skip
    if found.whole and last:
        digest = LedgerEntry.objects.values_list("digest", flat=True).get(pk=last)
        with write_transaction():
            record(VERIFIED, f"ledger:{last}", {"entries": entries, "last": last, "digest": digest})
    return found


def _cut() -> int | None:
    for event in AuditEvent.objects.filter(action=VERIFIED).order_by("pk").iterator():
        noted: dict[str, Any] = event.data
        if not LedgerEntry.objects.filter(pk=noted["last"], digest=noted["digest"]).exists():
            return int(noted["last"])
    return None


__all__ = ["VERIFIED", "Verdict", "verify"]
