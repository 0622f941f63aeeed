"""Sums by hour or by day of a zone, from the coarsest roll-ups that tell apart what is asked for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, Literal

from django.db import connection

from chat.audit import entries, reading
from chat.audit.filters import Filter
from chat.audit.periods import bounds, midnight
from chat.audit.reading import Known, summing, whole
from chat.audit.sums import BY, Point, Sums, own_of
from chat.models.rollups import HOUR, NULLABLE, SUMS

Step = Literal["hour", "day"]
Found = Iterator[tuple[int, dict[str, Any], dict[str, Any]]]

#: What a bar needs: a fourth of what there is, in less than half the time.
BAR: Final = ("calls", "user_tokens", "enrichment_tokens", "output_tokens")


#: What a bar leaves out.
_NOTHING: Final = {name: None if name in NULLABLE else 0 for name in SUMS}


def series(
    filter: Filter,
    step: Step = "day",
    by: str | None = None,
    known: Known | None = None,
    *,
    bar: bool = False,
) -> list[Point]:
    """Sums by hour or by day of the filter's zone, in order of time, of all or by a dimension of BY.
    `bar`: no more than a bar needs, calls and tokens in three kinds."""
    cut = bounds(filter.start, filter.end, filter.zone, step)
    edges = [int(bound.timestamp()) for bound in cut]
    if not filter.of_rows and all(bound.timestamp() % HOUR == 0 for bound in cut):
        found = _of_rollups(filter, edges, by, _grain(filter, step, by, cut, known or reading.keys()), bar)
    else:
        found = entries.spans(filter, step, by)
    points: dict[tuple[int, Any], Point] = {}
    for start, key, sums in found:
        span = bisect_right(edges, max(start, edges[0])) - 1
        ident, name = own_of(by, key) if by else (None, "")
        point = Point(cut[span], cut[span + 1], ident, name, Sums())
        points.setdefault((span, ident), point).sums.add(key, sums)
    return sorted(points.values(), key=lambda point: (point.start, point.label))


def starts(filter: Filter, step: Step = "day") -> list[datetime]:
    """When the spans of a series begin, also those in which nothing was used."""
    return bounds(filter.start, filter.end, filter.zone, step)[:-1]


def _grain(filter: Filter, step: Step, by: str | None, cut: list[datetime], known: Known) -> str:
    """The coarsest grain that tells apart what is asked for, and has a span's edges."""
    told = filter.chosen | ({BY[by][0]} if by else set())
    if "user_id" in told:
        face = "f" if "purpose" in told else "p" if told <= {"user_id", "team_id"} else "s"
    else:
        face = "n" if told & {"purpose", "outcome", "certainty"} else "g"
    zone = known.zone
    if step == "day" and zone is not None:
        local = (bound.astimezone(zone) for bound in cut)
        if all(bound == midnight(bound.date(), zone) for bound in local):
            return f"{face}d"
    return f"{face}h" if face in "ng" else "fh"


def _of_rollups(filter: Filter, edges: list[int], by: str | None, grain: str, bar: bool) -> Found:
    sums = BAR if bar else SUMS
    names = list(dict.fromkeys((*(() if bar else ("currency",)), *(BY[by] if by else ()))))
    condition, parameters = filter.sql("k")
    join = ""
    if names:
        join = " JOIN chat_rollupkey k ON k.id = r.key"
    elif condition:  # no join, so that the days come in their order and need no sorting
        keys = f"SELECT k.id FROM chat_rollupkey k WHERE k.face = %s{condition}"  # noqa: S608 (own names)
        condition = f" AND r.key IN ({keys})"
        parameters = [grain[0], *parameters]
    span = "r.start" if grain[1] == "d" else _span_of(edges)
    columns = "".join(f", k.{name}" for name in names)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {span} AS span{columns}, {summing(sums)} FROM chat_rollup r{join}"  # noqa: S608 (own names)
            f" WHERE r.grain = '{grain}' AND r.start >= {edges[0]} AND r.start < {edges[-1]}{condition}"
            f" GROUP BY {span if grain[1] == 'd' else 'span'}{columns}",
            parameters,
        )
        for start, *values in cursor.fetchall():
            key = dict(zip(names, values, strict=False))
            found = dict(zip(sums, map(whole, values[len(names) :]), strict=True))
            yield start, key, _NOTHING | found if bar else found


def _span_of(edges: list[int]) -> str:
    """SQL for the second at which a roll-up's span begins: arithmetic between changes of the clock."""
    runs: list[tuple[int, int, int]] = []  # (until, origin, length)
    for a, b in zip(edges, edges[1:], strict=False):
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


__all__ = ["Step", "series", "starts"]
