"""Sums of any period: whole months, whole days beside them, whole hours beside these, rows for the rest."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import Subquery

from chat.audit.filters import Filter
from chat.audit.periods import midnight, midnight_from
from chat.audit.summing import Statement, of_rollups, of_rows, stored, whole
from chat.audit.sums import BY, Part, Report
from chat.models import RollupKey, RollupState
from chat.models.rollups import DIMENSIONS, HOUR, IN_FACE, NULLABLE, SUMS, face_of, month_of

Range = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Known:
    """What there is: everything that calls were told apart by but their purpose and end, by its number; the
    zone in which days were added up, None while they are not all there; and until when days are closed."""

    keys: dict[int, dict[str, Any]]
    zone: ZoneInfo | None
    closed: int


def keys() -> Known:
    """All that a page with several sums needs to know of the roll-ups; one query."""
    state = RollupState.objects.filter(pk=1, ready=True)
    zone, closed = (Subquery(state.values(name)[:1]) for name in ("zone", "closed"))
    rows: list[dict[str, Any]]
    rows = [*map(dict, RollupKey.objects.filter(face="a").annotate(zone=zone, closed=closed).values())]
    there = {row["id"]: row for row in rows}
    if rows and rows[0]["zone"]:
        return Known(there, ZoneInfo(rows[0]["zone"]), rows[0]["closed"])
    return Known(there, None, 0)


def report(
    filter: Filter,
    known: Known | None = None,
    *,
    purpose: bool = False,
    by: Collection[str] | None = None,
) -> Report:
    """All sums of `filter`, from the roll-ups where they reach. `known`: `keys()`, when it is in hand.
    `by`: the dimensions that it can be told apart by, which is quicker than all of them; with one of them
    and "person" its groups count people. `purpose`: all, and by purpose too, which takes longer."""
    every = {*BY} if purpose else {*BY} - {"purpose"}
    return reports([(filter, every if by is None else by)], known)[0]


def reports(asked: Sequence[tuple[Filter, Collection[str]]], known: Known | None = None) -> list[Report]:
    """A report for each filter by these dimensions, in one statement as far as the roll-ups reach."""
    known = known or keys()
    found: list[list[Part]] = [[] for _ in asked]
    rollups: list[Statement] = []
    rows: list[Statement] = []
    for at, (filter, by) in enumerate(asked):
        if filter.of_rows:
            rows.append(_of_rows(at, filter, filter.start, filter.end))
            continue
        ranges, rest = pieces(filter.start.timestamp(), filter.end.timestamp(), known)
        face = face_of(filter.chosen | {column for one in by for column in BY[one]}, "dm")
        rollups += [_of_rollups(at, filter, face, piece) for piece in ranges]
        rows += [_of_rows(at, filter, start, end) for start, end in rest]
    for at, told, sums in _read(rollups, rows):
        found[at].append((told, sums))
    return [Report(one) for one in found]


def pieces(
    start: float, end: float, known: Known | None
) -> tuple[list[Range], list[tuple[datetime, datetime]]]:
    """[start, end) as ("m" | "d" | "h", from, until) in whole months and days of the roll-ups' zone and hours
    of UTC beside them, and what is left of hours. Without `known` or its zone, in hours alone."""
    zone = known.zone if known else None
    if known and zone:
        ranges, beside = _days_of(start, end, zone, month_of(known.closed, str(zone)))
    else:
        ranges, beside = [], [(start, end)]
    rest = []
    for low, high in beside:
        first, last = int(-(-low // HOUR) * HOUR), int(high // HOUR * HOUR)
        if first < last:
            ranges.append(("h", first, last))
        rest += [(low, first), (last, high)] if first <= last else [(low, high)]
    return ranges, [(_moment(low), _moment(high)) for low, high in rest if low < high]


def _days_of(
    start: float, end: float, zone: ZoneInfo, closed: int
) -> tuple[list[Range], list[tuple[float, float]]]:
    """The whole months of a period that ended by `closed`, the days beside them, and what is beside these."""
    low = midnight_from(_moment(start), zone)
    high = midnight(_moment(end).astimezone(zone).date(), zone)
    if low >= high:
        return [], [(start, end)]
    month, until = _month_from(low), min(high.replace(day=1), _moment(closed).astimezone(zone))
    if month < until:
        ranges = [("d", low, month), ("m", month, until), ("d", until, high)]
    else:
        ranges = [("d", low, high)]
    made = [(span, int(a.timestamp()), int(b.timestamp())) for span, a, b in ranges if a < b]
    return made, [(start, low.timestamp()), (high.timestamp(), end)]


def _month_from(at: datetime) -> datetime:
    return at if at.day == 1 else (at.replace(day=1) + timedelta(days=32)).replace(day=1)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _of_rollups(at: int, filter: Filter, face: str, piece: Range) -> Statement:
    """The sums of each key of a piece, with the number of their filter. Hours are kept in full alone."""
    span, start, end = piece
    grain = "fh" if span == "h" else f"{face}{span}"
    condition, parameters = filter.sql("k")
    key = f"k.{IN_FACE[face]}" if span == "h" and face != "f" else "r.key"
    joined = " JOIN chat_rollupkey k ON k.id = r.key" if condition or key != "r.key" else ""
    sql = (
        f"SELECT {at} AS at, {key} AS key, {of_rollups(SUMS)}"  # noqa: S608 (names of our own)
        f" FROM chat_rollup r{joined} WHERE r.grain = '{grain}' AND r.start >= {start} AND r.start < {end}"
        f"{condition} GROUP BY {key}"
    )
    return sql, parameters


def _of_rows(at: int, filter: Filter, start: datetime, end: datetime) -> Statement:
    """The same of the rows between two moments, in full."""
    condition, parameters = filter.sql("e")
    told = _columns("e", DIMENSIONS)
    sql = (
        f"SELECT {at} AS at, {of_rows(SUMS)}, {told} FROM chat_ledgerentry e"  # noqa: S608 (as above)
        f" WHERE e.ended_at >= %s AND e.ended_at < %s{condition} GROUP BY {told}"
    )
    return sql, [stored(start), stored(end), *parameters]


def _read(
    rollups: list[Statement], rows: list[Statement]
) -> Iterator[tuple[int, dict[str, Any], dict[str, Any]]]:
    statements = list(rows)
    if rollups:
        union = " UNION ALL ".join(sql for sql, _ in rollups)
        joined = (
            f"SELECT x.at, {_columns('x', SUMS)}, {_columns('k', DIMENSIONS)}"  # noqa: S608 (as above)
            f" FROM ({union}) x JOIN chat_rollupkey k ON k.id = x.key"
        )
        statements.insert(0, (joined, [value for _, parameters in rollups for value in parameters]))
    if not statements:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            " UNION ALL ".join(sql for sql, _ in statements),
            [value for _, parameters in statements for value in parameters],
        )
        for at, *values in cursor.fetchall():
            key = dict(zip(DIMENSIONS, values[len(SUMS) :], strict=True))
            yield at, key, dict(zip(SUMS, map(whole, values[: len(SUMS)]), strict=True))


def _columns(table: str, names: Sequence[str]) -> str:
    return ", ".join(f"{table}.{name}" for name in names)


def days_of_people(start: datetime, end: datetime) -> Iterator[tuple[int, int]]:
    """(user id, tokens) of every day between `start` and `end` on which a person used any."""
    kinds = " + ".join(f"COALESCE(SUM(r.{name}), 0)" for name in NULLABLE[:3])
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT k.user_id, {kinds} FROM chat_rollup r JOIN chat_rollupkey k ON k.id = r.key"  # noqa: S608
            " WHERE r.grain = 'pd' AND r.start >= %s AND r.start < %s AND k.user_id IS NOT NULL"
            f" GROUP BY k.user_id, r.start HAVING {kinds} > 0",
            [int(start.timestamp()), int(end.timestamp())],
        )
        yield from ((int(person), int(tokens)) for person, tokens in cursor.fetchall())


__all__ = ["Known", "days_of_people", "keys", "pieces", "report", "reports"]
