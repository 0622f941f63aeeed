"""Statements that are built once: what they write and find is what the ORM would."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from chat.models import Agent, Conversation
from chat.models.statements import find, insert, update


def make(user: Any) -> Conversation:
    row = Conversation(owner=user, title="São Paulo 📎", updated_at=timezone.now())
    insert(row)
    return row


def test_an_inserted_row_has_its_key_and_is_what_the_orm_reads(alice: Any) -> None:
    row = make(alice)
    read = Conversation.objects.get(pk=row.pk)
    names = [field.attname for field in Conversation._meta.concrete_fields]
    assert [getattr(row, name) for name in names] == [getattr(read, name) for name in names]
    row.title = "again"
    row.save()
    assert Conversation.objects.get().title == "again", "it is saved over, not made twice"


def test_a_found_row_is_what_the_orm_reads(demo_agent: Agent) -> None:
    Agent.objects.update(options={"pace": 0, "deep": [None, "é"]}, enabled=False)
    found = find(Agent, {"public_id": demo_agent.public_id})
    read = Agent.objects.get()
    assert found is not None
    names = [field.attname for field in Agent._meta.concrete_fields]
    assert [getattr(found, name) for name in names] == [getattr(read, name) for name in names]
    assert found == read
    assert find(Agent, {"public_id": demo_agent.public_id}, also="enabled") is None
    assert find(Agent, {"id": demo_agent.pk + 1}) is None


def test_only_the_rows_that_fit_are_changed_and_counted(alice: Any) -> None:
    first, second = make(alice), make(alice)
    moment = timezone.now()
    values = {"title": "changed", "updated_at": moment, "agent": None}
    assert update(Conversation, {"id": first.pk, "owner": alice.pk}, values) == 1
    assert update(Conversation, {"id": second.pk}, values, also="unread") == 0
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.title, first.updated_at, second.title) == ("changed", moment, "São Paulo 📎")


def test_an_agent_that_is_switched_off_is_not_visible_by_either_way(alice: Any, demo_agent: Agent) -> None:
    ways = lambda: [  # noqa: E731
        Agent.objects.visible_to(alice).named(demo_agent.public_id).first(),
        Agent.objects.one_visible_to(alice, public_id=demo_agent.public_id),
        Agent.objects.one_visible_to(alice, pk=demo_agent.pk),
    ]
    assert ways() == [demo_agent] * 3
    alice.is_active = False
    assert ways() == [None] * 3
    alice.is_active = True
    Agent.objects.update(enabled=False)
    assert ways() == [None] * 3
