"""How a test with real transactions leaves the database: as the migrations did.

Django's own way takes every table, full or not, announces a migration, and makes all content types and
permissions anew, which takes longer than most of these tests. Here only tables that hold something are
emptied; content types and permissions stay. Where a test changed those, or asked for something of its own,
Django's way is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.db import connection, transaction
from django.test import TransactionTestCase

from chat.models import append_only

#: What the migrations leave, with the columns that tell whether it is still that.
KEPT = {
    "django_content_type": "id, app_label, model",
    "auth_permission": "id, content_type_id, codename, name",
    "django_migrations": "app, name",
}


def install() -> None:
    """From now on, for every test of this process; the test database is just migrated."""
    left = _kept()
    flush = TransactionTestCase._fixture_teardown

    def tear_down(case: TransactionTestCase) -> None:
        plain = case.available_apps is None and not case.serialized_rollback
        if not (plain and empty(left)):
            _flush_past_triggers(lambda: flush(case))
            left[:] = _kept()

    TransactionTestCase._fixture_teardown = tear_down


def empty(left: list[Any]) -> bool:
    """Empty every table but those of KEPT; False, and nothing done, where these are not as `left` says."""
    with transaction.atomic(), connection.cursor() as cursor:
        tables = sorted(set(connection.introspection.table_names(cursor)) - set(KEPT))
        tables = [table for table in tables if not table.startswith("sqlite_")]
        if connection.vendor == "postgresql":  # whoever still writes is waited for, as TRUNCATE would
            cursor.execute(f"LOCK TABLE {', '.join(map(_quoted, tables))} IN EXCLUSIVE MODE")
        if _kept() != left:
            return False
        cursor.execute(
            " UNION ALL ".join(
                f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {_quoted(table)})" for table in tables
            )
        )
        filled = [table for (table,) in cursor.fetchall()]
        protected = [table for table in filled if table in append_only.TABLES]
        _run(cursor, append_only.release, protected)
        for table in filled:
            cursor.execute(f"DELETE FROM {_quoted(table)}")
        if connection.vendor == "postgresql" and protected:  # no trigger is made while checks are pending
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        _run(cursor, append_only.protect, protected)
    return True


def _run(cursor: Any, statements: Callable[[str, str], list[str]], tables: Iterable[str]) -> None:
    for table in tables:
        for sql in statements(connection.vendor, table):
            cursor.execute(sql)


def _quoted(table: str) -> str:
    return connection.ops.quote_name(table)


def _kept() -> list[Any]:
    with connection.cursor() as cursor:
        found = []
        for table, columns in KEPT.items():
            cursor.execute(f"SELECT {columns} FROM {_quoted(table)} ORDER BY {columns}")
            found.append(cursor.fetchall())
    return found


def _flush_past_triggers(flush: Callable[[], None]) -> None:
    """On SQLite it is DELETE on every table, which those that are append-only refuse."""
    if connection.vendor != "sqlite":
        flush()
        return
    with connection.cursor() as cursor:
        _run(cursor, append_only.release, append_only.TABLES)
        flush()
        _run(cursor, append_only.protect, append_only.TABLES)
