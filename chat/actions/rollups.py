"""Making the roll-ups of days that are over, and all of them again.

A day at a time, each in a transaction of its own for which those who write the ledger wait, so that
people may go on working. A chore, commands and a migration call it. Where a midnight lies within an hour,
the hour is made with the day that begins in it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import Min

from chat.actions.rollup_spans import (
    all_days,
    closed_months,
    hour_from,
    hour_of,
    hours,
    month_from,
    within,
)
from chat.audit.periods import midnight
from chat.audit.summing import Statement, apart, of_rollups, of_rows, second, stored
from chat.models import LedgerEntry, Rollup, RollupKey, RollupState
from chat.models.adding import ONTO, write_keys
from chat.models.ledger import lock_chain
from chat.models.rollups import (
    BEFORE_CUTS,
    DAYS,
    DIMENSIONS,
    HOUR,
    HOURS,
    IN_FACE,
    MONTHS,
    SUMS,
    begin,
    cuts_between,
    month_of,
    new_edition,
    today,
    zone_name,
)
from chat.threads import write_transaction

#: Seconds between two looks for days that are over.
CLOSING = 600.0


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
    for start, end in all_days():
        with write_transaction():
            lock_chain()
            _make_day(start, end)
            _make_before_cuts(int(start.timestamp()), min(int(end.timestamp()), state.closed))
    for month in closed_months():
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


# -- making ----------------------------------------------------------------------------------------


def _make_day(start: datetime, end: datetime) -> None:
    """Hours and days in full, all else of the day from these."""
    Rollup.objects.filter(hours(start, end)).delete()
    Rollup.objects.filter(within(DAYS, start, end)).delete()
    begun, first, last = int(start.timestamp()), hour_of(start), hour_of(end)
    rows = LedgerEntry.objects.filter(ended_at__gte=first, ended_at__lt=end).order_by()
    write_keys(rows.values_list(*DIMENSIONS).distinct())
    _sum_rows("fh", _entries(f"{second('e.ended_at')} / {HOUR} * {HOUR}", first, last))
    for grain in HOURS:
        if grain != "fh":
            _copy("fh", grain, first, last, None)
    _copy("fh", "fd", hour_from(start), last, begun)
    for low, high in ((start, hour_from(start)), (last, end)):
        if low < high:
            _sum_rows("fd", _entries(str(begun), low, high))
    for grain in DAYS:
        if grain != "fd":
            _copy("fd", grain, start, end, begun)


def _make_before_cuts(start: int, end: int) -> None:
    """What is before the cuts after `start`, up to and with `end`, of calls that have hours."""
    moments = [datetime.fromtimestamp(at, UTC) for at in cuts_between(start, end)]
    if not moments:
        return
    after = timedelta(seconds=1)
    Rollup.objects.filter(within(BEFORE_CUTS, moments[0], moments[-1] + after)).delete()
    ranges = [(int(cut.timestamp()), stored(hour_of(cut)), stored(cut)) for cut in moments]
    _sum_rows("fc", apart(ranges, _TOLD, of_rows(SUMS), ("chat_ledgerentry e", "e.ended_at"), "", ("", [])))
    for grain in BEFORE_CUTS:
        if grain != "fc":
            _copy("fc", grain, moments[0], moments[-1] + after, None)


def _make_month(begun: int) -> None:
    """A month from its days."""
    start, end = month_from(begun)
    Rollup.objects.filter(within(MONTHS, start, end)).delete()
    for grain in MONTHS:
        _copy(f"{grain[0]}d", grain, start, end, begun)


def _entries(span: str, start: datetime, end: datetime) -> Statement:
    """(span, what is told apart, sums) of the ledger's rows between two moments; `span`: SQL for the second
    at which a row's begins."""
    told = ", ".join(_TOLD)
    return (
        f"SELECT {span} AS number, {told}, {of_rows(SUMS)} FROM chat_ledgerentry e"  # noqa: S608 (own names)
        f" WHERE e.ended_at >= %s AND e.ended_at < %s GROUP BY number, {told}",
        [stored(start), stored(end)],
    )


def _sum_rows(grain: str, entries: Statement) -> None:
    """Add the ledger's rows to sums in full, whose keys are there."""
    # Columns that are NULL for some are compared after a join by the others, which PostgreSQL can hash.
    same = "IS NOT DISTINCT FROM" if connection.vendor == "postgresql" else "IS"
    equal = [f"k.{name} {same if name in _NULLABLE_KEYS else '='} s.{name}" for name in DIMENSIONS]
    rows, values = entries
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO chat_rollup (grain, start, key, {', '.join(SUMS)})"  # noqa: S608 (names of our own)
            f" SELECT '{grain}', s.number, k.id, {', '.join(f's.{name}' for name in SUMS)} FROM ({rows}) s"
            f" JOIN chat_rollupkey k ON k.face = 'f' AND {' AND '.join(equal)}{ONTO}",
            values,
        )


_TOLD: Final = tuple(f"e.{name}" for name in DIMENSIONS)
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


__all__ = ["CLOSING", "close", "rebuild"]
