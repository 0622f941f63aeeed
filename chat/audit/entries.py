"""Sums of the ledger's rows themselves: what no roll-up reaches, and what roll-ups are held against."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import Case, Count, Max, Q, QuerySet, Sum, Value, When
from django.db.models.functions import TruncDay, TruncHour

from chat.audit.filters import Filter
from chat.audit.sums import BY, Part, Report
from chat.models import LedgerEntry
from chat.models.adding import counted
from chat.models.rollups import COUNTS, DIMENSIONS, FIRST, FIRST_BOUNDS, NULLABLE


def rows(filter: Filter) -> QuerySet[LedgerEntry]:
    """The ledger entries themselves, newest first."""
    within = Q(ended_at__gte=filter.start, ended_at__lt=filter.end)
    return LedgerEntry.objects.filter(within & filter.condition()).order_by("-ended_at", "-pk")


def exact(filter: Filter) -> Report:
    """The sums of a filter from the rows alone: what the roll-ups are held against."""
    return Report(parts(filter))


def parts(filter: Filter) -> list[Part]:
    """The same, still apart: dimensions, and sums under the names of `rollups.SUMS`."""
    found = rows(filter).order_by().values(*DIMENSIONS).annotate(**_sums())
    return [(row, _named(row)) for row in found]


def parts_apart(filters: Sequence[Filter]) -> Iterator[tuple[int, Part]]:
    """The same of filters that differ in their periods alone, which do not overlap, each part with the
    place of its filter; one query."""
    if not filters:
        return
    whens = [
        When(ended_at__gte=filter.start, ended_at__lt=filter.end, then=Value(at))
        for at, filter in enumerate(filters)
    ]
    found = LedgerEntry.objects.filter(filters[0].condition()).annotate(at=Case(*whens))
    for row in found.filter(at__isnull=False).order_by().values("at", *DIMENSIONS).annotate(**_sums()):
        yield row.pop("at"), (row, _named(row))


def spans(filter: Filter, step: str, by: str | None) -> Iterator[tuple[int, dict[str, Any], dict[str, Any]]]:
    """(second at which its span begins, dimensions, sums), by hour or by day of the filter's zone."""
    trunc: Any = TruncDay if step == "day" else TruncHour
    columns = ["currency", "outcome", "certainty", *dict.fromkeys(BY[by] if by else ())]
    found = rows(filter).order_by().annotate(span=trunc("ended_at", tzinfo=filter.zone))
    for row in found.values("span", *columns).annotate(**_sums()):
        yield int(row.pop("span").timestamp()), row, _named(row)


def _sums() -> dict[str, Any]:
    first: dict[str, Any] = {}
    lower: int | None = None
    for name, bound in zip(FIRST, (*FIRST_BOUNDS, None), strict=True):
        condition = Q(first_delta_ms__isnull=False)
        condition &= Q(first_delta_ms__gt=lower) if lower is not None else Q()
        condition &= Q(first_delta_ms__lte=bound) if bound is not None else Q()
        first[name], lower = Count("pk", filter=condition), bound
    sums = {f"sum_{name}": Sum(name) for name in NULLABLE}
    return {"calls": Count("pk"), "priced": Count("amount"), "latest": Max("ended_at"), **sums, **first}


def _named(row: dict[str, Any]) -> dict[str, Any]:
    sums = {name: _whole(row.pop(f"sum_{name}")) for name in NULLABLE}
    sums |= {name: row.pop(name) for name in ("calls", "priced", *FIRST)}
    sums |= dict(zip(COUNTS, counted(row["outcome"], row["certainty"], sums["calls"] or 0), strict=True))
    return {**sums, "last": int(row.pop("latest").timestamp())}


def _whole(value: Any) -> int | None:
    """PostgreSQL sums BIGINT as NUMERIC."""
    return None if value is None else int(value)


__all__ = ["exact", "parts", "parts_apart", "rows", "spans"]
