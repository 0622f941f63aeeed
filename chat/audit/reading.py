"""Sums of any period from the roll-ups: whole months, whole days beside them, whole hours beside these."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import Subquery

from chat.audit.entries import parts, parts_apart
from chat.audit.filters import Filter
from chat.audit.periods import midnight
from chat.audit.sums import BY, Part, Report
from chat.models import RollupKey, RollupState
from chat.models.rollups import DIMENSIONS, HOUR, IN_FACE, NULLABLE, SUMS, face_of

Range = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Known:
    """What there is: everything that calls were told apart by but their purpose and end, by its number, and
    the zone in which days were added up; None while they are not all there."""

    keys: dict[int, dict[str, Any]]
    zone: ZoneInfo | None


def keys() -> Known:
    """All that a page with several sums needs to know of the roll-ups; one query."""
    zone = RollupState.objects.filter(pk=1, ready=True).values("zone")[:1]
    rows = list(RollupKey.objects.filter(face="a").annotate(zone=Subquery(zone)).values())
    name = rows[0]["zone"] if rows else None
    return Known({row["id"]: dict(row) for row in rows}, ZoneInfo(name) if name else None)


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
    statements = []
    for at, (filter, by) in enumerate(asked):
        if filter.of_rows:
            continue
        ranges, rest = pieces(filter.start.timestamp(), filter.end.timestamp(), known.zone)
        face = face_of(filter.chosen | {column for one in by for column in BY[one]}, "dm")
        statements += [_statement(at, filter, face, piece) for piece in ranges]
        for start, end in rest:
            found[at] += parts(replace(filter, start=start, end=end))
    rows = [at for at, (filter, _by) in enumerate(asked) if filter.of_rows]
    for place, part in parts_apart([asked[at][0] for at in rows]):
        found[rows[place]].append(part)
    for at, told, sums in _read(statements):
        found[at].append((told, sums))
    return [Report(one) for one in found]


def pieces(
    start: float, end: float, zone: ZoneInfo | None
) -> tuple[list[Range], list[tuple[datetime, datetime]]]:
    """[start, end) as ("m" | "d" | "h", from, until) in whole months and days of `zone` and hours beside
    them, and what is left of hours. Without a zone, in hours alone."""
    first, last = int(-(-start // HOUR) * HOUR), int(end // HOUR * HOUR)
    if first >= last:
        return [], [(_moment(start), _moment(end))] if start < end else []
    rest = [(_moment(a), _moment(b)) for a, b in ((start, first), (last, end)) if a < b]
    ranges: list[Range] = []
    for span, low, high in _nested(first, last, zone):
        if ranges:  # around the ones before
            ranges = [(span, low, ranges[0][1]), *ranges, (span, ranges[-1][2], high)]
        else:
            ranges = [(span, low, high)]
    return [piece for piece in ranges if piece[1] < piece[2]], rest


def _nested(first: int, last: int, zone: ZoneInfo | None) -> Iterator[Range]:
    """The longest runs of whole months, days and hours in a period, each within the next; not the empty."""
    if zone is not None:
        low, high = _midnight_from(first, zone), _midnight_until(last, zone)
        month, until = _month_from(low), high.replace(day=1)
        for span, a, b in (("m", month, until), ("d", low, high)):
            if a < b:
                yield span, int(a.timestamp()), int(b.timestamp())
    yield "h", first, last


def _midnight_until(seconds: int, zone: ZoneInfo) -> datetime:
    return midnight(datetime.fromtimestamp(seconds, zone).date(), zone)


def _midnight_from(seconds: int, zone: ZoneInfo) -> datetime:
    at = _midnight_until(seconds, zone)
    return at if at.timestamp() >= seconds else midnight(at.date() + timedelta(days=1), zone)


def _month_from(at: datetime) -> datetime:
    return at if at.day == 1 else (at.replace(day=1) + timedelta(days=32)).replace(day=1)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


Statement = tuple[str, list[Any]]


def _statement(at: int, filter: Filter, face: str, piece: Range) -> Statement:
    """The sums of each key of a piece, with the number of their filter. Hours are kept in full alone."""
    span, start, end = piece
    grain = "fh" if span == "h" else f"{face}{span}"
    condition, parameters = filter.sql("k")
    key = f"k.{IN_FACE[face]}" if span == "h" and face != "f" else "r.key"
    joined = " JOIN chat_rollupkey k ON k.id = r.key" if condition or key != "r.key" else ""
    sql = (
        f"SELECT {at} AS at, {key} AS key, {summing(SUMS)}"  # noqa: S608 (names of our own)
        f" FROM chat_rollup r{joined} WHERE r.grain = '{grain}' AND r.start >= {start} AND r.start < {end}"
        f"{condition} GROUP BY {key}"
    )
    return sql, parameters


def summing(names: Iterable[str]) -> str:
    """SQL that adds these columns of roll-ups up."""
    return ", ".join(f"{'MAX' if name == 'last' else 'SUM'}(r.{name}) AS {name}" for name in names)


def _read(statements: list[Statement]) -> Iterator[tuple[int, dict[str, Any], dict[str, Any]]]:
    if not statements:
        return
    sums, told = (", ".join(f"{table}.{name}" for name in names) for table, names in _COLUMNS)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT x.at, {sums}, {told} FROM ("  # noqa: S608 (names of our own)
            + " UNION ALL ".join(sql for sql, _ in statements)
            + ") x JOIN chat_rollupkey k ON k.id = x.key",
            [value for _, parameters in statements for value in parameters],
        )
        for at, *values in cursor.fetchall():
            key = dict(zip(DIMENSIONS, values[len(SUMS) :], strict=True))
            yield at, key, dict(zip(SUMS, map(whole, values[: len(SUMS)]), strict=True))


_COLUMNS: Final = (("x", SUMS), ("k", DIMENSIONS))


def whole(value: Any) -> int | None:
    """PostgreSQL sums BIGINT as NUMERIC."""
    return None if value is None else int(value)


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


__all__ = ["Known", "days_of_people", "keys", "pieces", "report", "reports", "summing", "whole"]
