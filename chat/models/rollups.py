"""Sums of the ledger by hour and by day, kept in the transaction that adds its rows.

Three grains share one table: by hour and by UTC day with everything that can be asked for, and by
hour for all people of a team together, which is what a chart of a year reads. Hours begin with the hours of
UTC. Anything here can be made again from the ledger; chat/audit.py alone reads it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import orjson
from django.db import connection, models

#: What is told apart, in the order of a key's columns.
DIMENSIONS: Final = (
    "user_id", "username", "team_id", "team", "agent_id", "agent_name", "provider", "model", "purpose",
    "outcome", "certainty", "currency",
)  # fmt: skip
#: Sums in which NULL is "nothing known" and never 0.
NULLABLE: Final = (
    "user_tokens", "enrichment_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "amount",
)  # fmt: skip
#: Upper bounds, in ms, of the classes of times to the first delta; the last class has none.
FIRST_BOUNDS: Final = (250, 500, 1000, 2000, 4000, 8000, 16000)
FIRST: Final = tuple(f"first_{n}" for n in range(len(FIRST_BOUNDS) + 1))
SUMS: Final = ("calls", "priced", *NULLABLE, *FIRST)

HOUR, DAY = 3600, 86400


class RollupKey(models.Model):
    """One combination of what is told apart. `id` follows from the others (see `key_of`)."""

    id = models.BigIntegerField(primary_key=True)
    user_id = models.BigIntegerField(null=True, db_index=True)
    username = models.CharField(max_length=150)
    team_id = models.BigIntegerField(null=True)
    team = models.CharField(max_length=150)
    agent_id = models.BigIntegerField(null=True)
    agent_name = models.CharField(max_length=80)
    provider = models.CharField(max_length=120)
    model = models.CharField(max_length=120)
    purpose = models.CharField(max_length=10)
    outcome = models.CharField(max_length=11)
    certainty = models.CharField(max_length=9)
    currency = models.CharField(max_length=3)

    def __str__(self) -> str:
        return f"key {self.pk}"


class Rollup(models.Model):
    """Sums of the calls of one key that ended in one span. `start` is in seconds since 1970, UTC.

    `calls` counts calls, `priced` those with an amount, `first_*` those by time to the first delta.
    """

    class Grain(models.TextChoices):
        HOUR = "h", "hour"
        DAY = "d", "day of UTC"
        ALL = "a", "hour, all people together"

    pk = models.CompositePrimaryKey("grain", "start", "key")
    grain = models.CharField(max_length=1, choices=Grain.choices)
    start = models.BigIntegerField()
    key = models.BigIntegerField()
    calls = models.IntegerField()
    priced = models.IntegerField()
    user_tokens = models.BigIntegerField(null=True)
    enrichment_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    cached_tokens = models.BigIntegerField(null=True)
    reasoning_tokens = models.BigIntegerField(null=True)
    amount = models.BigIntegerField(null=True)
    first_0 = models.IntegerField()
    first_1 = models.IntegerField()
    first_2 = models.IntegerField()
    first_3 = models.IntegerField()
    first_4 = models.IntegerField()
    first_5 = models.IntegerField()
    first_6 = models.IntegerField()
    first_7 = models.IntegerField()

    class Meta:
        indexes = (models.Index(fields=("key", "grain", "start"), name="rollup_key"),)

    def __str__(self) -> str:
        return f"{self.grain} {self.start} {self.key}"


Dimensions = tuple[Any, ...]
Sums = list[int | None]


def key_of(dimensions: Dimensions) -> int:
    """The key's number: 63 bits of a hash, so that no process need ask the database for it."""
    spelled = orjson.dumps(dimensions)
    return int.from_bytes(hashlib.blake2b(spelled, digest_size=8).digest()) >> 1


def everybody(dimensions: Dimensions) -> Dimensions:
    """The same without the person."""
    return (None, "", *dimensions[2:])


def spans(moment: datetime) -> tuple[int, int]:
    """The hour and the UTC day that hold `moment`, in seconds since 1970."""
    seconds = int(moment.timestamp())
    return seconds - seconds % HOUR, seconds - seconds % DAY


def sums_of(entry: Any) -> Sums:
    """One entry as a row of SUMS."""
    first = [0] * len(FIRST)
    if entry.first_delta_ms is not None:
        first[sum(entry.first_delta_ms > bound for bound in FIRST_BOUNDS)] = 1
    return [1, int(entry.amount is not None), *(getattr(entry, name) for name in NULLABLE), *first]


def plus(left: Sums, right: Sums) -> Sums:
    """Both together; NULL and a number are the number."""
    return [b if a is None else a if b is None else a + b for a, b in zip(left, right, strict=True)]


Keys = dict[int, Dimensions]
Found = dict[tuple[str, int, int], Sums]


def gather(entries: Iterable[Any]) -> tuple[Keys, Found]:
    """The keys of these entries, and what is to be added to which (grain, start, key)."""
    return fold(
        (tuple(getattr(entry, name) for name in DIMENSIONS), entry.ended_at, sums_of(entry))
        for entry in entries
    )


def fold(parts: Iterable[tuple[Dimensions, datetime, Sums]]) -> tuple[Keys, Found]:
    """The same of sums that were made already, each of one hour or less."""
    keys: Keys = {}
    found: Found = {}
    for dimensions, moment, added in parts:
        key, together = key_of(dimensions), key_of(everybody(dimensions))
        keys[key], keys[together] = dimensions, everybody(dimensions)
        hour, day = spans(moment)
        for place in (("h", hour, key), ("d", day, key), ("a", hour, together)):
            found[place] = plus(found[place], added) if place in found else added
    return keys, found


_KEY = (
    f"INSERT INTO chat_rollupkey (id, {', '.join(DIMENSIONS)}) VALUES ",  # noqa: S608 (names of our own)
    " ON CONFLICT DO NOTHING",
)
_ADDED = ", ".join(
    f"{name} = CASE WHEN excluded.{name} IS NULL THEN chat_rollup.{name}"
    f" ELSE COALESCE(chat_rollup.{name}, 0) + excluded.{name} END"
    if name in NULLABLE
    else f"{name} = chat_rollup.{name} + excluded.{name}"
    for name in SUMS
)
_ROW = (
    f"INSERT INTO chat_rollup (grain, start, key, {', '.join(SUMS)}) VALUES ",  # noqa: S608 (as above)
    f" ON CONFLICT (grain, start, key) DO UPDATE SET {_ADDED}",
)
#: Rows of one statement.
MOST = 500


def insert(cursor: Any, statement: tuple[str, str], rows: Sequence[Sequence[Any]]) -> None:
    """Run an INSERT of many rows, given as what is before and after its values.

    Numbers are written into the statement on PostgreSQL, whose driver takes 4 µs for each parameter;
    SQLite rather meets the statement again.
    """
    before, after = statement
    plain = connection.vendor == "postgresql"
    for start in range(0, len(rows), MOST):
        values, parameters = [], []
        for row in rows[start : start + MOST]:
            marks = []
            for value in row:
                if plain and (value is None or value.__class__ is int):
                    marks.append("NULL" if value is None else str(value))
                else:
                    marks.append("%s")
                    parameters.append(value)
            values.append(f"({', '.join(marks)})")
        cursor.execute(f"{before}{', '.join(values)}{after}", parameters)


def add(entries: Iterable[Any]) -> None:
    """Add entries that were just written. Inside their transaction."""
    write(*gather(entries))


def write(keys: Keys, found: Found) -> None:
    """Add sums to what is there."""
    with connection.cursor() as cursor:
        insert(cursor, _KEY, [(key, *dimensions) for key, dimensions in keys.items()])
        insert(cursor, _ROW, [(*place, *sums) for place, sums in sorted(found.items())])


__all__ = [
    "DIMENSIONS",
    "FIRST",
    "FIRST_BOUNDS",
    "NULLABLE",
    "SUMS",
    "Rollup",
    "RollupKey",
    "add",
    "gather",
    "insert",
]
