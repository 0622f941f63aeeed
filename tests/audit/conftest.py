"""What the tests of the audit share: ledger rows of known sums, and clients as browsers are.

book(person, user=…, enrichment=…, output=…, agent=…, at=…, **fields)    one row of the ledger
known                                                                    a month with known sums
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import transaction
from django.test import Client
from django.utils import timezone

from chat.models import Agent, LedgerEntry, new_id
from tests.security.conftest import client_of

__all__ = ["client_of"]


@pytest.fixture
def book(db: None) -> Callable[..., LedgerEntry]:
    """Enter a call into the ledger as the product does."""

    def enter(
        person: Any, *, user: int | None = 10, enrichment: int | None = None, output: int | None = 5,
        agent: Agent | None = None, at: datetime | None = None, **fields: Any,
    ) -> LedgerEntry:  # fmt: skip
        at = at or timezone.now()
        unknown = user is None and enrichment is None and output is None
        values: dict[str, Any] = {
            "public_id": new_id(), "user_id": getattr(person, "pk", None), "username": str(person),
            "agent_id": agent.pk if agent else 7, "agent_name": agent.name if agent else "Architect",
            "provider": "StackSpot", "conversation_id": new_id(), "message_id": new_id(),
            "user_tokens": user, "enrichment_tokens": enrichment, "output_tokens": output,
            "certainty": "unknown" if unknown else "reported", "outcome": "completed",
            "started_at": at - timedelta(seconds=2), "ended_at": at, "first_delta_ms": 300,
            "duration_ms": 2000,
        }  # fmt: skip
        entry = LedgerEntry(**{**values, **fields})
        with transaction.atomic():
            LedgerEntry.objects.append([entry])
        return entry

    return enter


@pytest.fixture
def auditor(staff: Any) -> Any:
    """Staff who may see the ledger, and nothing else."""
    staff.user_permissions.add(Permission.objects.get(codename="view_ledgerentry"))
    return staff


@pytest.fixture
def page(auditor: Any, client_of: Callable[..., Client]) -> Client:
    """The auditor's browser."""
    return client_of(auditor)


@pytest.fixture
def known(alice: Any, bob: Any, book: Callable[..., LedgerEntry]) -> dict[str, int]:
    """Calls of today and of two days before; the sums that any view of the last 30 days must show."""
    now = timezone.now()
    book(alice, user=100, enrichment=400, output=50)
    book(alice, user=200, enrichment=None, output=70, at=now - timedelta(days=1))
    book(bob, user=1000, enrichment=0, output=30, at=now - timedelta(days=2))
    book(bob, user=None, output=None, outcome="failed", error_code="busy", at=now - timedelta(days=2))
    book(bob, user=40, output=9, outcome="stopped", certainty="estimated")
    return {"user": 1340, "enrichment": 400, "output": 159, "tokens": 1899, "calls": 5}


def cells(answer: Any) -> list[dict[str, str]]:
    """The rows of a CSV answer by column."""
    import csv
    import io

    text = body(answer).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def body(answer: Any) -> bytes:
    """A streamed answer, whole."""
    return b"".join(answer.streaming_content)
