"""The ledger grows and never changes; each row is chained to the one before, whoever tries what."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import DatabaseError, connection, transaction

from chat.models import LedgerEntry, Price
from chat.models.append_only import TABLES, protect, release
from tests.models.conftest import make_entry

pytestmark = pytest.mark.django_db
Write = Callable[..., LedgerEntry]


def run(statements: Callable[[str, str], list[str]]) -> None:
    """Take the triggers away, or put them back."""
    with connection.cursor() as cursor:
        for statement in statements(connection.vendor, "chat_ledgerentry"):
            cursor.execute(statement)


@pytest.fixture
def three(write: Write) -> list[LedgerEntry]:
    return [write(user_tokens=n, username=f"person {n} ção") for n in range(3)]


def test_each_row_carries_the_digest_of_the_one_before(three: list[LedgerEntry]) -> None:
    assert [row.pk for row in three] == [1, 2, 3]
    assert [row.previous for row in three] == ["", three[0].digest, three[1].digest]
    again = LedgerEntry.objects.get(pk=2)
    assert again.computed() == three[1].digest, "the same after the way through the database"
    assert LedgerEntry.objects.first_broken() is None


def test_many_rows_of_one_transaction_are_chained_in_their_order(three: list[LedgerEntry]) -> None:
    more = [make_entry(user_tokens=n) for n in range(4)]
    LedgerEntry.objects.append(more)
    assert [row.pk for row in more] == [4, 5, 6, 7]
    assert LedgerEntry.objects.first_broken() is None


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("statement", ["UPDATE {} SET id = id", "DELETE FROM {}"])
def test_the_database_refuses_to_change_or_delete_a_row(
    statement: str, table: str, three: list[LedgerEntry]
) -> None:
    from chat.models import AuditEvent

    AuditEvent.objects.append(None, "test.done", "thing:1")
    Price.objects.create(
        currency="USD", user=1, output=1, valid_from="2026-01-01", created_at="2026-01-01T00Z"
    )
    with (
        pytest.raises(DatabaseError, match="never changed"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement.format(table))


def test_it_refuses_the_orm_too(three: list[LedgerEntry]) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        LedgerEntry.objects.update(username="bob")
    with pytest.raises(DatabaseError), transaction.atomic():
        three[0].delete()


@pytest.mark.parametrize(
    ("sql", "first"),
    [
        ("UPDATE chat_ledgerentry SET user_tokens = 99 WHERE id = 2", 2),
        ("UPDATE chat_ledgerentry SET amount = 0 WHERE id = 3", 3),
        ("DELETE FROM chat_ledgerentry WHERE id = 2", 3),
        ("UPDATE chat_ledgerentry SET raw_usage = '{}' WHERE id = 1", 1),
    ],
)
def test_whoever_gets_around_the_triggers_is_found(sql: str, first: int, three: list[LedgerEntry]) -> None:
    run(release)
    with connection.cursor() as cursor:
        cursor.execute(sql)
    run(protect)
    assert LedgerEntry.objects.first_broken() == first
