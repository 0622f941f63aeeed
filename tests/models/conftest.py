"""Ledger entries as a call leaves them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from chat.models import LedgerEntry, new_id

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


def make_entry(**fields: Any) -> LedgerEntry:
    """An entry that is not written yet."""
    values: dict[str, Any] = {
        "public_id": new_id(), "user_id": 1, "username": "alice", "agent_id": 1, "agent_name": "Architect",
        "provider": "stackspot", "conversation_id": "c", "message_id": "m", "certainty": "reported",
        "outcome": "completed", "started_at": NOON, "ended_at": NOON, "duration_ms": 1200,
        "first_delta_ms": 300,
        "user_tokens": 11, "output_tokens": 7, "raw_usage": '{"total": 1e18}',
    }  # fmt: skip
    return LedgerEntry(**{**values, **fields})


@pytest.fixture
def write(db: None) -> Callable[..., LedgerEntry]:
    """write(**fields): an entry at the end of the chain."""

    def write(**fields: Any) -> LedgerEntry:
        entry = make_entry(**fields)
        LedgerEntry.objects.append([entry])
        return entry

    return write
