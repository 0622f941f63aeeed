"""Periods: days, months and spans of them in a time zone. Knows no rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

PERIODS: Final = ("today", "yesterday", "7d", "30d", "month", "last_month")


def period(name: str, zone: Any, now: datetime) -> tuple[datetime, datetime]:
    """[start, end) of one of PERIODS, in days of `zone`; a period that still runs ends with its day."""
    today = now.astimezone(zone).date()
    tomorrow = today + timedelta(days=1)
    first = today.replace(day=1)
    spans = {
        "today": (today, tomorrow),
        "yesterday": (today - timedelta(days=1), today),
        "7d": (today - timedelta(days=6), tomorrow),
        "30d": (today - timedelta(days=29), tomorrow),
        "month": (first, tomorrow),
        "last_month": ((first - timedelta(days=1)).replace(day=1), first),
    }
    start, end = spans[name]
    return midnight(start, zone), midnight(end, zone)


def midnight(day: date, zone: Any) -> datetime:
    """When a day begins in `zone`."""
    return datetime.combine(day, time(), zone)


def midnight_from(moment: datetime, zone: Any) -> datetime:
    """The first midnight of `zone` that is not before a moment."""
    at = midnight(moment.astimezone(zone).date(), zone)
    return at if at.timestamp() >= moment.timestamp() else midnight(at.date() + timedelta(days=1), zone)


def midnights(low: datetime, high: datetime, zone: Any) -> Iterator[datetime]:
    """When each day of `zone` begins, from that of `low` to the first one after `high`."""
    day = low.astimezone(zone).date()
    while True:
        at = midnight(day, zone)
        yield at
        if at > high:
            return
        day += timedelta(days=1)


def period_before(start: datetime, end: datetime, zone: Any) -> datetime:
    """When the period before [start, end) begins: as many whole months, else as many days, or as long."""
    first, last = start.astimezone(zone), end.astimezone(zone)
    if first.time() != time() or last.time() != time():
        return start - (end - start)
    if first.day == last.day == 1:
        months = (last.year - first.year) * 12 + last.month - first.month
        number = first.year * 12 + first.month - 1 - months
        return midnight(date(number // 12, number % 12 + 1, 1), zone)
    return midnight(first.date() - (last.date() - first.date()), zone)


def bounds(start: datetime, end: datetime, zone: Any, step: str) -> list[datetime]:
    """Where the days or hours of [start, end) begin, and the last one's end. Hours are told in UTC: where the
    clock goes back, one of the zone comes twice, and those two would equal each other."""
    if step == "hour":
        start, end = start.astimezone(UTC), end.astimezone(UTC)
    after = _hour_after if step == "hour" else _day_after
    found, at = [start], after(start, zone)
    while at.timestamp() < end.timestamp():
        found.append(at)
        at = after(at, zone)
    return [*found, end]


def _day_after(at: datetime, zone: Any) -> datetime:
    return midnight(at.astimezone(zone).date() + timedelta(days=1), zone)


def _hour_after(at: datetime, zone: Any) -> datetime:
    """When the clock's next hour begins; a change by half an hour ends one."""
    second, local = int(at.timestamp()), at.astimezone(zone)
    offset = int((local.utcoffset() or timedelta()).total_seconds())
    return datetime.fromtimestamp(second - (second + offset) % 3600 + 3600, UTC)


__all__ = ["PERIODS", "bounds", "midnight", "midnight_from", "midnights", "period", "period_before"]
