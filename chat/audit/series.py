"""Sums by hour or by day of a zone, from the coarsest roll-ups that tell apart what is asked for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from chat.audit import entries, reading
from chat.audit.filters import Filter
from chat.audit.periods import bounds
from chat.audit.reading import Known
from chat.audit.spans import NOTHING, Wanted, nearest_midnight, shifted
from chat.audit.sums import BY, Point, Sums, own_of
from chat.models.rollups import HOUR, SUMS

#: Spans from which on days and hours beside them are fewer rows than hours alone.
FEW: Final = 4

Step = Literal["hour", "day"]
What = Literal["all", "bar", "table"]
Found = Iterator[tuple[int, dict[str, Any], dict[str, Any]]]

#: What a bar needs: a fourth of what there is, in less than half the time.
BAR: Final = ("calls", "user_tokens", "enrichment_tokens", "output_tokens")
#: What a series has: all, what a bar or a table needs.
WHAT: Final = {"all": SUMS, "bar": BAR, "table": tuple(name for name in SUMS if name != "last")}


def series(
    filter: Filter,
    step: Step = "day",
    by: str | None = None,
    known: Known | None = None,
    *,
    what: What = "all",
) -> list[Point]:
    """Sums by hour or by day of the filter's zone, in order of time, of all or by a dimension of BY.
    `what`: "table" leaves out when the last call was, "bar" all but calls and tokens in three kinds; days
    of a zone that is not the roll-ups' are read several times as fast then."""
    cut = bounds(filter.start, filter.end, filter.zone, step)
    edges = [int(bound.timestamp()) for bound in cut]
    told = filter.chosen | ({BY[by][0]} if by else set())
    if filter.of_rows or any(bound.timestamp() % HOUR for bound in cut):
        found: Found = entries.spans(filter, step, by)
    else:
        names = list(dict.fromkeys((*(() if what == "bar" else ("currency",)), *(BY[by] if by else ()))))
        wanted = Wanted(filter, told, names, WHAT[what])
        found = _read(wanted, edges, (known or reading.keys()).zone if step == "day" else None)
    points: dict[tuple[int, Any], Point] = {}
    for start, key, sums in found:
        span = min(bisect_right(edges, max(start, edges[0])), len(edges) - 1) - 1  # a period within a second
        ident, name = own_of(by, key) if by else (None, "")
        point = Point(cut[span], cut[span + 1], ident, name, Sums())
        points.setdefault((span, ident), point).sums.add(key, NOTHING | sums)
    return sorted(points.values(), key=lambda point: (point.start, point.label))


def _read(wanted: Wanted, edges: list[int], zone: ZoneInfo | None) -> Found:
    """From days where the spans are days of `zone`; from days and the hours between their midnights and
    the spans' where that is less; else from hours."""
    if zone is not None:
        nearest = [nearest_midnight(edge, zone) for edge in edges]
        if nearest == edges:
            return wanted.days(edges[0], edges[-1])
        if "last" not in wanted.sums and len(edges) > FEW:
            return shifted(wanted, edges, nearest)
    return wanted.hours(edges)


def starts(filter: Filter, step: Step = "day") -> list[datetime]:
    """When the spans of a series begin, also those in which nothing was used."""
    return bounds(filter.start, filter.end, filter.zone, step)[:-1]


__all__ = ["Step", "series", "starts"]
