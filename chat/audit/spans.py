"""What a series is read from: days of the roll-ups, their hours, what is before cuts in these, and rows for
what is left of an hour.

A day of one zone is the day of another, nearest to it, with some hours more at one end and fewer at the
other. Those are read beside whole days, instead of all hours of them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db import connection

from chat.audit.filters import Filter
from chat.audit.periods import midnight
from chat.audit.reading import pieces
from chat.audit.summing import Range, Statement, apart, of_rollups, of_rows, second, stored, whole
from chat.models.rollups import CUTS, DAY, HOUR, NULLABLE, SUMS, face_of

#: (number of a span, dimensions, sums)
Found = Iterator[tuple[int, dict[str, Any], dict[str, Any]]]
Part = tuple[dict[str, Any], dict[str, Any]]
Parts = dict[tuple[int, tuple[Any, ...]], Part]

#: What stands for sums that were not read.
NOTHING: Final = {name: None if name in NULLABLE else 0 for name in SUMS}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a series is made of: whose calls, the columns that `filter` and groups need, those that groups
    are told apart by, and the sums. Statements give a number, the columns of the groups, and the sums."""

    filter: Filter
    told: set[str]
    names: Sequence[str]
    sums: Sequence[str]

    def days(self, start: int, end: int) -> Statement:
        """By the roll-ups' own days, whose numbers are the seconds at which they begin."""
        return self._each("d", f"r.start >= {start} AND r.start < {end}")

    def cuts(self, moments: Sequence[int]) -> Statement:
        """By cuts, whose numbers are their seconds."""
        return self._each("c", f"r.start IN ({', '.join(map(str, moments))})")

    def _each(self, span: str, within: str) -> Statement:
        face = face_of(self.told, span)
        chosen, parameters = self.filter.sql("k")
        told, joined = "".join(f", k.{name}" for name in self.names), ""
        if told:
            joined = f" JOIN chat_rollupkey k ON k.id = r.key{chosen}"
        elif chosen:  # no join: they come in their order and need no sorting
            keys = f"SELECT k.id FROM chat_rollupkey k WHERE k.face = '{face}'{chosen}"  # noqa: S608 (own names)
            chosen = f" AND r.key IN ({keys})"
        return (
            f"SELECT r.start{told}, {of_rollups(self.sums)} FROM chat_rollup r{joined}"  # noqa: S608 (as above)
            f" WHERE r.grain = '{face}{span}' AND {within}{'' if joined else chosen} GROUP BY r.start{told}",
            parameters,
        )

    def hours(self, ranges: Sequence[Range]) -> Statement:
        """By ranges of whole hours."""
        chosen = self.filter.sql("k")
        keys = " JOIN chat_rollupkey k ON k.id = r.key" if self.names or chosen[0] else ""
        return apart(
            ranges, [f"k.{name}" for name in self.names], of_rollups(self.sums), ("chat_rollup r", "r.start"),
            f" AND r.grain = '{face_of(self.told, 'h')}h'", chosen, keys,
        )  # fmt: skip

    def rows(self, ranges: Iterable[tuple[int, datetime, datetime]]) -> Statement:
        """By ranges of the moments at which calls ended, from the ledger."""
        cut = [(number, stored(low), stored(high)) for number, low, high in ranges]
        return apart(
            cut, [f"e.{name}" for name in self.names], of_rows(self.sums),
            ("chat_ledgerentry e", "e.ended_at"), "", self.filter.sql("e"),
        )  # fmt: skip

    def entries(self, start: datetime, end: datetime) -> Statement:
        """By the ledger's rows between two moments, whose numbers are the seconds at which they ended."""
        told = "".join(f", e.{name}" for name in self.names)
        condition, parameters = self.filter.sql("e")
        return (
            f"SELECT {second('e.ended_at')} AS number{told}, {of_rows(self.sums)}"  # noqa: S608 (as above)
            f" FROM chat_ledgerentry e WHERE e.ended_at >= %s AND e.ended_at < %s{condition}"
            f" GROUP BY number{told}",
            [stored(start), stored(end), *parameters],
        )

    def read(self, *statements: Statement) -> Iterator[tuple[int, int, dict[str, Any], dict[str, Any]]]:
        """What statements give, at once: (place of the statement, number, dimensions, sums)."""
        with connection.cursor() as cursor:
            cursor.execute(
                " UNION ALL ".join(
                    f"SELECT {place} AS place, t{place}.* FROM ({sql}) t{place}"  # noqa: S608 (as above)
                    for place, (sql, _) in enumerate(statements)
                ),
                [value for _, parameters in statements for value in parameters],
            )
            for place, number, *values in cursor.fetchall():
                key = dict(zip(self.names, values, strict=False))
                sums = dict(zip(self.sums, map(whole, values[len(self.names) :]), strict=True))
                yield place, number, key, sums


def of_days(wanted: Wanted, edges: Sequence[float]) -> Found:
    """Spans that are days of the roll-ups."""
    for _place, start, key, sums in wanted.read(wanted.days(int(edges[0]), int(edges[-1]))):
        yield bisect_right(edges, start) - 1, key, sums


def of_hours(wanted: Wanted, edges: Sequence[float], only: Iterable[int] | None = None) -> Found:
    """The spans between `edges`, or `only` those of these numbers, from whole hours and from rows."""
    hours: list[Range] = []
    rest: list[tuple[int, datetime, datetime]] = []
    for at in range(len(edges) - 1) if only is None else only:
        ranges, rows = pieces(edges[at], edges[at + 1], None)
        hours += [(at, start, end) for _span, start, end in ranges]
        rest += [(at, start, end) for start, end in rows]
    statements = ([wanted.hours(hours)] if hours else []) + ([wanted.rows(rest)] if rest else [])
    if statements:
        yield from (found[1:] for found in wanted.read(*statements))


def of_entries(wanted: Wanted, edges: Sequence[float]) -> Found:
    """The spans between `edges` from rows alone, read once: for filters that choose few."""
    for _place, begun, key, sums in wanted.read(wanted.entries(_moment(edges[0]), _moment(edges[-1]))):
        yield bisect_right(edges, max(begun, edges[0])) - 1, key, sums


def nearest_midnight(at: float, zone: ZoneInfo) -> int:
    """The midnight of `zone` nearest to a moment."""
    day = datetime.fromtimestamp(at, zone).date()
    both = (int(midnight(day + timedelta(days=n), zone).timestamp()) for n in (0, 1))
    return min(both, key=lambda begun: abs(begun - at))


@dataclass(frozen=True, slots=True)
class Move:
    """What lies between two moments is taken away from one span and given to another, each by its number.
    `what` it is read as: "h" for hours, "c" for what is before a cut (at `end`), or "rows"."""

    what: str
    start: float
    end: float
    giver: int
    taker: int


def _moves(edges: Sequence[float], nearest: Sequence[int], closed: int) -> Iterator[Move]:
    """From midnights to the edges near them: whole hours, and at both ends what these are too much or too
    little: before a cut where it has sums, else at most half an hour of rows. What an edge goes back over
    becomes the later span's, what it goes forward over the earlier one's."""
    for at, (edge, day) in enumerate(zip(edges, nearest, strict=True)):
        (first, out), (last, back) = _hour(day, closed), _hour(edge, closed)
        for what, a, b in ((out, day, first), ("h", first, last), (back, last, edge)):
            if b < a:
                yield Move(what, b, a, at - 1, at)
            elif a < b:
                yield Move(what, a, b, at, at - 1)


def _hour(at: float, closed: int) -> tuple[int, str]:
    """A whole hour near a moment, and what the rest is read as: that before a cut, else the nearest."""
    if at % DAY in CUTS and at <= closed:
        return int(at // HOUR * HOUR), "c"
    return int((at + HOUR / 2) // HOUR * HOUR), "rows"


def shifted(wanted: Wanted, edges: Sequence[float], nearest: Sequence[int], closed: int) -> Found:
    """By the spans between `edges`, from the days between `nearest` and what lies from one to the other.
    `closed`: until when days are closed.

    What is left of a sum when some is taken away may be 0 or nothing reported. Where that cannot be told,
    the span is read by its hours.
    """
    given: Parts = {}
    taken: Parts = {}
    last = len(edges) - 2
    asked = _asked(wanted, list(_moves(edges, nearest, closed)))
    statements = [wanted.days(nearest[0], nearest[-1]), *(statement for statement, _moves in asked)]
    for place, number, key, sums in wanted.read(*statements):
        if place == 0:
            _join(given, bisect_right(nearest, number) - 1, key, sums)
            continue
        for move in asked[place - 1][1][number]:
            for parts, span in ((given, move.taker), (taken, move.giver)):
                if 0 <= span <= last:
                    _join(parts, span, key, sums)
    unsure = {place[0] for place in taken if not _without(given[place], taken[place])}
    for (span, _), (key, sums) in given.items():
        if sums["calls"] and span not in unsure:
            yield span, key, sums
    if unsure:
        yield from of_hours(wanted, edges, sorted(unsure))


def _asked(wanted: Wanted, moves: Iterable[Move]) -> list[tuple[Statement, dict[int, list[Move]]]]:
    """What reads moves, and which of them are of each number that it gives."""
    of: dict[str, dict[int, list[Move]]] = {"h": {}, "c": {}, "rows": {}}
    for number, move in enumerate(moves):
        of[move.what].setdefault(int(move.end) if move.what == "c" else number, []).append(move)
    found = []
    if hours := of["h"]:
        ranges = [(n, int(move.start), int(move.end)) for n, (move,) in hours.items()]
        found.append((wanted.hours(ranges), hours))
    if cuts := of["c"]:
        found.append((wanted.cuts([*cuts]), cuts))
    if rows := of["rows"]:
        moments = [(n, _moment(move.start), _moment(move.end)) for n, (move,) in rows.items()]
        found.append((wanted.rows(moments), rows))
    return found


def _join(parts: Parts, span: int, key: dict[str, Any], sums: dict[str, Any]) -> None:
    place = span, tuple(key.values())
    held = parts.get(place)
    if held is None:
        parts[place] = key, dict(sums)
        return
    for name, value in sums.items():
        if value is not None:
            held[1][name] = (held[1][name] or 0) + value


def _without(given: Part, taken: Part) -> bool:
    """Take away; whether what is left is sure."""
    left, sure = given[1], True
    for name, value in taken[1].items():
        if value is not None:
            left[name] -= value
            sure = sure and (left[name] != 0 or name not in NULLABLE)
    return sure or not left["calls"]


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


__all__ = ["NOTHING", "Found", "Wanted", "nearest_midnight", "of_days", "of_entries", "of_hours", "shifted"]
