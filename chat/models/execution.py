"""Executes a statement and nothing around it, for the few that every send and every ending run.

On SQLite the layers of Django's cursor cost many times what a small statement does. They are kept wherever
somebody looks through them: queries that are captured, wrappers of execution, PostgreSQL. What it must not
do: build a statement, or begin or end a transaction.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

#: A statement and its values.
Statement = tuple[str, Sequence[Any]]


def fetch(statement: str, values: Sequence[Any]) -> Sequence[Any] | None:
    """Execute `statement` (placeholders are %s); its first row, None when there is none."""
    db = connections[DEFAULT_DB_ALIAS]
    if not _bare(db):
        with db.cursor() as cursor:
            cursor.execute(statement, values)
            row: Sequence[Any] | None = cursor.fetchone()
            return row
    with db.wrap_database_errors:
        # All of them: a statement that is not read to its end would hold up the commit.
        rows = db.connection.execute(_marked(statement), values).fetchall()
    return rows[0] if rows else None


def change(statement: str, values: Sequence[Any]) -> int:
    """Execute `statement` (placeholders are %s), which gives no rows; how many it changed."""
    db = connections[DEFAULT_DB_ALIAS]
    if not _bare(db):
        with db.cursor() as cursor:
            cursor.execute(statement, values)
            return int(cursor.rowcount)
    with db.wrap_database_errors:
        return int(db.connection.execute(_marked(statement), values).rowcount)


def change_all(statements: Sequence[Statement]) -> None:
    """Execute statements that give no rows, one after the other; on PostgreSQL in one exchange."""
    db = connections[DEFAULT_DB_ALIAS]
    if db.vendor == "postgresql":
        together = [value for _statement, values in statements for value in values]
        change("; ".join(statement for statement, _values in statements), together)
        return
    for statement, values in statements:
        change(statement, values)


def change_each(statement: str, rows: Sequence[Sequence[Any]]) -> int:
    """Execute `statement` for each of `rows`; how many it changed in all."""
    db = connections[DEFAULT_DB_ALIAS]
    if not _bare(db):
        with db.cursor() as cursor:
            cursor.executemany(statement, list(rows))
            return int(cursor.rowcount)
    with db.wrap_database_errors:
        return int(db.connection.executemany(_marked(statement), rows).rowcount)


def _bare(db: Any) -> bool:
    """Whether nothing but the driver has to see the statement."""
    if db.vendor != "sqlite" or db.queries_logged or db.execute_wrappers:
        return False
    db.ensure_connection()
    db.validate_no_broken_transaction()
    return True


@lru_cache(maxsize=256)
def _marked(statement: str) -> str:
    """With the placeholders of SQLite's driver."""
    return re.sub("%[s%]", lambda found: "?" if found[0] == "%s" else "%", statement)
