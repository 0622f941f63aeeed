"""What keeps .ci/run honest: here, and in every room that it passes once, no database can be reached."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import redis
from django.db import connection

from tests import untouched

NOWHERE = "127.0.0.1"


@pytest.mark.parametrize(
    "reach",
    [
        lambda: sqlite3.connect(":memory:"),
        lambda: psycopg.connect(host=NOWHERE),
        lambda: psycopg.Connection.connect(host=NOWHERE),
        lambda: redis.Redis(host=NOWHERE).ping(),
        connection.cursor,
    ],
    ids=["sqlite3", "psycopg", "a class of psycopg", "redis", "django"],
)
def test_a_test_of_this_room_reaches_no_database(reach: Callable[[], Any]) -> None:
    with pytest.raises((AssertionError, RuntimeError), match="touches a database|not allowed"):
        reach()


async def test_nor_redis_from_a_coroutine() -> None:
    with pytest.raises(AssertionError, match="touches a database or Redis"):
        await redis.asyncio.Redis(host=NOWHERE).ping()


def test_what_it_starts_inherits_no_address() -> None:
    assert not {"DATABASE_URL", "REDIS_URL"} & set(os.environ)


def test_the_rooms_are_marked_and_no_others(request: pytest.FixtureRequest) -> None:
    for item in request.session.items:
        marked = item.get_closest_marker(untouched.MARKER) is not None
        assert marked == (item.path.parent.name in untouched.ROOMS), item.nodeid
