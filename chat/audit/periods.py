"""Periods: days, months and spans of them in a time zone. Knows no rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
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
    """Where the days or hours of [start, end) begin, and the last one's end."""
    found, at = [start], start.astimezone(zone)
    while True:
        if step == "day":
            at = midnight(at.date() + timedelta(days=1), zone)
        else:
            # Behind the clock's change an hour of the day may come twice: hours are counted in UTC.
            whole = at.replace(minute=0, second=0, microsecond=0)
            at = datetime.fromtimestamp(whole.timestamp() + 3600, zone)
        if at >= end:
            return [*found, end]
        found.append(at)


__all__ = ["PERIODS", "bounds", "midnight", "midnights", "period", "period_before"]
