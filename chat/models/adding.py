"""Adding ledger entries to the roll-ups: which sums a call belongs to, and the statements that add to them.

Inside the transaction that appends the entries, and as cheap as can be: each turn waits for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import orjson
from django.db import connection, transaction

from chat.models.execution import Statement, change
from chat.models.rollups import (
    COUNTS,
    DIMENSIONS,
    FACES,
    FIRST,
    FIRST_BOUNDS,
    HOUR,
    IN_FACE,
    NULLABLE,
    QUARTER,
    SUMS,
    TOLD,
    cuts_after,
    day_and_month,
    month_of,
)

Dimensions = tuple[Any, ...]
#: The spans that a call is in: letters as in FACES, and when each begins in seconds since 1970, or ends
#: where it is what is before a cut.
Spans = tuple[tuple[str, int], ...]
Sums = list[int | None]
Place = tuple[str, int, int]
Found = dict[Place, Sums]


# -- where a call belongs --------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def spans_of(quarter: int, zone: str, closed: int) -> Spans:
    """The spans to which calls of a quarter of an hour are added; `zone` and `closed` are the state's."""
    day, month = day_and_month(quarter, zone)
    found = [("h", quarter - quarter % HOUR), ("d", day)]
    if month < month_of(closed, zone):
        found.append(("m", month))
    return *found, *(("c", at) for at in cuts_after(quarter) if at <= closed)


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


#: The faces that have sums of each span.
_FACES_OF: Final = {
    span: tuple(face for face, (_parts, has) in FACES.items() if span in has) for span in "hdmc"
}


@lru_cache(maxsize=16384)
def _places(dimensions: Dimensions, spans: Spans) -> tuple[Place, ...]:
    full, *others = rows_of(dimensions)
    ids = {"f": full[0], **{row[1]: row[0] for row in others}}
    return tuple((face + span, start, ids[face]) for span, start in spans for face in _FACES_OF[span])


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


def fold(parts: Iterable[tuple[Dimensions, Spans, Sums]]) -> tuple[set[Dimensions], Found]:
    """What was told apart, and what is to be added to which place, of sums of calls that are in the same
    spans each."""
    told: set[Dimensions] = set()
    found: Found = {}
    for dimensions, spans, added in parts:
        told.add(dimensions)
        for place in _places(dimensions, spans):
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


#: The full keys that are known to be there, as of one edition of the roll-ups: (edition, their ids).
_there: tuple[int, set[int]] = (0, set())


def statements(entries: Iterable[Any], zone: str, edition: int, closed: int) -> list[Statement]:
    """What adds entries that are being written to the sums, to be executed in their transaction. Writes
    the keys that are missing. The numbers are the state's."""
    global _there
    parts = (
        (
            tuple(getattr(entry, name) for name in DIMENSIONS),
            _spans(entry.ended_at, zone, closed),
            sums_of(entry),
        )
        for entry in entries
    )
    told, found = fold(parts)
    if _there[0] != edition:
        _there = (edition, set())
    known = _there[1]
    unseen = {ident: dimensions for dimensions in told if (ident := rows_of(dimensions)[0][0]) not in known}
    if unseen:
        write_keys(unseen.values())
        transaction.on_commit(lambda: known.update(unseen))
    return _upserts(found)


def _spans(moment: datetime, zone: str, closed: int) -> Spans:
    second = int(moment.timestamp())
    return spans_of(second - second % QUARTER, zone, closed)


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
    missing = list({row[0]: row for faces in rows.values() for row in faces}.values())
    for start in range(0, len(missing), MOST):
        some = missing[start : start + MOST]
        marks = ", ".join([_marks(len(KEY_COLUMNS))] * len(some))
        change(f"{_KEY[0]}{marks}{_KEY[1]}", [value for row in some for value in row])


def _upserts(found: Found) -> list[Statement]:
    """What adds sums to what is there. Those of many places are the same, and are sent once."""
    plain = connection.vendor == "postgresql"
    alike: dict[tuple[int | None, ...], list[Place]] = {}
    for place, sums in found.items():
        alike.setdefault(tuple(sums), []).append(place)
    if plain:  # its driver takes longer for each parameter; SQLite rather meets the statement again
        return [(_plain(sums, places), ()) for sums, places in alike.items()]
    return [
        (_upsert(len(places)), [*sums, *(value for place in places for value in place)])
        for sums, places in alike.items()
    ]


def _plain(sums: Iterable[int | None], places: Iterable[Place]) -> str:
    """The statement with its numbers in it."""
    tail = ", ".join("NULL" if value is None else str(int(value)) for value in sums)
    marks = ", ".join([f"('{grain}', {start}, {key})" for grain, start, key in places])
    return f"{_INTO}{tail} FROM (VALUES {marks}) v{ONTO}"


@lru_cache(maxsize=64)
def _upsert(places: int) -> str:
    marks = ", ".join(["(%s, %s, %s)"] * places)
    return f"{_INTO}{_marks(len(SUMS))[1:-1]} FROM (VALUES {marks}) v{ONTO}"


@lru_cache(maxsize=64)
def _marks(count: int) -> str:
    return f"({', '.join(['%s'] * count)})"


__all__ = [
    "ONTO",
    "Dimensions",
    "Found",
    "Place",
    "Spans",
    "Sums",
    "counted",
    "fold",
    "key_of",
    "plus",
    "rows_of",
    "spans_of",
    "statements",
    "sums_of",
    "write_keys",
]
