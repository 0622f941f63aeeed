"""What the tests of share links share: a conversation, a link of it, and clients as browsers are.

link = share(conversation, audience="anyone")     through the verbs, as the form does
link.row, link.path
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from chat.actions import share_reading, sharing
from chat.models import Agent, AuditEvent, Conversation, Message, Share, State
from chat.sharing.snapshot import Shown
from chat.views import share_tries
from tests.serving import agent, make_agent, serving

__all__ = ["agent", "make_agent", "serving"]

PASSPHRASE = "a sunny afternoon"


@dataclass
class Link:
    """A link and its address below the host."""

    row: Share
    token: str

    @property
    def path(self) -> str:
        return f"/s/{self.token}/"


@pytest.fixture(autouse=True)
def _fresh_counters() -> None:
    """Wrong tries are counted for the process; each test begins with none."""
    share_tries.guesses.cache_clear()
    share_reading._wrong_passphrases.cache_clear()


def run(statements: Callable[[str, str], list[str]]) -> None:
    """Take the triggers of the audit log away, or put them back."""
    with connection.cursor() as cursor:
        for statement in statements(connection.vendor, AuditEvent._meta.db_table):
            cursor.execute(statement)


@pytest.fixture
def make_conversation(demo_agent: Agent) -> Callable[..., Conversation]:
    """make_conversation(owner, [(question, answer), ...], title="..."): a conversation with its turns."""

    def make(
        owner: Any, turns: list[tuple[str, str]], title: str = "Moving orders", **of_answers: Any
    ) -> Any:
        now = timezone.now()
        row = Conversation.objects.create(owner=owner, title=title, agent=demo_agent, updated_at=now)
        for question, answer in turns:
            add_turn(row, owner, demo_agent, question, answer, **of_answers)
        return row

    return make


def add_turn(
    row: Conversation, owner: Any, agent: Agent, question: str, answer: str, **of_answer: Any
) -> Message:
    """A question and its ended answer below the shown branch."""
    now = timezone.now()
    asked = Message.objects.create(
        conversation=row, role="user", author=owner, text=question, parent=row.leaf, created_at=now,
        seq=row.seq + 1,
    )  # fmt: skip
    fields = {"state": State.COMPLETED, "agent": agent, "agent_name": agent.name, **of_answer}
    row.leaf = Message.objects.create(
        conversation=row, role="assistant", text=answer, parent=asked, created_at=now, seq=row.seq + 2,
        **fields,
    )  # fmt: skip
    row.seq += 2
    row.save()
    return row.leaf


@pytest.fixture
def conversation(alice: Any, make_conversation: Callable[..., Conversation]) -> Conversation:
    """Alice's, of two turns."""
    return make_conversation(
        alice,
        [("How do we move the orders?", "Use **expand and contract**."), ("How long?", "About *two* hours.")],
    )


@pytest.fixture
def share() -> Callable[..., Link]:
    """share(conversation, shown=Shown(...), **terms): a link, made as the form makes it."""

    def make(row: Conversation, shown: Shown | None = None, **terms: Any) -> Link:
        shown = shown or Shown()
        ready = sharing.preview(row.owner, conversation=row.public_id, shown=shown)
        made, token = sharing.make(
            row.owner, conversation=row.public_id, until=ready.until, digest=ready.digest, shown=shown,
            terms=sharing.Terms(**{"audience": "anyone", **terms}),
        )  # fmt: skip
        return Link(made, token)

    return make


@pytest.fixture
def link(conversation: Conversation, share: Callable[..., Link]) -> Link:
    """A link of alice's conversation for anyone."""
    return share(conversation)


@pytest.fixture
def client_of(db: None) -> Callable[..., Client]:
    """client_of(person or None, **options of the client)."""

    def make(person: Any = None, **options: Any) -> Client:
        client = Client(**options)
        if person is not None:
            client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
        return client

    return make
