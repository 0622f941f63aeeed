"""Making the roll-ups again from the ledger's rows, and holding them against these.

A day at a time, each in a transaction of its own for which those who write the ledger wait, so that
people may go on working. Commands and a migration call it. Where a midnight lies within an hour, the hour
is made and compared with the day that begins in it.
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

from chat.audit.periods import midnights
from chat.audit.summing import of_rollups, of_rows, second, stored, whole
from chat.models import LedgerEntry, Rollup, RollupKey, RollupState
from chat.models.adding import ONTO, Found, Sums, counted, fold, plus, write_keys
from chat.models.ledger import lock_chain
from chat.models.rollups import (
    DAYS,
    DIMENSIONS,
    FIRST,
    FIRST_BOUNDS,
    HOUR,
    HOURS,
    IN_FACE,
    MONTHS,
    NULLABLE,
    SUMS,
    begin,
    new_edition,
    zone_name,
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


def rebuild() -> int:
    """Make all roll-ups again, cut in the configured time zone; how many there are."""
    with write_transaction():
        lock_chain()
        state = RollupState.objects.filter(pk=1).first()
        if state is None or state.zone != zone_name():
            begin(ready=False)
            Rollup.objects.filter(grain__in=(*DAYS, *MONTHS)).delete()
    for start, end in _days():
        _rebuild_day(start, end)
    for start, end in _months():
        with write_transaction():
            lock_chain()
            Rollup.objects.filter(_within(MONTHS, start, end)).delete()
            for grain in MONTHS:
                _copy(f"{grain[0]}d", grain, start, end, int(start.timestamp()))
    with write_transaction():
        lock_chain()
        RollupState.objects.filter(pk=1).update(ready=True, edition=new_edition())
        # Apart: a subquery over millions of rows that nobody counted yet takes PostgreSQL many minutes.
        used = set(Rollup.objects.filter(grain__in=DAYS).values_list("key", flat=True).distinct())
        unused = [key for key in RollupKey.objects.values_list("pk", flat=True) if key not in used]
        for at in range(0, len(unused), 500):
            RollupKey.objects.filter(pk__in=unused[at : at + 500]).delete()
    return Rollup.objects.count()


def compare() -> Iterator[Difference]:
    """Where a roll-up is not what the rows add up to; those of months, what their days do."""
    for start, end in _days():
        with write_transaction():
            lock_chain()
            summed = _summed(start, end)
            there = _stored(_hours(start, end)) | _stored(_within(DAYS, start, end))
        yield from _different(there, summed)
    for start, end in _months():
        with write_transaction():
            lock_chain()
            there = _stored(_within(MONTHS, start, end))
            summed = {
                (grain, int(start.timestamp()), key): sums
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


def _months() -> Iterator[tuple[datetime, datetime]]:
    """The same in whole months; the first and the last may begin and end within theirs."""
    days = list(_days())
    if days:
        edges = [start for start, _end in days if start.day == 1]
        yield from pairwise(sorted({days[0][0].replace(day=1), *edges, days[-1][1]}))


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


def _rebuild_day(start: datetime, end: datetime) -> None:
    """Hours and days in full, all else of the day from these."""
    with write_transaction():
        lock_chain()
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
    first, last = _hour(start), _hour(end)
    found = _folded(start, last, (*HOURS, *DAYS))
    for low, high, grains in ((first, start, HOURS), (last, end, DAYS)):
        for place, sums in _folded(low, high, grains).items() if low < high else ():
            found[place] = plus(found[place], sums) if place in found else sums
    return found


def _folded(start: datetime, end: datetime, grains: tuple[str, ...]) -> Found:
    """The same of the entries between two moments of one day."""
    rows = LedgerEntry.objects.filter(ended_at__gte=start, ended_at__lt=end)
    hours = rows.annotate(hour=TruncHour("ended_at", tzinfo=UTC)).order_by().values("hour", *DIMENSIONS)
    sums = {f"sum_{name}": Sum(name) for name in NULLABLE}
    counts = {"calls": Count("pk"), "priced": Count("amount"), "latest": Max("ended_at"), **_first()}
    return fold(
        (
            (tuple(row[name] for name in DIMENSIONS), row["latest"], _row(row))
            for row in hours.annotate(**counts, **sums).iterator()
        ),
        str(_zone()),
        grains,
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


__all__ = ["Difference", "compare", "rebuild"]
