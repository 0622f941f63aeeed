"""Triggers that refuse to change or take away rows of a table, as SQL for SQLite and PostgreSQL.

Used by migrations, and by tests that empty tables. Whoever owns the table can drop a trigger; the
chain of digests shows what was done then.
"""

from __future__ import annotations

#: Every table that is so protected.
TABLES = ("chat_auditevent", "chat_ledgerentry", "chat_price")

REFUSAL = "rows of this table are never changed"


def protect(vendor: str, table: str) -> list[str]:
    """Statements that have the database refuse UPDATE and DELETE on `table`."""
    if vendor == "sqlite":
        return [
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table}"
            f" BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
            for verb in ("UPDATE", "DELETE")
        ]
    return [
        f"CREATE OR REPLACE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$",
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}"
        f" FOR EACH ROW EXECUTE FUNCTION {table}_refuse()",
    ]


def release(vendor: str, table: str) -> list[str]:
    """Statements that take the triggers away again."""
    if vendor == "sqlite":
        return [f"DROP TRIGGER IF EXISTS {table}_no_{verb}" for verb in ("update", "delete")]
    return [
        f"DROP TRIGGER IF EXISTS {table}_append_only ON {table}",
        f"DROP FUNCTION IF EXISTS {table}_refuse()",
    ]
