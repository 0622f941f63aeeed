"""Adding ledger entries to the roll-ups: which sums a call belongs to, and the statements that add to them.

Inside the transaction that appends the entries, and as cheap as can be: each turn waits for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson
from django.db import connection, transaction

from chat.models.execution import change
from chat.models.rollups import (
    COUNTS,
    DIMENSIONS,
    FIRST,
    FIRST_BOUNDS,
    GRAINS,
    HOUR,
    IN_FACE,
    NULLABLE,
    QUARTER,
    SUMS,
    TOLD,
)

Dimensions = tuple[Any, ...]
Sums = list[int | None]
Place = tuple[str, int, int]
Keys = dict[int, tuple[Any, ...]]
Found = dict[Place, Sums]


# -- where a call belongs --------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def spans(quarter: int, zone: str) -> tuple[int, int]:
    """When the day and the month of `zone` that hold a quarter of an hour begin; all in seconds since
    1970."""
    local = datetime.fromtimestamp(quarter, ZoneInfo(zone))
    day = datetime(local.year, local.month, local.day, tzinfo=local.tzinfo)
    return int(day.timestamp()), int(day.replace(day=1).timestamp())


def key_of(face: str, dimensions: Dimensions) -> int:
    """The key's number: 63 bits of a hash, so that no process need ask the database for it."""
    spelled = orjson.dumps((face, *dimensions))
    return int.from_bytes(hashlib.blake2b(spelled, digest_size=8).digest()) >> 1


#: What stands in a column that a face does not tell apart.
_UNTOLD: Final = {"user_id": None, "team_id": None, "agent_id": None}


@lru_cache(maxsize=16384)
def rows_of(dimensions: Dimensions) -> tuple[tuple[Any, ...], ...]:
    """The rows of RollupKey (KEY_COLUMNS) for what an entry tells apart: the full key's first, then one of
    each face of IN_FACE."""
    given = dict(zip(DIMENSIONS, dimensions, strict=True))
    told = {
        face: tuple(given[name] if name in TOLD[face] else _UNTOLD.get(name, "") for name in DIMENSIONS)
        for face in IN_FACE
    }
    ids = {face: key_of(face, values) for face, values in told.items()}
    full = (key_of("f", dimensions), "f", *ids.values(), *dimensions)
    none = (None,) * len(ids)
    return full, *((ids[face], face, *none, *values) for face, values in told.items())


@lru_cache(maxsize=16384)
def _places(
    dimensions: Dimensions, hour: int, day: int, month: int, grains: Sequence[str]
) -> tuple[Place, ...]:
    full, *others = rows_of(dimensions)
    ids = {"f": full[0], **{row[1]: row[0] for row in others}}
    starts = {"h": hour, "d": day, "m": month}
    return tuple((grain, starts[grain[1]], ids[grain[0]]) for grain in grains)


# -- adding up -------------------------------------------------------------------------------------


def sums_of(entry: Any) -> Sums:
    """One entry as a row of SUMS."""
    first = [0] * len(FIRST)
    if entry.first_delta_ms is not None:
        first[sum(entry.first_delta_ms > bound for bound in FIRST_BOUNDS)] = 1
    return [
        1, int(entry.amount is not None), *(getattr(entry, name) for name in NULLABLE), *first,
        *counted(entry.outcome, entry.certainty, 1), int(entry.ended_at.timestamp()),
    ]  # fmt: skip


def counted(outcome: str, certainty: str, calls: int) -> list[int]:
    """COUNTS of calls that all ended in one way and are equally sure."""
    return [calls if name in (outcome, certainty) else 0 for name in COUNTS]


def plus(left: Sums, right: Sums) -> Sums:
    """Both together; NULL and a number are the number."""
    found = [b if a is None else a if b is None else a + b for a, b in zip(left, right, strict=True)]
    found[-1] = max(left[-1] or 0, right[-1] or 0)
    return found


def fold(
    parts: Iterable[tuple[Dimensions, datetime, Sums]], zone: str, grains: Sequence[str] = GRAINS
) -> tuple[set[Dimensions], Found]:
    """What was told apart, and what is to be added to which place, of sums that are of one hour and one
    day each, with a moment in both."""
    told: set[Dimensions] = set()
    found: Found = {}
    for dimensions, moment, added in parts:
        told.add(dimensions)
        seconds = int(moment.timestamp())
        day, month = spans(seconds - seconds % QUARTER, zone)
        for place in _places(dimensions, seconds - seconds % HOUR, day, month, tuple(grains)):
            found[place] = plus(found[place], added) if place in found else added
    return told, found


# -- writing ---------------------------------------------------------------------------------------

KEY_COLUMNS: Final = ("id", "face", *IN_FACE.values(), *DIMENSIONS)
_KEY: Final = (
    f"INSERT INTO chat_rollupkey ({', '.join(KEY_COLUMNS)}) VALUES ",  # noqa: S608 (names of our own)
    " ON CONFLICT DO NOTHING",
)
#: Rows of one statement.
MOST: Final = 500


def _added(name: str) -> str:
    mine, new = f"chat_rollup.{name}", f"excluded.{name}"
    if name == "last":
        return f"last = CASE WHEN {new} > {mine} THEN {new} ELSE {mine} END"
    if name in NULLABLE:
        return f"{name} = CASE WHEN {new} IS NULL THEN {mine} ELSE COALESCE({mine}, 0) + {new} END"
    return f"{name} = {mine} + {new}"


_INTO: Final = (
    f"INSERT INTO chat_rollup (grain, start, key, {', '.join(SUMS)})"  # noqa: S608 (names of our own)
    " SELECT v.column1, v.column2, v.column3, "
)
#: What an INSERT of sums ends with, so that they are added to those that are there.
ONTO: Final = f" WHERE true ON CONFLICT (grain, start, key) DO UPDATE SET {', '.join(map(_added, SUMS))}"


def insert(statement: tuple[str, str], rows: Sequence[Sequence[Any]]) -> None:
    """Run an INSERT of many rows, given as what is before and after its values.

    Numbers are written into the statement on PostgreSQL, whose driver takes longer for each parameter;
    SQLite rather meets the statement again.
    """
    before, after = statement
    plain = connection.vendor == "postgresql"
    for start in range(0, len(rows), MOST):
        parameters: list[Any] = []
        values = [_values(row, parameters, plain) for row in rows[start : start + MOST]]
        change(f"{before}{', '.join(values)}{after}", parameters)


def _values(row: Sequence[Any], parameters: list[Any], plain: bool) -> str:
    if not plain:
        parameters += row
        return _marks(len(row))
    marks = []
    for value in row:
        if value is None:
            marks.append("NULL")
        elif value.__class__ is int:
            marks.append(str(value))
        else:
            marks.append("%s")
            parameters.append(value)
    return f"({', '.join(marks)})"


@lru_cache(maxsize=64)
def _marks(count: int) -> str:
    return f"({', '.join(['%s'] * count)})"


#: The full keys that are known to be there, as of one edition of the roll-ups: (edition, their ids).
_there: tuple[int, set[int]] = (0, set())


def add(entries: Iterable[Any], zone: str, edition: int) -> None:
    """Add entries that were just written. Inside their transaction; `zone` and `edition` are the state's."""
    global _there
    parts = (
        (tuple(getattr(entry, name) for name in DIMENSIONS), entry.ended_at, sums_of(entry))
        for entry in entries
    )
    told, found = fold(parts, zone)
    if _there[0] != edition:
        _there = (edition, set())
    known = _there[1]
    unseen = {ident: dimensions for dimensions in told if (ident := rows_of(dimensions)[0][0]) not in known}
    if unseen:
        write_keys(unseen.values())
        transaction.on_commit(lambda: known.update(unseen))
    _add(found)


def write_keys(told: Iterable[Dimensions]) -> None:
    """Write the keys that are missing. Where a full key is there, those of its faces are."""
    rows = {rows_of(dimensions)[0][0]: rows_of(dimensions) for dimensions in told}
    wanted = list(rows)
    with connection.cursor() as cursor:
        for start in range(0, len(wanted), MOST):
            ids = ", ".join(map(str, wanted[start : start + MOST]))
            cursor.execute(f"SELECT id FROM chat_rollupkey WHERE id IN ({ids})")  # noqa: S608 (numbers)
            for (known,) in cursor.fetchall():
                del rows[known]
    insert(_KEY, list({row[0]: row for faces in rows.values() for row in faces}.values()))


def _add(found: Found) -> None:
    """Add sums to what is there. A call's places all get the same, which is sent once."""
    plain = connection.vendor == "postgresql"
    alike: dict[int, tuple[Sums, list[Place]]] = {}
    for place, sums in found.items():
        alike.setdefault(id(sums), (sums, []))[1].append(place)
    for sums, places in alike.values():
        parameters: list[Any] = []
        if plain:
            tail = _values(sums, parameters, plain)[1:-1]
            marks = ", ".join([f"('{grain}', {start}, {key})" for grain, start, key in places])
            change(f"{_INTO}{tail} FROM (VALUES {marks}) v{ONTO}", parameters)
        else:
            parameters += sums
            for place in places:
                parameters += place
            change(_upsert(len(places)), parameters)


@lru_cache(maxsize=64)
def _upsert(places: int) -> str:
    marks = ", ".join(["(%s, %s, %s)"] * places)
    return f"{_INTO}{_marks(len(SUMS))[1:-1]} FROM (VALUES {marks}) v{ONTO}"


__all__ = [
    "ONTO",
    "Dimensions",
    "Found",
    "Place",
    "Sums",
    "add",
    "counted",
    "fold",
    "insert",
    "key_of",
    "plus",
    "rows_of",
    "spans",
    "sums_of",
    "write_keys",
]
