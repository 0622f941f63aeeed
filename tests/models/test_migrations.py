"""Ledger entries from before the chain are taken into it, and into the sums, by the migrations."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.db.migrations.executor import MigrationExecutor

from chat import audit
from chat.actions.rollup_check import compare
from chat.models import LedgerEntry, RollupKey, RollupState
from chat.models.rollups import today
from tests.models.conftest import make_entry

pytestmark = pytest.mark.django_db(transaction=True)
START = datetime(2026, 1, 30, 23, 30, tzinfo=UTC)


def migrated(name: str | None) -> Any:
    """Go to a migration of ours by its name, or to the last ones; the models as of then."""
    executor = MigrationExecutor(connection)
    leaves = [target for target in executor.loader.graph.leaf_nodes() if target[0] == "chat"]
    targets = [("chat", name)] if name else leaves
    executor.migrate(targets)
    return MigrationExecutor(connection).loader.project_state(targets).apps


@pytest.fixture
def before_the_chain() -> Iterator[Any]:
    """The models of 0004, on tables of 0004."""
    try:
        yield migrated("0004_ledger_grown")
    finally:
        migrated(None)


def test_roll_ups_in_five_faces_are_made_again_in_all(db: None) -> None:
    LedgerEntry.objects.append(
        [make_entry(ended_at=START + timedelta(hours=9 * n), user_id=n % 3 or None) for n in range(30)]
    )
    try:
        old = migrated("0012_rollup_faces")
        assert not old.get_model("chat", "Rollup").objects.exists()
        key = old.get_model("chat", "RollupKey").objects.create(
            id=5, face="s", username="x", team="", agent_name="y", provider="", model="", purpose="",
            outcome="", certainty="", currency="",
        )  # fmt: skip
        assert key.pk == 5 and old.get_model("chat", "RollupState").objects.get().ready
    finally:
        migrated(None)
    assert list(compare()) == []
    assert RollupState.objects.get().closed == today("UTC")
    assert not RollupKey.objects.filter(pk=5).exists()
    wide = audit.Filter(START, START + timedelta(days=30))
    assert audit.report(wide).by("person") == audit.exact(wide).by("person")


def test_old_entries_join_the_chain_in_their_order(before_the_chain: Any) -> None:
    old = before_the_chain.get_model("chat", "LedgerEntry")
    for number in range(1, 8):
        old.objects.create(
            id=number, public_id=f"{number:026d}", user_id=number % 3 or None, username=f"Zoë {number} ção",
            agent_id=1, agent_name="Architect", provider="stackspot", conversation_id="c",
            message_id=f"m{number}", user_tokens=number * 10 if number != 4 else None, output_tokens=number,
            raw_usage='{"total": 1e18}', certainty="reported" if number != 4 else "unknown",
            outcome="completed" if number != 4 else "failed", started_at=START,
            ended_at=START + timedelta(hours=9 * number, microseconds=number), first_delta_ms=300,
            duration_ms=1200,
        )  # fmt: skip
    migrated(None)

    rows = list(LedgerEntry.objects.order_by("pk"))
    assert [row.previous for row in rows] == ["", *(row.digest for row in rows[:-1])]
    said = StringIO()
    call_command("verify_ledger", stdout=said)
    assert "7 entries, the last is 7" in said.getvalue()
    assert list(compare()) == []
    total = audit.report(audit.Filter(START, START + timedelta(days=30))).total
    assert (total.calls, total.user_tokens, total.output_tokens) == (7, 240, 28)
    assert total == audit.exact(audit.Filter(START, START + timedelta(days=30))).total

    with transaction.atomic():
        LedgerEntry.objects.append([make_entry()])
    assert LedgerEntry.objects.first_broken() is None
    assert LedgerEntry.objects.get(pk=8).previous == rows[-1].digest
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        LedgerEntry.objects.filter(pk=3).update(user_tokens=0)
