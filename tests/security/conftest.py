"""What the security tests share: alice's conversation, and clients as browsers are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from chat.models import Agent, Conversation, LedgerEntry, Message, State


@dataclass
class Owned:
    """Ids of a conversation with one question and one answer that was cut off; beside it stands another
    one that waits for the outputs of two tools."""

    conversation: str
    question: str
    answer: str


@pytest.fixture
def of_alice(alice: Any, demo_agent: Agent) -> Owned:
    now = timezone.now()
    row = Conversation.objects.create(owner=alice, title="Of Alice", agent=demo_agent, updated_at=now, seq=3)
    question = Message.objects.create(
        conversation=row, role="user", text="secret question", author=alice, created_at=now, seq=1
    )
    answer = Message.objects.create(
        conversation=row, role="assistant", parent=question, text="secret answer", state=State.INTERRUPTED,
        error_code="interrupted_restart", agent=demo_agent, agent_name="Demo", created_at=now, seq=3,
    )  # fmt: skip
    calls = [
        {"call_id": name, "name": "secret_tool", "arguments": {}, "status": "pending"}
        for name in ("planted_a", "planted_b")
    ]
    Message.objects.create(
        conversation=row, role="assistant", parent=question, state=State.COMPLETED, agent=demo_agent,
        agent_name="Demo", created_at=now, seq=2, tool_calls=calls,
    )  # fmt: skip
    row.leaf = answer
    row.save()
    return Owned(row.public_id, question.public_id, answer.public_id)


@pytest.fixture
def client_of(db: None) -> Callable[..., Client]:
    """client_of(person or None, **options of the client)."""

    def make(person: Any = None, **options: Any) -> Client:
        client = Client(**options)
        if person is not None:
            client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
        return client

    return make


@pytest.fixture
def everything(db: None) -> Callable[[], list[Any]]:
    """Every row that a person or an administrator can change, to see that nothing did."""
    tables = [model._meta.db_table for model in (Conversation, Message, Agent, LedgerEntry)]
    tables += ["chat_draft", "auth_user", "auth_group", "django_session"]

    def read() -> list[Any]:
        found = []
        with connection.cursor() as cursor:
            for table in tables:
                cursor.execute(f"SELECT * FROM {table} ORDER BY 1")
                found.append((table, cursor.fetchall()))
        return found

    return read
