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
from chat.models.adding import Found, Sums, counted, fold, write_keys
from chat.models.ledger import lock_chain
from chat.models.rollups import (
    COUNTS,
    DAYS,
    DIMENSIONS,
    FIRST,
    FIRST_BOUNDS,
    HOUR,
    HOURS,
    IN_FACE,
    MONTHS,
    NULLABLE,
    OUTCOMES,
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
            summed = _summed(start, end, (*HOURS, *DAYS))
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
    """Hours and days in full, all else of the day from these."""
    with write_transaction():
        lock_chain()
        Rollup.objects.filter(_within((*HOURS, *DAYS), start, end)).delete()
        _sum_rows(start, end)
        begun = int(start.timestamp())
        for grain in ("fd", *HOURS, *(grain for grain in DAYS if grain != "fd")):
            if grain != "fh":
                source = "fh" if grain == "fd" or grain in HOURS else "fd"
                _copy(source, grain, start, end, None if grain in HOURS else begun)


def _sum_rows(start: datetime, end: datetime) -> None:
    """The hours of a day in full, from the ledger's rows."""
    within = LedgerEntry.objects.filter(ended_at__gte=start, ended_at__lt=end).order_by()
    postgresql = connection.vendor == "postgresql"
    # SQLite would round up what is less than half a millisecond before the next second.
    second = "EXTRACT(EPOCH FROM {})" if postgresql else "CAST(strftime('%%s', substr({}, 1, 19)) AS INTEGER)"
    hour = f"CAST(FLOOR({second.format('ended_at')} / {HOUR}) AS BIGINT) * {HOUR}"
    if not postgresql:
        hour = f"{second.format('ended_at')} / {HOUR} * {HOUR}"
    last = f"FLOOR({second.format('MAX(ended_at)')})" if postgresql else second.format("MAX(ended_at)")
    # Columns that are NULL for some are compared after a join by the others, which PostgreSQL can hash.
    same = "IS NOT DISTINCT FROM" if postgresql else "IS"
    equal = [f"k.{name} {same if name in _NULLABLE_KEYS else '='} s.{name}" for name in DIMENSIONS]
    adapt = connection.ops.adapt_datetimefield_value
    write_keys(within.values_list(*DIMENSIONS).distinct())
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO chat_rollup (grain, start, key, {', '.join(SUMS)})"  # noqa: S608 (names of our own)
            f" SELECT 'fh', s.hour, k.id, {', '.join(f's.{name}' for name in SUMS)} FROM ("
            f"SELECT {hour} AS hour, {', '.join(DIMENSIONS)}, {', '.join(_aggregates(last))}"
            f" FROM chat_ledgerentry WHERE ended_at >= %s AND ended_at < %s"
            f" GROUP BY {hour}, {', '.join(DIMENSIONS)}) s"
            f" JOIN chat_rollupkey k ON k.face = 'f' AND {' AND '.join(equal)}",
            [adapt(start), adapt(end)],
        )


_NULLABLE_KEYS: Final = ("user_id", "team_id", "agent_id")


def _aggregates(last: str) -> Iterator[str]:
    """SUMS of ledger rows that agree in all DIMENSIONS."""
    yield "COUNT(*) AS calls"
    yield "COUNT(amount) AS priced"
    yield from (f"SUM({name}) AS {name}" for name in NULLABLE)
    lower = "first_delta_ms IS NOT NULL"
    for name, bound in zip(FIRST, (*FIRST_BOUNDS, None), strict=True):
        upper = "" if bound is None else f" AND first_delta_ms <= {bound}"
        yield f"COUNT(CASE WHEN {lower}{upper} THEN 1 END) AS {name}"
        lower = f"first_delta_ms > {bound}"
    for name in COUNTS:
        column = "outcome" if name in OUTCOMES else "certainty"
        yield f"CASE WHEN {column} = '{name}' THEN COUNT(*) ELSE 0 END AS {name}"
    yield f"{last} AS last"


def _copy(source: str, grain: str, start: datetime, end: datetime, at: int | None) -> None:
    """Fill a grain from a finer one of a full key, or of its own face; `at`: the one span's start."""
    key = "r.key" if source[0] == grain[0] else f"k.{IN_FACE[grain[0]]}"
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


def _summed(start: datetime, end: datetime, grains: tuple[str, ...]) -> Found:
    """What `adding.fold` finds in the entries of a day: another way than theirs who wrote the roll-ups."""
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
    )[1]


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
