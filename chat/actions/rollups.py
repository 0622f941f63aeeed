"""Making the roll-ups again from the ledger's rows, and holding them against these.

A day at a time, each in a transaction of its own for which those who write the ledger wait, so that
people may go on working. Commands and a migration call it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import Count, Max, Min, Q, Sum
from django.db.models.functions import TruncHour

from chat.audit.periods import midnights
from chat.models import LedgerEntry, Rollup, RollupKey, RollupState
from chat.models.ledger import lock_chain
from chat.models.rollups import (
    DAYS,
    DIMENSIONS,
    FIRST,
    FIRST_BOUNDS,
    HOURS,
    MONTHS,
    NULLABLE,
    SUMS,
    Found,
    Keys,
    Sums,
    begin,
    counted,
    fold,
    write,
    zone_name,
)
from chat.threads import write_transaction

#: Which columns of a full key name the same key in another face.
_KEYS: Final = {"s": "k.short", "p": "k.person", "n": "k.nobody", "g": "k.gross"}


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
        RollupState.objects.filter(pk=1).update(ready=True)
        RollupKey.objects.exclude(pk__in=Rollup.objects.values("key")).delete()
    return Rollup.objects.count()


def compare() -> Iterator[Difference]:
    """Where a roll-up is not what the rows add up to; those of months, what their days do."""
    for start, end in _days():
        with write_transaction():
            lock_chain()
            _, summed = _summed(start, end, (*HOURS, *DAYS))
            stored = _stored((*HOURS, *DAYS), start, end)
        yield from _different(stored, summed)
    for start, end in _months():
        with write_transaction():
            lock_chain()
            stored = _stored(MONTHS, start, end)
            summed = {
                (grain, int(start.timestamp()), key): sums
                for grain in MONTHS
                for key, sums in _of_days(f"{grain[0]}d", start, end)
            }
        yield from _different(stored, summed)


def _different(stored: Found, summed: Found) -> Iterator[Difference]:
    for place in sorted({*summed, *stored}):
        if stored.get(place) != summed.get(place):
            yield Difference(*place, stored.get(place), summed.get(place))


# -- days and months -------------------------------------------------------------------------------


def _zone() -> ZoneInfo:
    name = RollupState.objects.filter(pk=1).values_list("zone", flat=True).first()
    return ZoneInfo(name or zone_name())


def _days() -> Iterator[tuple[datetime, datetime]]:
    """[start, end) of every day that has ledger entries or roll-ups or lies between such days."""
    first, last = LedgerEntry.objects.aggregate(first=Min("ended_at"), last=Max("ended_at")).values()
    low, high = Rollup.objects.aggregate(low=Min("start"), high=Max("start")).values()
    ends = [moment for moment in (first, last) if moment is not None]
    ends += [datetime.fromtimestamp(start, UTC) for start in (low, high) if start is not None]
    if ends:
        yield from pairwise(midnights(min(ends), max(ends), _zone()))


def _months() -> Iterator[tuple[datetime, datetime]]:
    """The same in whole months; the first and the last may begin and end within theirs."""
    days = list(_days())
    if days:
        edges = [start for start, _end in days if start.day == 1]
        yield from pairwise(sorted({days[0][0].replace(day=1), *edges, days[-1][1]}))


def _within(grains: tuple[str, ...], start: datetime, end: datetime) -> Q:
    return Q(grain__in=grains, start__gte=int(start.timestamp()), start__lt=int(end.timestamp()))


def _stored(grains: tuple[str, ...], start: datetime, end: datetime) -> Found:
    within = Rollup.objects.filter(_within(grains, start, end))
    rows: Any = within.values_list("grain", "start", "key", *SUMS)
    return {(grain, begun, key): list(sums) for grain, begun, key, *sums in rows}


# -- making ----------------------------------------------------------------------------------------


def _rebuild_day(start: datetime, end: datetime) -> None:
    """Hours in full from the rows, all else of the day from these."""
    with write_transaction():
        lock_chain()
        keys, found = _summed(start, end, ("fh",))
        Rollup.objects.filter(_within((*HOURS, *DAYS), start, end)).delete()
        write(keys, found)
        for grain in (*HOURS, *DAYS):
            if grain != "fh":
                _copy("fh", grain, start, end, None if grain in HOURS else int(start.timestamp()))


def _copy(source: str, grain: str, start: datetime, end: datetime, at: int | None) -> None:
    """Fill a grain from a finer one of a full key, or of its own face; `at`: the one span's start."""
    key = "r.key" if source[0] == grain[0] else _KEYS[grain[0]]
    joined = "" if key == "r.key" else " JOIN chat_rollupkey k ON k.id = r.key"
    begun = "r.start" if at is None else str(at)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO chat_rollup (grain, start, key, {', '.join(SUMS)})"  # noqa: S608 (names of our own)
            f" SELECT '{grain}', {begun}, {key}, {_summing()} FROM chat_rollup r{joined}"
            " WHERE r.grain = %s AND r.start >= %s AND r.start < %s"
            f" GROUP BY {key}{', r.start' if at is None else ''}",
            [source, int(start.timestamp()), int(end.timestamp())],
        )


def _summing() -> str:
    return ", ".join(f"{'MAX' if name == 'last' else 'SUM'}(r.{name})" for name in SUMS)


def _of_days(grain: str, start: datetime, end: datetime) -> list[tuple[int, Sums]]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT r.key, {_summing()} FROM chat_rollup r"  # noqa: S608 (names of our own)
            " WHERE r.grain = %s AND r.start >= %s AND r.start < %s GROUP BY r.key",
            [grain, int(start.timestamp()), int(end.timestamp())],
        )
        return [(key, [_whole(value) for value in values]) for key, *values in cursor.fetchall()]


def _summed(start: datetime, end: datetime, grains: tuple[str, ...]) -> tuple[Keys, Found]:
    """What `rollups.gather` finds in the entries of a day, added up by the database."""
    rows = LedgerEntry.objects.filter(ended_at__gte=start, ended_at__lt=end)
    hours = rows.annotate(hour=TruncHour("ended_at", tzinfo=UTC)).order_by().values("hour", *DIMENSIONS)
    sums = {f"sum_{name}": Sum(name) for name in NULLABLE}
    counts = {"calls": Count("pk"), "priced": Count("amount"), "latest": Max("ended_at"), **_first()}
    return fold(
        (
            (tuple(row[name] for name in DIMENSIONS), row["hour"], _row(row))
            for row in hours.annotate(**counts, **sums).iterator()
        ),
        str(_zone()),
        grains,
    )


def _row(row: dict[str, Any]) -> Sums:
    row.update({name: _whole(row[f"sum_{name}"]) for name in NULLABLE})
    row["last"] = int(row["latest"].timestamp())
    ends = counted(row["outcome"], row["certainty"], row["calls"])
    return [*(row[name] for name in ("calls", "priced", *NULLABLE, *FIRST)), *ends, row["last"]]


def _first() -> dict[str, Any]:
    found, lower = {}, Q(first_delta_ms__isnull=False)
    for name, bound in zip(FIRST, (*FIRST_BOUNDS, None), strict=True):
        upper = Q() if bound is None else Q(first_delta_ms__lte=bound)
        found[name], lower = Count("pk", filter=lower & upper), Q(first_delta_ms__gt=bound)
    return found


def _whole(value: Any) -> int | None:
    """PostgreSQL sums BIGINT as NUMERIC."""
    return None if value is None else int(value)


__all__ = ["Difference", "compare", "rebuild"]
