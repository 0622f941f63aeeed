"""Where the numbers of the audit lead. What it must not do: read rows."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

from django.utils import timezone
from ulid import ULID

from chat.admin.audit.query import LONGEST, OUTCOMES, Query
from chat.models import LedgerEntry
from chat.models.ids import may_be_id


def of_numbers(query: Query) -> dict[str, str]:
    """What the numbers at the head are made of: calls, days, costs, and each outcome and certainty."""
    found = {
        "calls": query.address(view="calls"),
        "days": query.address(view="day"),
        "costs": query.address(view="agent", sort="-cost"),
    }
    found |= {str(name): query.address(view="calls", outcome=name) for name in OUTCOMES}
    found |= {name: query.address(view="calls", certainty=name) for name in LedgerEntry.Certainty.values}
    return found


def of_conversation(row: LedgerEntry) -> str:
    """All calls of a call's conversation, from when it began, as its id says; empty where there is none."""
    if not may_be_id(row.conversation_id):
        return ""
    zone, now = timezone.get_default_timezone(), timezone.now()
    try:
        began = min(ULID.from_str(row.conversation_id).datetime, row.ended_at)
    except ValueError:  # the form of an id, and no moment
        began = row.ended_at
    first = max(began, now - timedelta(days=LONGEST - 1)).astimezone(zone).date()
    span = {"period": "custom", "from": first, "to": now.astimezone(zone).date()}
    return "?" + urlencode({**span, "view": "calls", "conversation": row.conversation_id})


__all__ = ["of_conversation", "of_numbers"]
