"""Which days and months roll-ups are made for and compared by; how these are found."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from django.db.models import Max, Min, Q

from chat.audit.periods import midnight, midnights
from chat.models import LedgerEntry, Rollup, RollupState
from chat.models.rollups import HOUR, HOURS, month_of, zone_name


def zone_of() -> ZoneInfo:
    """The zone in which days are cut."""
    name = RollupState.objects.filter(pk=1).values_list("zone", flat=True).first()
    return ZoneInfo(name or zone_name())


def all_days() -> Iterator[tuple[datetime, datetime]]:
    """[start, end) of every day that has ledger entries or roll-ups or lies between such days, and of the one
    that begins in the last hour of these."""
    first, last = LedgerEntry.objects.aggregate(first=Min("ended_at"), last=Max("ended_at")).values()
    low, high = Rollup.objects.aggregate(low=Min("start"), high=Max("start")).values()
    ends = [moment for moment in (first, last) if moment is not None]
    ends += [datetime.fromtimestamp(start, UTC) for start in (low, high) if start is not None]
    if ends:
        yield from pairwise(midnights(min(ends), max(ends) + timedelta(seconds=HOUR), zone_of()))


def closed_months() -> list[int]:
    """When each month begins that has such days and is over."""
    days = [start for start, _end in all_days()]
    begun = {int(day.replace(day=1).timestamp()) for day in days}
    state = RollupState.objects.filter(pk=1).first()
    return sorted(at for at in begun if state and at < month_of(state.closed, state.zone))


def month_from(begun: int) -> tuple[datetime, datetime]:
    """[start, end) of a month."""
    start = datetime.fromtimestamp(begun, zone_of())
    return start, midnight((start.date() + timedelta(days=32)).replace(day=1), start.tzinfo)


def within(grains: tuple[str, ...], start: datetime, end: datetime) -> Q:
    """Roll-ups of these grains that begin between two moments."""
    return Q(grain__in=grains, start__gte=int(start.timestamp()), start__lt=int(end.timestamp()))


def hour_of(moment: datetime) -> datetime:
    """The hour of UTC that a moment lies in."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def hour_from(moment: datetime) -> datetime:
    """The first hour of UTC that does not begin before a moment."""
    hour = hour_of(moment)
    return hour if hour == moment else hour + timedelta(seconds=HOUR)


def hours(start: datetime, end: datetime) -> Q:
    """Those that are made with the day between two moments."""
    return within(HOURS, hour_of(start), hour_of(end))


__all__ = [
    "all_days",
    "closed_months",
    "hour_from",
    "hour_of",
    "hours",
    "month_from",
    "within",
]
