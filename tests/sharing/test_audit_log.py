"""S38: the audit log grows and never changes; each row is chained to the one before."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from chat.models import AuditEvent
from chat.models.append_only import protect, release
from tests.sharing.conftest import run

pytestmark = pytest.mark.django_db
TABLE = AuditEvent._meta.db_table


@pytest.fixture
def three(alice: Any) -> list[AuditEvent]:
    events = AuditEvent.objects
    return [events.append(alice, "test.done", f"thing:{n}", {"n": n}) for n in range(3)]


def test_each_row_carries_the_digest_of_the_one_before(three: list[AuditEvent]) -> None:
    assert three[0].previous == ""
    assert three[1].previous == three[0].digest
    assert three[2].previous == three[1].digest
    assert AuditEvent.objects.all().first_broken() is None
    again = AuditEvent.objects.get(pk=three[1].pk)
    assert again.computed() == three[1].digest, "the same after the way through the database"


@pytest.mark.parametrize(
    "statement",
    [
        f"UPDATE {TABLE} SET actor = 'bob'",
        f"DELETE FROM {TABLE}",
        f"UPDATE {TABLE} SET data = '{{}}' WHERE 1 = 1",
    ],
)
def test_the_database_refuses_to_change_or_delete_a_row(statement: str, three: list[AuditEvent]) -> None:
    with (
        pytest.raises(DatabaseError, match="never changed"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert AuditEvent.objects.count() == 3


def test_it_refuses_the_orm_too(three: list[AuditEvent]) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        AuditEvent.objects.update(actor="bob")
    with pytest.raises(DatabaseError), transaction.atomic():
        three[0].delete()
    three[0].actor = "bob"
    with pytest.raises(DatabaseError), transaction.atomic():
        three[0].save()


@pytest.mark.parametrize("how", ["changed", "taken away"])
def test_whoever_gets_around_the_triggers_is_found(how: str, three: list[AuditEvent]) -> None:
    run(release)
    if how == "changed":
        AuditEvent.objects.filter(pk=three[1].pk).update(actor="bob")
    else:
        AuditEvent.objects.filter(pk=three[1].pk).delete()
    run(protect)
    broken = AuditEvent.objects.all().first_broken()
    assert broken is not None
    assert broken.pk == (three[1].pk if how == "changed" else three[2].pk)


@pytest.mark.parametrize(
    "changed",
    [
        {"public_id": "0" * 26}, {"created_at": datetime(2026, 1, 1, tzinfo=UTC)}, {"actor_id": 77},
        {"actor": "bob"}, {"action": "test.other"}, {"target": "thing:7"}, {"data": {"n": 7}},
        {"address": "192.0.2.0/24"}, {"request_id": "another"}, {"previous": ""},
    ],
    ids=lambda changed: next(iter(changed)),
)  # fmt: skip
def test_every_field_is_in_the_digest(changed: dict[str, Any], three: list[AuditEvent]) -> None:
    run(release)
    AuditEvent.objects.filter(pk=three[1].pk).update(**changed)
    run(protect)
    row = AuditEvent.objects.get(pk=three[1].pk)
    assert row.computed() != row.digest
    assert AuditEvent.objects.all().first_broken() == row


def test_it_outlives_the_person(three: list[AuditEvent], alice: Any) -> None:
    alice.delete()
    assert AuditEvent.objects.count() == 3
    assert AuditEvent.objects.all().first_broken() is None
