"""Holding the ledger against itself: its chain, the audit log's, and the roll-ups against the rows.

Everything here takes as long as there are rows; commands call it, and a page that says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Min, Q, Sum
from django.db.models.functions import TruncHour

from chat.actions.recording import record
from chat.models import AuditEvent, LedgerEntry, Rollup, RollupKey
from chat.models.ledger import lock_chain
from chat.models.rollups import (
    DIMENSIONS,
    FIRST,
    FIRST_BOUNDS,
    NULLABLE,
    SUMS,
    Found,
    Keys,
    Sums,
    fold,
    write,
)  # fmt: skip
from chat.threads import write_transaction

#: The audit log's word for a chain that was found whole; later looks begin by it.
VERIFIED = "ledger.verified"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a look at the chains found. `broken` is the number of the first ledger entry that was touched,
    `cut` the number of an entry that was there at an earlier look and is not, or is another, now;
    `event` the key of the first event of the audit log that was touched. All None: nothing was."""

    entries: int
    last: int
    broken: int | None = None
    cut: int | None = None
    event: int | None = None

    @property
    def whole(self) -> bool:
        """Nothing was touched."""
        return self.broken is None and self.cut is None and self.event is None


def verify() -> Verdict:
    """Read both chains from the first row to the last. A whole one is noted in the audit log with its last
    digest, so that rows cut off its end are missed at the next look."""
    entries, last = LedgerEntry.objects.aggregate(n=Count("pk"), last=Max("pk")).values()
    event = AuditEvent.objects.all().first_broken()
    found = Verdict(
        entries, last or 0, LedgerEntry.objects.filter(pk__lte=last or 0).first_broken(), _cut(),
        event.pk if event else None,
    )  # fmt: skip
    if found.whole and last:
        digest = LedgerEntry.objects.values_list("digest", flat=True).get(pk=last)
        with write_transaction():
            record(VERIFIED, f"ledger:{last}", {"entries": entries, "last": last, "digest": digest})
    return found


def _cut() -> int | None:
    for event in AuditEvent.objects.filter(action=VERIFIED).order_by("pk").iterator():
        noted: dict[str, Any] = event.data
        if not LedgerEntry.objects.filter(pk=noted["last"], digest=noted["digest"]).exists():
            return int(noted["last"])
    return None


# -- roll-ups --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Difference:
    """A roll-up that is not what the rows add up to. None: it is missing, or there are no rows for it."""

    grain: str
    start: int
    key: int
    stored: Sums | None
    summed: Sums | None


def days() -> Iterator[datetime]:
    """Every UTC day that has ledger entries or roll-ups, the first to the last."""
    first, last = LedgerEntry.objects.aggregate(first=Min("ended_at"), last=Max("ended_at")).values()
    low, high = Rollup.objects.aggregate(low=Min("start"), high=Max("start")).values()
    ends = [moment for moment in (first, last) if moment is not None]
    ends += [datetime.fromtimestamp(start, UTC) for start in (low, high) if start is not None]
    if not ends:
        return
    day = min(ends).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    while day <= max(ends):
        yield day
        day += timedelta(days=1)


def rebuild(day: datetime) -> int:
    """Make one UTC day's roll-ups again from the rows; how many there are."""
    with write_transaction():
        lock_chain()
        keys, found = _summed(day)
        Rollup.objects.filter(_within(day)).delete()
        write(keys, found)
    return len(found)


def compare(day: datetime) -> list[Difference]:
    """Where one UTC day's roll-ups are not what the rows add up to."""
    with write_transaction():
        lock_chain()
        _, summed = _summed(day)
        rows: Any = Rollup.objects.filter(_within(day)).values_list("grain", "start", "key", *SUMS)
        stored = {(grain, start, key): list(sums) for grain, start, key, *sums in rows}
    return [
        Difference(*place, stored.get(place), summed.get(place))
        for place in sorted({*summed, *stored})
        if stored.get(place) != summed.get(place)
    ]


def clear_keys() -> None:
    """Take away keys that no roll-up uses any more."""
    used = Rollup.objects.values("key")
    with write_transaction():
        RollupKey.objects.exclude(pk__in=used).delete()


def _within(day: datetime) -> Q:
    start = int(day.timestamp())
    return Q(start__gte=start, start__lt=start + 86400)


def _summed(day: datetime) -> tuple[Keys, Found]:
    """What `rollups.gather` finds in the entries of a day, added up by the database."""
    rows = LedgerEntry.objects.filter(ended_at__gte=day, ended_at__lt=day + timedelta(days=1))
    hours = rows.annotate(hour=TruncHour("ended_at", tzinfo=UTC)).order_by().values("hour", *DIMENSIONS)
    sums = {f"sum_{name}": Sum(name) for name in NULLABLE}
    counts = {"calls": Count("pk"), "priced": Count("amount"), **_first()}
    found = hours.annotate(**counts, **sums)
    return fold(
        (
            tuple(row[name] for name in DIMENSIONS),
            row["hour"],
            [_whole(row[f"sum_{name}" if name in NULLABLE else name]) for name in SUMS],
        )
        for row in found.iterator()
    )


def _first() -> dict[str, Any]:
    found, lower = {}, Q(first_delta_ms__isnull=False)
    for name, bound in zip(FIRST, (*FIRST_BOUNDS, None), strict=True):
        upper = Q() if bound is None else Q(first_delta_ms__lte=bound)
        found[name], lower = Count("pk", filter=lower & upper), Q(first_delta_ms__gt=bound)
    return found


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


__all__ = ["VERIFIED", "Difference", "Verdict", "clear_keys", "compare", "days", "rebuild", "verify"]
