"""Sums by hour or by day of a zone, from the coarsest roll-ups that tell apart what is asked for."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

from chat.audit import reading
from chat.audit.filters import Filter
from chat.audit.periods import bounds
from chat.audit.reading import Known
from chat.audit.spans import (
    NOTHING,
    Found,
    Wanted,
    nearest_midnight,
    of_days,
    of_entries,
    of_hours,
    shifted,
)
from chat.audit.sums import BY, Point, Sums, own_of
from chat.models.rollups import SUMS

#: Spans from which on days and hours beside them are fewer rows than hours alone.
FEW: Final = 4

Step = Literal["hour", "day"]
What = Literal["all", "bar", "table"]

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
    names = list(dict.fromkeys((*(() if what == "bar" else ("currency",)), *(BY[by] if by else ()))))
    wanted = Wanted(filter, filter.chosen | ({BY[by][0]} if by else set()), names, WHAT[what])
    points: dict[tuple[int, Any], Point] = {}
    for span, key, sums in _read(wanted, [bound.timestamp() for bound in cut], step, known):
        ident, name = own_of(by, key) if by else (None, "")
        point = Point(cut[span], cut[span + 1], ident, name, Sums())
        points.setdefault((span, ident), point).sums.add(key, NOTHING | sums)
    return sorted(points.values(), key=lambda point: (point.start, point.label))


def _read(wanted: Wanted, edges: list[float], step: Step, known: Known | None) -> Found:
    """From days where the spans are days of the roll-ups; from days and what lies between their midnights
    and the spans' where that is less; else from hours."""
    if wanted.filter.of_rows:
        return of_entries(wanted, edges)
    known = (known or reading.keys()) if step == "day" else None
    if known and known.zone:
        nearest = [nearest_midnight(edge, known.zone) for edge in edges]
        if nearest == edges:
            return of_days(wanted, edges)
        if "last" not in wanted.sums and len(edges) > FEW:
            return shifted(wanted, edges, nearest, known.closed)
    return of_hours(wanted, edges)


def starts(filter: Filter, step: Step = "day") -> list[datetime]:
    """When the spans of a series begin, also those in which nothing was used."""
    return bounds(filter.start, filter.end, filter.zone, step)[:-1]


__all__ = ["Step", "What", "series", "starts"]
