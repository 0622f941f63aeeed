"""The roll-ups of a series: by days, by hours, or by days and the hours between two zones' midnights.

A day of one zone is the day of another, nearest to it, with some hours more at one end and fewer at the
other. Those are read beside whole days, instead of all hours of them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db import connection

from chat.audit.filters import Filter
from chat.audit.periods import midnight
from chat.audit.reading import summing, whole
from chat.models.rollups import HOUR, NULLABLE, SUMS, face_of

Found = Iterator[tuple[int, dict[str, Any], dict[str, Any]]]
Part = tuple[dict[str, Any], dict[str, Any]]
Parts = dict[tuple[int, tuple[Any, ...]], Part]

#: What stands for sums that were not read.
NOTHING: Final = {name: None if name in NULLABLE else 0 for name in SUMS}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a series is made of: whose calls, the columns that `filter` and groups need, those that groups
    are told apart by, and the sums."""

    filter: Filter
    told: set[str]
    names: Sequence[str]
    sums: Sequence[str]

    def days(self, start: int, end: int) -> Found:
        """By the roll-ups' own days: (second at which it begins, dimensions, sums)."""
        return self._read("d", "r.start", f" AND r.start >= {start} AND r.start < {end}")

    def hours(self, edges: Sequence[int], only: Sequence[int] | None = None) -> Found:
        """By the spans between `edges`, of those of them whose number is in `only`."""
        within = f" AND r.start >= {edges[0]} AND r.start < {edges[-1]}"
        if only is not None:
            parts = [f"r.start >= {edges[at]} AND r.start < {edges[at + 1]}" for at in only]
            within = f" AND ({' OR '.join(parts)})"
        return self._read("h", _span_of(edges), within)

    def runs(self, ranges: Sequence[tuple[int, int]]) -> Found:
        """By the hours of each of some ranges [from, until), in order and apart from each other."""
        hours = ", ".join(str(hour) for a, b in ranges for hour in range(a, b, HOUR))
        begins = [*(a for a, _ in ranges), ranges[-1][1]]
        return self._read("h", _span_of(begins), f" AND r.start IN ({hours})")

    def _read(self, span: str, start: str, within: str) -> Found:
        face, source = face_of(self.told, span), "chat_rollup r"
        condition, parameters = self.filter.sql("k")
        if self.names:
            source += " JOIN chat_rollupkey k ON k.id = r.key"
        elif condition:  # no join, so that the days come in their order and need no sorting
            keys = f"SELECT k.id FROM chat_rollupkey k WHERE k.face = %s{condition}"  # noqa: S608 (own names)
            condition = f" AND r.key IN ({keys})"
            parameters = [face, *parameters]
        columns = "".join(f", k.{name}" for name in self.names)
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {start} AS span{columns}, {summing(self.sums)} FROM {source}"  # noqa: S608 (as above)
                f" WHERE r.grain = '{face}{span}'{within}{condition}"
                f" GROUP BY {start if start[1] == '.' else 'span'}{columns}",
                parameters,
            )
            for begun, *values in cursor.fetchall():
                key = dict(zip(self.names, values, strict=False))
                yield begun, key, dict(zip(self.sums, map(whole, values[len(self.names) :]), strict=True))


def nearest_midnight(second: int, zone: ZoneInfo) -> int:
    """The midnight of `zone` nearest to a moment."""
    day = datetime.fromtimestamp(second, zone).date()
    both = (int(midnight(day + timedelta(days=n), zone).timestamp()) for n in (0, 1))
    return min(both, key=lambda at: abs(at - second))


def shifted(wanted: Wanted, edges: Sequence[int], nearest: Sequence[int]) -> Found:
    """By the spans between `edges`, from the days between `nearest` and the hours from one to the other.

    What is left of a sum when some is taken away may be 0 or nothing reported. Where that cannot be told,
    the span is read by its hours.
    """
    given: Parts = {}
    taken: Parts = {}
    last = len(edges) - 2
    for start, key, sums in wanted.days(nearest[0], nearest[-1]):
        _join(given, bisect_right(nearest, start) - 1, key, sums)
    between = {
        min(a, b): (at, max(a, b)) for at, (a, b) in enumerate(zip(edges, nearest, strict=True)) if a != b
    }
    runs = sorted((start, until) for start, (_at, until) in between.items())
    for start, key, sums in wanted.runs(runs) if runs else ():
        at = between[start][0]
        # Hours before the midnight are the later span's, hours behind it the earlier one's.
        here, there = (at, at - 1) if edges[at] < nearest[at] else (at - 1, at)
        for parts, span in ((given, here), (taken, there)):
            if 0 <= span <= last:
                _join(parts, span, key, sums)
    unsure = {place[0] for place in taken if not _without(given[place], taken[place])}
    for (span, _), (key, sums) in given.items():
        if sums["calls"] and span not in unsure:
            yield edges[span], key, sums
    if unsure:
        yield from wanted.hours(edges, sorted(unsure))


def _join(parts: Parts, span: int, key: dict[str, Any], sums: dict[str, Any]) -> None:
    place = span, tuple(key.values())
    held = parts.get(place)
    if held is None:
        parts[place] = key, sums
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


def _span_of(edges: Sequence[int]) -> str:
    """SQL for the second at which a roll-up's span begins: arithmetic between changes of the clock."""
    runs: list[tuple[int, int, int]] = []  # (until, origin, length)
    for a, b in pairwise(edges):
        length = b - a
        if runs and runs[-1][2] == length:
            runs[-1] = (b, runs[-1][1], length)
        else:
            runs.append((b, a, length))
    cases = " ".join(
        f"WHEN r.start < {until} THEN {origin} + (r.start - {origin}) / {length} * {length}"
        for until, origin, length in runs
    )
    return f"CASE {cases} END"


__all__ = ["NOTHING", "Wanted", "nearest_midnight", "shifted"]
