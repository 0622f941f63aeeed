"""Holding the roll-ups against the ledger's rows, a day at a time.

By another way than theirs who wrote them. Where a midnight lies within an hour, the hour is compared with
the day that begins in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, FloatField, Max, Q, Sum
from django.db.models.functions import Cast, ExtractMinute, Floor, TruncHour

from chat.actions.rollup_spans import (
    all_days,
    closed_months,
    hour_of,
    hours,
    month_from,
    within,
)
from chat.audit.summing import of_rollups, whole
from chat.models import LedgerEntry, Rollup, RollupState
from chat.models.adding import Found, Spans, Sums, counted, fold
from chat.models.ledger import lock_chain
from chat.models.rollups import (
    BEFORE_CUTS,
    DAYS,
    DIMENSIONS,
    FIRST,
    FIRST_BOUNDS,
    HOUR,
    MONTHS,
    NULLABLE,
    QUARTER,
    SUMS,
    cuts_after,
)
from chat.threads import write_transaction


@dataclass(frozen=True, slots=True)
class Difference:
    """A roll-up that is not what the rows add up to. None: it is missing, or there are no rows for it."""

    grain: str
    start: int
    key: int
    stored: Sums | None
    summed: Sums | None


def compare() -> Iterator[Difference]:
    """Where a roll-up is not what the rows add up to; those of months, what their days do."""
    for start, end in all_days():
        with write_transaction():
            lock_chain()
            summed = _summed(start, end)
            there = _stored(hours(start, end)) | _stored(within(DAYS, start, end))
            second = timedelta(seconds=1)
            there |= _stored(within(BEFORE_CUTS, start + second, end + second))
        yield from _different(there, summed)
    for month in closed_months():
        with write_transaction():
            lock_chain()
            start, end = month_from(month)
            there = _stored(within(MONTHS, start, end))
            summed = {
                (grain, month, key): sums
                for grain in MONTHS
                for key, sums in _of_days(f"{grain[0]}d", start, end)
            }
        yield from _different(there, summed)


def _different(there: Found, summed: Found) -> Iterator[Difference]:
    for place in sorted({*summed, *there}):
        if there.get(place) != summed.get(place):
            yield Difference(*place, there.get(place), summed.get(place))


def _stored(which: Q) -> Found:
    rows: Any = Rollup.objects.filter(which).values_list("grain", "start", "key", *SUMS)
    return {(grain, begun, key): list(sums) for grain, begun, key, *sums in rows}


def _of_days(grain: str, start: datetime, end: datetime) -> list[tuple[int, Sums]]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT r.key, {of_rollups(SUMS)} FROM chat_rollup r"  # noqa: S608 (names of our own)
            " WHERE r.grain = %s AND r.start >= %s AND r.start < %s GROUP BY r.key",
            [grain, int(start.timestamp()), int(end.timestamp())],
        )
        return [(key, [whole(value) for value in values]) for key, *values in cursor.fetchall()]


def _summed(start: datetime, end: datetime) -> Found:
    """What `adding.fold` finds in the entries of a day and of its hours, taken by quarters of an hour."""
    closed = RollupState.objects.get(pk=1).closed
    first, last = int(start.timestamp()), int(end.timestamp())
    hours_end = int(hour_of(end).timestamp())

    def spans(quarter: int) -> Spans:
        found = [("h", quarter - quarter % HOUR)] if quarter < hours_end else []
        found += [("d", first)] if quarter >= first else []
        return *found, *(("c", at) for at in cuts_after(quarter) if first < at <= min(last, closed))

    rows = LedgerEntry.objects.filter(ended_at__gte=hour_of(start), ended_at__lt=end)
    minute = Cast(ExtractMinute("ended_at", tzinfo=UTC), FloatField())
    parts = rows.annotate(hour=TruncHour("ended_at", tzinfo=UTC), part=Floor(minute * 60 / QUARTER))
    sums = {f"sum_{name}": Sum(name) for name in NULLABLE}
    counts = {"calls": Count("pk"), "priced": Count("amount"), "latest": Max("ended_at"), **_first()}
    return fold(
        (
            tuple(row[name] for name in DIMENSIONS),
            spans(int(row["hour"].timestamp()) + int(row["part"]) * QUARTER),
            _row(row),
        )
        for row in parts.order_by().values("hour", "part", *DIMENSIONS).annotate(**counts, **sums).iterator()
    )[1]


def _row(row: dict[str, Any]) -> Sums:
    row.update({name: whole(row[f"sum_{name}"]) for name in NULLABLE})
    row["last"] = int(row["latest"].timestamp())
    ends = counted(row["outcome"], row["certainty"], row["calls"])
    return [*(row[name] for name in ("calls", "priced", *NULLABLE, *FIRST)), *ends, row["last"]]


def _first() -> dict[str, Any]:
    found, lower = {}, Q(first_delta_ms__isnull=False)
    for name, bound in zip(FIRST, (*FIRST_BOUNDS, None), strict=True):
        upper = Q() if bound is None else Q(first_delta_ms__lte=bound)
        found[name], lower = Count("pk", filter=lower & upper), Q(first_delta_ms__gt=bound)
    return found


__all__ = ["Difference", "compare"]
