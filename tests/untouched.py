"""Rooms of tests that touch no database and no Redis, and that this is so.

.ci/run passes them once: on another database they would do the same again. Nobody has to believe it: in
such a test any connection to SQLite, PostgreSQL or Redis fails, and processes that it starts inherit
neither address. What needs one after all belongs into another room.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import psycopg
import psycopg_pool
import pytest
import redis.asyncio.connection
import redis.connection

#: Folders below tests/.
ROOMS = ("agents", "browser", "markdown", "protocol")
MARKER = "no_database"
#: Every way to a connection; Django's own is closed by pytest-django.
_WAYS = [
    (sqlite3, "connect"), (psycopg, "connect"), (psycopg.Connection, "connect"),
    (psycopg.AsyncConnection, "connect"), (psycopg_pool.ConnectionPool, "getconn"),
    (redis.connection.AbstractConnection, "connect"),
    (redis.asyncio.connection.AbstractConnection, "connect"),
]  # fmt: skip


def mark(item: pytest.Item) -> None:
    """Mark a test by its room."""
    folder = item.path.parent
    if folder.name in ROOMS and folder.parent.name == "tests":
        item.add_marker(MARKER)


def close_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, no connection can be made."""
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    for owner, name in _WAYS:
        monkeypatch.setattr(owner, name, _refuse(f"{owner.__name__}.{name}"))


def _refuse(way: str) -> Callable[..., Any]:
    def refuse(*_args: Any, **_options: Any) -> Any:
        raise AssertionError(f"a test of {', '.join(ROOMS)} touches a database or Redis: {way}")

    return refuse
