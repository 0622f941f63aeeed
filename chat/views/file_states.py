"""Rows of files as the JSON of docs/files.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from chat import faults
from chat.actions.files import SLICE
from chat.models import Attachment, ContextFile, FileState, Handing

#: The longest that handing a file over again may take.
RENEWAL = timedelta(minutes=10)


def state_of(row: ContextFile) -> dict[str, Any]:
    """One file."""
    return states_of([row])[0]


def states_of(rows: Sequence[ContextFile]) -> list[dict[str, Any]]:
    """Files, in their order; three queries however many they are."""
    keys = [row.pk for row in rows]
    carried: dict[int, list[str]] = {}
    for file, message in Attachment.objects.filter(file__in=keys).values_list(
        "file_id", "message__public_id"
    ):
        carried.setdefault(file, []).append(message)
    handed: dict[int, list[Handing]] = {}
    for handing in Handing.objects.filter(file__in=keys).select_related("agent").order_by("pk"):
        handed.setdefault(handing.file_id, []).append(handing)
    return [_state(row, carried.get(row.pk, []), handed.get(row.pk, [])) for row in rows]


def _state(row: ContextFile, messages: list[str], handed: Iterable[Handing]) -> dict[str, Any]:
    thread = row.conversation.public_id if row.conversation else None
    text = faults.text_of(row.code) if row.code else None
    ready = row.state == FileState.READY and row.stored is not None
    seen = bool(ready and row.stored and row.stored.thumbnail)
    ends = row.changed_at + timedelta(seconds=settings.LIMIT_FILE_UNSENT)
    return {
        "id": row.public_id,
        "name": row.name,
        "size": row.size,
        "type": row.type,
        "kind": row.kind,
        "state": row.state,
        "offset": row.offset,
        "slice": SLICE,
        "code": row.code or None,
        "message": text["sentence"] if text else None,
        "next": text["next"] if text else None,
        "conversation": thread,
        "messages": messages,
        "created_at": row.created_at.isoformat(),
        "expires_at": None if thread else ends.isoformat(),
        "has_thumbnail": seen,
        "preview_url": f"/files/{row.public_id}/thumbnail/" if seen else None,
        "download_url": f"/files/{row.public_id}/download/" if ready else None,
        "handed": [_handed(handing) for handing in handed],
    }


def _handed(handing: Handing) -> dict[str, Any]:
    now = timezone.now()
    over = handing.expires_at is not None and handing.expires_at <= now
    # A process that died while it renewed says nothing any more.
    left = handing.state == Handing.State.RENEWING and handing.at < now - RENEWAL
    expired = left or (over and handing.state == Handing.State.HANDED)
    return {
        "agent": {"id": handing.agent.public_id, "name": handing.agent.name},
        "state": "expired" if expired else handing.state,
        "at": handing.at.isoformat(),
        "expires_at": handing.expires_at.isoformat() if handing.expires_at else None,
        "code": handing.code or None,
    }
