"""The commands that hold the ledger against itself, and make one of a believable year."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from chat import audit
from chat.models import AuditEvent, LedgerEntry, Rollup, RollupKey
from chat.models.append_only import protect, release
from tests.models.conftest import make_entry

pytestmark = pytest.mark.django_db
LEDGER = "chat_ledgerentry"
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def week() -> list[LedgerEntry]:
    """Forty entries of a week, in the order of their ends."""
    entries = [
        make_entry(ended_at=NEW_YEAR + timedelta(hours=4 * n), user_id=n % 3, first_delta_ms=n * 400 or None)
        for n in range(40)
    ]
    LedgerEntry.objects.append(entries)
    return entries


def run(name: str, *arguments: str) -> str:
    out = StringIO()
    call_command(name, *arguments, stdout=out, stderr=out)
    return out.getvalue()


def behind_the_triggers(table: str, sql: str) -> None:
    with connection.cursor() as cursor:
        for statement in [*release(connection.vendor, table), sql, *protect(connection.vendor, table)]:
            cursor.execute(statement)


def rollups() -> dict[Any, Any]:
    return {row[:3]: row[3:] for row in Rollup.objects.values_list()}


def test_a_whole_ledger_is_called_whole_and_the_look_is_noted(week: list[LedgerEntry]) -> None:
    assert "40 entries, the last is 40" in run("verify_ledger")
    noted = AuditEvent.objects.get()
    assert (noted.action, noted.data["digest"]) == ("ledger.verified", week[-1].digest)


@pytest.mark.parametrize(
    ("table", "sql", "said"),
    [
        (LEDGER, f"UPDATE {LEDGER} SET username = 'x' WHERE id = 7", "Entry 7 of the ledger"),
        (LEDGER, f"DELETE FROM {LEDGER} WHERE id = 7", "Entry 8 of the ledger"),
        (LEDGER, f"DELETE FROM {LEDGER} WHERE id > 38", "Entry 40 of the ledger was there"),
        ("chat_auditevent", "UPDATE chat_auditevent SET actor = 'x'", "of the audit log"),
    ],
)  # fmt: skip
def test_it_names_the_first_row_that_was_touched(
    week: list[LedgerEntry], table: str, sql: str, said: str
) -> None:
    run("verify_ledger")
    behind_the_triggers(table, sql)
    with pytest.raises(CommandError, match=said):
        run("verify_ledger")


def test_rollups_made_again_are_those_that_were_kept(week: list[LedgerEntry]) -> None:
    kept = rollups()
    assert "are what" in run("rollups", "--compare")
    Rollup.objects.all().delete()
    RollupKey.objects.all().delete()
    run("rollups", "--rebuild")
    assert rollups() == kept
    assert audit.report(audit.Filter(NEW_YEAR, NEW_YEAR + timedelta(days=9))).total.calls == 40


def test_a_call_belongs_to_the_hour_it_ended_in_to_the_microsecond(db: None) -> None:
    ended = NEW_YEAR - timedelta(microseconds=1)
    LedgerEntry.objects.append([make_entry(ended_at=ended), make_entry(ended_at=ended + timedelta(hours=2))])
    kept = rollups()
    run("rollups", "--rebuild")
    assert rollups() == kept


@pytest.mark.parametrize("how", ["changed", "missing", "of nothing"])
def test_a_rollup_that_differs_is_told_and_mended(week: list[LedgerEntry], how: str) -> None:
    if how == "changed":
        Rollup.objects.filter(grain="sd").update(output_tokens=1)
    elif how == "missing":
        Rollup.objects.filter(grain="fh").delete()
    else:
        made = Rollup.objects.filter(grain="gd").values().first()
        assert made is not None
        Rollup.objects.create(**{**made, "start": made["start"] - 86400 * 3})
    with pytest.raises(CommandError, match="differ"):
        run("rollups", "--compare")
    run("rollups", "--rebuild")
    run("rollups", "--compare")


def test_a_made_up_year_is_chained_added_up_and_believable(db: None) -> None:
    assert "3000 ledger entries" in run("seed", "3000")
    assert "3000 entries, the last is 3000" in run("verify_ledger")
    run("rollups", "--compare")
    now = LedgerEntry.objects.latest("pk").ended_at
    found = audit.report(audit.Filter(now - timedelta(days=366), now + timedelta(days=1)))
    assert found.total.calls == 3000
    assert len(found.by("team")) == 6 and 40 <= len(found.by("person")) <= 60
    assert 0.9 < found.total.certainties["reported"] / 3000 < 0.99
    assert found.total.amounts["USD"] > 0
    with pytest.raises(CommandError, match="empty installation"):
        run("seed", "10")
