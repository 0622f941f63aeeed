"""A page costs the same number of queries however long its conversation is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from chat import audit
from chat.consumers.watching import read
from chat.models import Agent, Budget, BudgetPeriod, Conversation, LedgerEntry, Message, State, new_id
from chat.turns import items

pytestmark = pytest.mark.django_db


def make_conversation(user: Any, agent: Agent, count: int) -> Conversation:
    """`count` messages, every answer with usage, reasoning, a source and a sibling."""
    row = Conversation.objects.create(
        owner=user, agent=agent, title=f"{count} messages", seq=count, updated_at=timezone.now()
    )
    leaf = None
    for n in range(count):
        role = "assistant" if n % 2 else "user"
        fields: dict[str, Any] = {"author": user} if role == "user" else {
            "agent": agent, "agent_name": agent.name, "reasoning": "hm", "ended_at": timezone.now(),
            "sources": [{"id": "1", "title": "one", "url": None}], "duration_ms": 5,
            "state": State.FAILED if n % 4 == 1 else State.COMPLETED,
            "error_code": "busy" if n % 4 == 1 else "",
        }  # fmt: skip
        common = {"conversation": row, "parent": leaf, "role": role, "created_at": timezone.now()}
        if role == "assistant":
            Message.objects.create(**common, text="sibling", seq=n + 1, agent_name=agent.name)
        leaf = Message.objects.create(**common, **fields, text=f"**text** {n}", seq=n + 1)
        if role == "assistant":
            entry = LedgerEntry(
                public_id=new_id(), username="alice", conversation_id=row.public_id,
                message_id=leaf.public_id, user_tokens=1, duration_ms=5,
                started_at=timezone.now(), ended_at=timezone.now(),
            )  # fmt: skip
            LedgerEntry.objects.append([entry])
    Conversation.objects.filter(pk=row.pk).update(leaf=leaf)
    row.refresh_from_db()
    return row


def queries(function: Callable[[], Any]) -> list[str]:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        function()
    return [query["sql"] for query in captured.captured_queries]


@pytest.fixture
def conversations(alice: Any, demo_agent: Agent) -> list[Conversation]:
    return [make_conversation(alice, demo_agent, count) for count in (2, 50, 120)]


@pytest.fixture
def client(alice: Any) -> Client:
    client = Client()
    client.force_login(alice, settings.AUTHENTICATION_BACKENDS[-1])
    return client


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_a_page_of_fifty_messages_costs_what_one_of_two_costs(
    client: Client, conversations: list[Conversation], accept: str
) -> None:
    def get(row: Conversation) -> Any:
        answer = client.get(f"/c/{row.public_id}/", headers={"Accept": accept})
        assert answer.status_code == 200

    get(conversations[0])
    costs = [len(queries(lambda row=row: get(row))) for row in conversations]
    assert len(set(costs)) == 1, costs
    assert costs[0] <= 16


def test_older_messages_cost_the_same_wherever_they_are(
    client: Client, conversations: list[Conversation]
) -> None:
    long = conversations[2]
    ids = list(long.messages.filter(pk__lte=long.leaf_id or 0).values_list("public_id", flat=True))
    path = f"/c/{long.public_id}/items/"

    def older(before: str) -> Any:
        answer = client.get(path, {"before": before})
        assert answer.status_code == 200
        return answer.json()

    path_ids = [
        item["id"]
        for item in client.get(f"/c/{long.public_id}/", headers={"Accept": "application/json"}).json()[
            "items"
        ]
    ]
    first = path_ids[0]
    page = older(first)
    assert page["earlier"] is True and page["html"]
    second = older(page["items"][0]["id"])
    assert second["earlier"] is False
    assert older("\x00")["items"] == [] == older(ids[0])["items"]
    assert len(queries(lambda: older(first))) == len(queries(lambda: older(page["items"][0]["id"])))


def test_a_snapshot_costs_the_same_however_long_the_conversation_is(
    conversations: list[Conversation],
) -> None:
    costs = [len(queries(lambda row=row: read(row, None))) for row in conversations]
    assert len(set(costs)) == 1, costs
    assert costs[0] <= 4


def test_the_list_costs_the_same_however_long_it_is(client: Client, alice: Any, demo_agent: Agent) -> None:
    def more(count: int) -> None:
        for n in range(count):
            Conversation.objects.create(
                owner=alice, title=str(n), agent=demo_agent, updated_at=timezone.now()
            )  # fmt: skip

    more(2)
    few = len(queries(lambda: client.get("/")))
    more(60)
    assert len(queries(lambda: client.get("/"))) == few


def test_a_page_costs_the_same_however_many_budgets_there_are(
    client: Client, alice: Any, demo_agent: Agent
) -> None:
    def more(count: int) -> None:
        for scope in ("everyone", "person", "agent") * count:
            budget = Budget.objects.create(
                scope=scope, measure="tokens", limit=100, period="month",
                person=alice if scope == "person" else None, agent=demo_agent if scope == "agent" else None,
            )  # fmt: skip
            start, _end = audit.budget_span("month", timezone.now())
            BudgetPeriod.objects.create(budget=budget, start=start, used=85, warned=80)
        assert "80" in client.get("/").content.decode(), "told once"

    more(1)
    few = len(queries(lambda: client.get("/")))
    more(4)
    assert len(queries(lambda: client.get("/"))) == few
    # Whom no call was held against yet is added up, all of them in one statement.
    for _ in range(2):
        Budget.objects.create(scope="person", person=alice, measure="tokens", limit=100, period="day")
    fresh = len(queries(lambda: client.get("/")))
    for _ in range(5):
        Budget.objects.create(scope="person", person=alice, measure="tokens", limit=100, period="day")
    assert len(queries(lambda: client.get("/"))) == fresh


def test_what_a_page_and_a_socket_show_is_the_same(client: Client, conversations: list[Conversation]) -> None:
    row = conversations[1]
    page = client.get(f"/c/{row.public_id}/", headers={"Accept": "application/json"}).json()
    assert page["items"] == read(row, None).items
    assert page["conversation"]["seq"] == read(row, None).seq
    assert items.usage_json((1, None, None)) == {"user": 1, "enrichment": None, "output": None, "total": 1}
