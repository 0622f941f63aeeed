"""How far each budget is used in the period that runs, when it begins anew, and when it will be used up.

The same for the administrator's panel, a person's own usage and the line in the list.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import Case, OuterRef, QuerySet, Subquery, Sum, Value, When
from django.utils import timezone

from chat.audit.budgets import budget_span, measured, of_budget
from chat.audit.reading import Known, reports
from chat.models.budgets import Budget, BudgetGrant, BudgetPeriod

#: The part of a period that must be over before its pace says anything.
PACE: Final = 0.1


@dataclass(frozen=True, slots=True)
class Allowance:
    """A budget and how far it is used. `exhausted_at`: when, at the pace of its period so far."""

    budget: Budget
    used: int
    limit: int
    part: float
    resets_at: datetime
    exhausted_at: datetime | None

    @property
    def percent(self) -> int:
        """Whole percent of the limit; a soft budget may go beyond 100."""
        return round(self.part * 100)

    @property
    def width(self) -> float:
        """How much of the bar is full, in hundredths."""
        return min(self.part, 1.0) * 100


def allowances(
    rows: QuerySet[Budget], known: Known | None = None, now: datetime | None = None
) -> list[Allowance]:
    """Those of `rows` that are in force, the most used first; one query, and one for budgets that no call
    was held against yet. `known`: `audit.keys()`, where they were read already."""
    now = now or timezone.now()
    begins = Case(
        *(When(period=name, then=Value(budget_span(name, now)[0])) for name in Budget.Period.values)
    )
    running = BudgetPeriod.objects.filter(budget=OuterRef("pk"), start=OuterRef("begins"))
    granted = BudgetGrant.objects.filter(budget=OuterRef("pk"), until__gt=now).order_by().values("budget")
    budgets: list[Any] = list(
        rows.filter(enabled=True).select_related("team", "person", "agent")
        .annotate(begins=begins)
        .annotate(
            used=Subquery(running.values("used")[:1]), extra=Subquery(granted.values(n=Sum("extra"))[:1])
        )
    )  # fmt: skip
    fresh = [budget for budget in budgets if budget.used is None]
    read = reports([(of_budget(one, *budget_span(one.period, now)), ()) for one in fresh], known)
    for budget, found in zip(fresh, read, strict=True):
        budget.used = measured(budget, found.total)
    made = [
        _allowance(
            budget,
            budget.used,
            budget.limit + (budget.extra or 0),
            *budget_span(budget.period, now),
            now,
        )
        for budget in budgets
    ]
    return sorted(made, key=lambda one: -one.part)


def _allowance(
    budget: Budget, used: int, limit: int, start: datetime, end: datetime, now: datetime
) -> Allowance:
    elapsed = (now - start) / (end - start)
    exhausted = None
    if used and elapsed >= PACE and used < limit:
        at = start + (now - start) * (limit / used)
        exhausted = at if at < end else None
    return Allowance(budget, used, limit, used / limit if limit else 1.0, end, exhausted)
