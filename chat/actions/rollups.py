"""Making the roll-ups of days that are over, making all of them again, and holding them against the rows.

A day at a time, each in a transaction of its own for which those who write the ledger wait, so that
people may go on working. A chore, commands and a migration call it. Where a midnight lies within an hour,
the hour is made and compared with the day that begins in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import Count, Max, Min, Q, Sum
from django.db.models.functions import TruncHour

from chat.audit.periods import midnight, midnights
from chat.audit.summing import of_rollups, of_rows, second, stored, whole
from chat.models import LedgerEntry, Rollup, RollupKey, RollupState
from chat.models.adding import ONTO, Found, Sums, counted, fold, plus, write_keys
from chat.models.ledger import lock_chain
from chat.models.rollups import (
    BEFORE_CUTS,
    CUTS,
    DAY,
    DAYS,
    DIMENSIONS,
    FIRST,
    FIRST_BOUNDS,
    HOUR,
    HOURS,
    IN_FACE,
    MONTHS,
    NULLABLE,
    QUARTER,
    SUMS,
    begin,
    month_of,
    new_edition,
    today,
    zone_name,
)
from chat.threads import write_transaction

#: Seconds between two looks for days that are over.
CLOSING = 600.0


@dataclass(frozen=True, slots=True)
class Difference:
    """A roll-up that is not what the rows add up to. None: it is missing, or there are no rows for it."""

    grain: str
    start: int
    key: int
    stored: Sums | None
    summed: Sums | None


def close() -> None:
    """Make the sums of the days that are over since the last time; nothing while all are being made."""
    ready = RollupState.objects.filter(pk=1, ready=True)
    while (state := ready.first()) and state.closed < today(state.zone):
        with write_transaction():
            lock_chain()
            day, until = _next_day(state)
            # Else another process was quicker.
            if ready.filter(closed=state.closed, zone=state.zone).update(closed=until):
                _close(state, day, until)


def _next_day(state: RollupState) -> tuple[int, int]:
    """[start, end) of the first day with calls since days were closed, as far as it is over: else of none."""
    start, now = state.closed, today(state.zone)
    since = LedgerEntry.objects.filter(ended_at__gte=datetime.fromtimestamp(start, UTC))
    moment = since.aggregate(first=Min("ended_at"))["first"]
    if moment is None or moment.timestamp() >= now:
        return now, now
    day = midnight(moment.astimezone(ZoneInfo(state.zone)).date(), ZoneInfo(state.zone))
    after = midnight(day.date() + timedelta(days=1), ZoneInfo(state.zone))
    return int(day.timestamp()), int(after.timestamp())


def _close(state: RollupState, day: int, until: int) -> None:
    # A cut in the hour in which days were closed has calls from before.
    _make_before_cuts(state.closed, min(state.closed + HOUR, until))
    _make_before_cuts(day, until)
    for month in {month_of(state.closed, state.zone), month_of(day, state.zone)}:
        if month < month_of(until, state.zone):
            _make_month(month)


def rebuild() -> int:
    """Make all roll-ups again, cut in the configured time zone; how many there are."""
    close()
    with write_transaction():
        lock_chain()
        state = RollupState.objects.filter(pk=1).first()
        if state is None or state.zone != zone_name() or not state.ready:
            state = begin(ready=False)
            Rollup.objects.exclude(grain__in=HOURS).delete()
    for start, end in _days():
        with write_transaction():
            lock_chain()
            _make_day(start, end)
            _make_before_cuts(int(start.timestamp()), min(int(end.timestamp()), state.closed))
    for month in _months():
        with write_transaction():
            lock_chain()
            _make_month(month)
    with write_transaction():
        lock_chain()
        RollupState.objects.filter(pk=1).update(ready=True, edition=new_edition())
        # Apart: a subquery over millions of rows that nobody counted yet takes PostgreSQL many minutes.
        used = set(Rollup.objects.filter(grain__in=DAYS).values_list("key", flat=True).distinct())
        unused = [key for key in RollupKey.objects.values_list("pk", flat=True) if key not in used]
        for at in range(0, len(unused), 500):
            RollupKey.objects.filter(pk__in=unused[at : at + 500]).delete()
    with connection.cursor() as cursor:  # a planner that knows nothing of so much that is new goes astray
        for model in (Rollup, RollupKey):
            cursor.execute(f"ANALYZE {model._meta.db_table}")
    return Rollup.objects.count()


def compare() -> Iterator[Difference]:
    """Where a roll-up is not what the rows add up to; those of months, what their days do."""
    for start, end in _days():
        with write_transaction():
            lock_chain()
            summed = _summed(start, end)
            there = _stored(_hours(start, end)) | _stored(_within(DAYS, start, end))
            second = timedelta(seconds=1)
            there |= _stored(_within(BEFORE_CUTS, start + second, end + second))
        yield from _different(there, summed)
    for month in _months():
        with write_transaction():
            lock_chain()
            start, end = _month(month)
            there = _stored(_within(MONTHS, start, end))
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


# -- days and months -------------------------------------------------------------------------------


def _zone() -> ZoneInfo:
    name = RollupState.objects.filter(pk=1).values_list("zone", flat=True).first()
    return ZoneInfo(name or zone_name())


def _days() -> Iterator[tuple[datetime, datetime]]:
    """[start, end) of every day that has ledger entries or roll-ups or lies between such days, and of the one
    that begins in the last hour of these."""
    first, last = LedgerEntry.objects.aggregate(first=Min("ended_at"), last=Max("ended_at")).values()
    low, high = Rollup.objects.aggregate(low=Min("start"), high=Max("start")).values()
    ends = [moment for moment in (first, last) if moment is not None]
    ends += [datetime.fromtimestamp(start, UTC) for start in (low, high) if start is not None]
    if ends:
        yield from pairwise(midnights(min(ends), max(ends) + timedelta(seconds=HOUR), _zone()))


def _months() -> list[int]:
    """When each month begins that has such days and is over."""
    days = [start for start, _end in _days()]
    begun = {int(day.replace(day=1).timestamp()) for day in days}
    state = RollupState.objects.filter(pk=1).first()
    return sorted(at for at in begun if state and at < month_of(state.closed, state.zone))


def _month(begun: int) -> tuple[datetime, datetime]:
    """[start, end) of a month."""
    start = datetime.fromtimestamp(begun, _zone())
    return start, midnight((start.date() + timedelta(days=32)).replace(day=1), start.tzinfo)


def _cuts(start: int, end: int) -> list[int]:
    """The cuts after `start`, up to and with `end`."""
    first = start - start % QUARTER + QUARTER
    return [at for at in range(first, end + 1, QUARTER) if at % DAY in CUTS]


def _within(grains: tuple[str, ...], start: datetime, end: datetime) -> Q:
    return Q(grain__in=grains, start__gte=int(start.timestamp()), start__lt=int(end.timestamp()))


def _hour(moment: datetime) -> datetime:
    """The hour of UTC that a moment lies in."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _hour_from(moment: datetime) -> datetime:
    """The first hour of UTC that does not begin before a moment."""
    hour = _hour(moment)
    return hour if hour == moment else hour + timedelta(seconds=HOUR)


def _hours(start: datetime, end: datetime) -> Q:
    """Those that are made with the day between two moments."""
    return _within(HOURS, _hour(start), _hour(end))


def _stored(within: Q) -> Found:
    rows: Any = Rollup.objects.filter(within).values_list("grain", "start", "key", *SUMS)
    return {(grain, begun, key): list(sums) for grain, begun, key, *sums in rows}


# -- making ----------------------------------------------------------------------------------------


def _make_day(start: datetime, end: datetime) -> None:
    """Hours and days in full, all else of the day from these."""
    Rollup.objects.filter(_hours(start, end)).delete()
    Rollup.objects.filter(_within(DAYS, start, end)).delete()
    begun, first, last = int(start.timestamp()), _hour(start), _hour(end)
    _sum_rows("fh", f"{second('e.ended_at')} / {HOUR} * {HOUR}", first, last)
    for grain in HOURS:
        if grain != "fh":
            _copy("fh", grain, first, last, None)
    _copy("fh", "fd", _hour_from(start), last, begun)
    for low, high in ((start, _hour_from(start)), (last, end)):
        if low < high:
            _sum_rows("fd", str(begun), low, high)
    for grain in DAYS:
        if grain != "fd":
            _copy("fd", grain, start, end, begun)


def _make_before_cuts(start: int, end: int) -> None:
    """What is before the cuts after `start`, up to and with `end`."""
    cuts = _cuts(start, end)
    Rollup.objects.filter(grain__in=BEFORE_CUTS, start__in=cuts).delete()
    for at in cuts:
        cut = datetime.fromtimestamp(at, UTC)
        _sum_rows("fc", str(at), _hour(cut), cut)
        for grain in BEFORE_CUTS:
            if grain != "fc":
                _copy("fc", grain, cut, cut + timedelta(seconds=1), at)


def _make_month(begun: int) -> None:
    """A month from its days."""
    start, end = _month(begun)
    Rollup.objects.filter(_within(MONTHS, start, end)).delete()
    for grain in MONTHS:
        _copy(f"{grain[0]}d", grain, start, end, begun)


def _sum_rows(grain: str, span: str, start: datetime, end: datetime) -> None:
    """Add the ledger's rows to sums in full; `span`: SQL for the second at which that of a row begins."""
    within = LedgerEntry.objects.filter(ended_at__gte=start, ended_at__lt=end).order_by()
    # Columns that are NULL for some are compared after a join by the others, which PostgreSQL can hash.
    same = "IS NOT DISTINCT FROM" if connection.vendor == "postgresql" else "IS"
    equal = [f"k.{name} {same if name in _NULLABLE_KEYS else '='} s.{name}" for name in DIMENSIONS]
    told = ", ".join(f"e.{name}" for name in DIMENSIONS)
    write_keys(within.values_list(*DIMENSIONS).distinct())
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO chat_rollup (grain, start, key, {', '.join(SUMS)})"  # noqa: S608 (names of our own)
            f" SELECT '{grain}', s.span, k.id, {', '.join(f's.{name}' for name in SUMS)} FROM ("
            f"SELECT {span} AS span, {told}, {of_rows(SUMS)}"
            f" FROM chat_ledgerentry e WHERE e.ended_at >= %s AND e.ended_at < %s"
            f" GROUP BY span, {told}) s"
            f" JOIN chat_rollupkey k ON k.face = 'f' AND {' AND '.join(equal)}{ONTO}",
            [stored(start), stored(end)],
        )


_NULLABLE_KEYS: Final = ("user_id", "team_id", "agent_id")


def _copy(source: str, grain: str, start: datetime, end: datetime, at: int | None) -> None:
    """Fill a grain from a finer one of a full key, or of its own face; `at`: the one span's start."""
    key = "r.key" if source[0] == grain[0] else f"k.{IN_FACE[grain[0]]}"
    joined = "" if key == "r.key" else " JOIN chat_rollupkey k ON k.id = r.key"
    begun = "r.start" if at is None else str(at)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO chat_rollup (grain, start, key, {', '.join(SUMS)})"  # noqa: S608 (names of our own)
            f" SELECT '{grain}', {begun}, {key}, {of_rollups(SUMS)} FROM chat_rollup r{joined}"
            " WHERE r.grain = %s AND r.start >= %s AND r.start < %s"
            f" GROUP BY {key}{', r.start' if at is None else ''}",
            [source, int(start.timestamp()), int(end.timestamp())],
        )


def _of_days(grain: str, start: datetime, end: datetime) -> list[tuple[int, Sums]]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT r.key, {of_rollups(SUMS)} FROM chat_rollup r"  # noqa: S608 (names of our own)
            " WHERE r.grain = %s AND r.start >= %s AND r.start < %s GROUP BY r.key",
            [grain, int(start.timestamp()), int(end.timestamp())],
        )
        return [(key, [whole(value) for value in values]) for key, *values in cursor.fetchall()]


def _summed(start: datetime, end: datetime) -> Found:
    """What `adding.fold` finds in the entries of a day and of its hours: another way than theirs who wrote
    the roll-ups."""
    begun, first, last = int(start.timestamp()), _hour(start), _hour(end)
    found: Found = {}
    _fold(found, "h", 0, first, start)
    _fold(found, "hd", begun, start, last)
    _fold(found, "d", begun, last, end)
    for at in _cuts(begun, min(int(end.timestamp()), RollupState.objects.get(pk=1).closed)):
        cut = datetime.fromtimestamp(at, UTC)
        _fold(found, "c", at, _hour(cut), cut)
    return found


def _fold(found: Found, spans: str, begun: int, start: datetime, end: datetime) -> None:
    """Add the sums of the entries between two moments: of their hours, and of the span that begins then."""
    rows = LedgerEntry.objects.filter(ended_at__gte=start, ended_at__lt=end)
    hours = rows.annotate(hour=TruncHour("ended_at", tzinfo=UTC)).order_by().values("hour", *DIMENSIONS)
    sums = {f"sum_{name}": Sum(name) for name in NULLABLE}
    counts = {"calls": Count("pk"), "priced": Count("amount"), "latest": Max("ended_at"), **_first()}
    parts = (
        (
            tuple(row[name] for name in DIMENSIONS),
            tuple((span, int(row["hour"].timestamp()) if span == "h" else begun) for span in spans),
            _row(row),
        )
        for row in hours.annotate(**counts, **sums).iterator()
    )
    for place, added in fold(parts)[1].items():
        found[place] = plus(found[place], added) if place in found else added


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


__all__ = ["Difference", "close", "compare", "rebuild"]
