"""The ledger's rows themselves, and their sums in another way than those that pages read."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Max, Q, QuerySet, Sum

from chat.audit.filters import Filter
from chat.audit.summing import whole
from chat.audit.sums import Report
from chat.models import LedgerEntry
from chat.models.adding import counted
from chat.models.rollups import COUNTS, DIMENSIONS, FIRST, FIRST_BOUNDS, NULLABLE


def rows(filter: Filter) -> QuerySet[LedgerEntry]:
    """The ledger entries themselves, newest first."""
    within = Q(ended_at__gte=filter.start, ended_at__lt=filter.end)
    return LedgerEntry.objects.filter(within & filter.condition()).order_by("-ended_at", "-pk")


def exact(filter: Filter) -> Report:
    """The sums of a filter from the rows alone: what the roll-ups are held against."""
    found = rows(filter).order_by().values(*DIMENSIONS).annotate(**_sums())
    return Report((row, _named(row)) for row in found)


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
    sums = {name: whole(row.pop(f"sum_{name}")) for name in NULLABLE}
    sums |= {name: row.pop(name) for name in ("calls", "priced", *FIRST)}
    sums |= dict(zip(COUNTS, counted(row["outcome"], row["certainty"], sums["calls"] or 0), strict=True))
    return {**sums, "last": int(row.pop("latest").timestamp())}


__all__ = ["exact", "rows"]
