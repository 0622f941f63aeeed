"""The audit log's page: searched by actor, action, target and period, streamed, its integrity shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.utils import timezone

from chat.admin import audit_log
from chat.models import AuditEvent
from chat.models.append_only import protect, release
from tests.audit.conftest import body

pytestmark = pytest.mark.django_db
LIST = "/admin/chat/auditevent/"
TABLE = AuditEvent._meta.db_table


def around_the_triggers(change: Callable[[], Any]) -> None:
    with connection.cursor() as cursor:
        for statement in release(connection.vendor, TABLE):
            cursor.execute(statement)
        change()
        for statement in protect(connection.vendor, TABLE):
            cursor.execute(statement)


@pytest.fixture
def events(alice: Any, bob: Any) -> list[AuditEvent]:
    add = AuditEvent.objects.append
    return [
        add(alice, "price.created", "price:1", {"after": {"user": 5}}),
        add(
            bob, "agent.changed", "agent:Architect", {"before": {"name": "A"}, "after": {"name": "<b>B</b>"}}
        ),
        add(None, "settings.changed", "settings", {"after": {"STKWEB_THREADS": "8"}}),
    ]


@pytest.fixture
def reader(staff: Any, client_of: Callable[..., Client], events: list[AuditEvent]) -> Client:
    staff.user_permissions.add(Permission.objects.get(codename="view_auditevent"))
    return client_of(staff)


def listed(answer: Any) -> list[str]:
    return [event.action for event in answer.context["cl"].result_list]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("actor=alice", ["price.created"]),
        ("action=agent.changed", ["agent.changed"]),
        ("q=Architect", ["agent.changed"]),
        ("q=STKWEB_THREADS", ["settings.changed"]),
        ("actor=nobody", []),
        ("actor=%00", []),
        ("period=1&action=price.created", ["price.created"]),
    ],
)
def test_it_is_searched(query: str, found: list[str], reader: Client) -> None:
    assert listed(reader.get(f"{LIST}?{query}")) == found


def test_words_with_accents_are_found_in_the_details(reader: Client) -> None:
    AuditEvent.objects.append(None, "budget.asked", "budget:1", {"reason": "A migração acaba na sexta"})
    AuditEvent.objects.append(None, "budget.asked", "budget:2", {"reason": "Outra coisa"})
    for word in ("migração", "acaba na sexta", "migra"):
        answer = reader.get(LIST, {"q": word})
        assert [event.target for event in answer.context["cl"].result_list] == ["budget:1"], word


def test_it_is_searched_by_period(reader: Client, events: list[AuditEvent]) -> None:
    old = timezone.now() - timedelta(days=40)
    around_the_triggers(lambda: AuditEvent.objects.filter(pk=events[0].pk).update(created_at=old))
    assert "price.created" not in listed(reader.get(f"{LIST}?period=30"))
    assert "price.created" in listed(reader.get(f"{LIST}?period=90"))


def test_it_is_streamed_as_json_lines_under_the_same_filter(
    reader: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_log, "CHUNK", 2)
    lines = [json.loads(line) for line in body(reader.get(f"{LIST}lines/")).decode().splitlines()]
    assert [line["number"] for line in lines] == sorted(line["number"] for line in lines)
    for above, line in zip([None, *lines], lines, strict=False):
        assert line["previous"] == (above["digest"] if above else "")
    assert [line["actor"] for line in lines][:2] == ["alice", "bob"]
    chosen = body(reader.get(f"{LIST}lines/?action=agent.changed")).decode().splitlines()
    assert [json.loads(line)["target"] for line in chosen] == ["agent:Architect"]
    assert AuditEvent.objects.filter(action="log.exported").count() == 2
    assert reader.get(f"{LIST}lines/?no_such=1").status_code == 400


def test_without_the_permission_there_is_no_log(
    make_person: Callable[..., Any], client_of: Callable[..., Client], events: Any
) -> None:
    client = client_of(make_person("dora", is_staff=True))
    assert client.get(LIST).status_code == 403
    assert client.get(f"{LIST}lines/").status_code == 403


def test_before_and_after_are_shown_as_text(reader: Client, events: list[AuditEvent]) -> None:
    page = reader.get(f"{LIST}{events[1].pk}/change/").content.decode()
    assert "<del>A</del>" in page
    assert "<ins>&lt;b&gt;B&lt;/b&gt;</ins>" in page
    assert 'alt="True"' in page


def test_a_broken_chain_is_named(
    administrator: Any, client_of: Callable[..., Client], reader: Client, events: list[AuditEvent]
) -> None:
    admin = client_of(administrator)
    admin.post("/admin/audit/verify/")
    assert "unbroken" in reader.get(LIST).content.decode()
    around_the_triggers(lambda: AuditEvent.objects.filter(pk=events[1].pk).update(actor="mallory"))
    admin.post("/admin/audit/verify/")
    assert f"first at row {events[1].pk}" in reader.get(LIST).content.decode()
    assert 'alt="False"' in reader.get(f"{LIST}{events[1].pk}/change/").content.decode()
