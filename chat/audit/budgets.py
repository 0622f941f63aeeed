"""What counts for a budget, by the sums."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone

from chat.audit.filters import Filter
from chat.audit.periods import midnight
from chat.audit.reading import report
from chat.audit.sums import Sums
from chat.models import Budget


def budget_span(period: str, now: datetime) -> tuple[datetime, datetime]:
    """[start, end) of a budget's day, week (from Monday) or month that holds `now`, in the site's zone."""
    zone = timezone.get_default_timezone()
    today = now.astimezone(zone).date()
    if period == Budget.Period.DAY:
        first, last = today, today + timedelta(days=1)
    elif period == Budget.Period.WEEK:
        first = today - timedelta(days=today.weekday())
        last = first + timedelta(days=7)
    else:
        first = today.replace(day=1)
        last = (first + timedelta(days=32)).replace(day=1)
    return midnight(first, zone), midnight(last, zone)


def used(budget: Budget, start: datetime, end: datetime) -> int:
    """What counts for a budget between two moments, in its measure. A team's calls are those that its
    members made while they were in it."""
    return measured(budget, report(of_budget(budget, start, end), by=()).total)


def of_budget(budget: Budget, start: datetime, end: datetime) -> Filter:
    """The calls between two moments that count for a budget."""
    scope = Budget.Scope
    return Filter(
        start, end,
        persons=(budget.person_id,) if budget.scope == scope.PERSON and budget.person_id else (),
        teams=(budget.team_id,) if budget.scope == scope.TEAM and budget.team_id else (),
        agents=(budget.agent_id,) if budget.scope == scope.AGENT and budget.agent_id else (),
    )  # fmt: skip


def measured(budget: Budget, sums: Sums) -> int:
    """What sums are in a budget's measure."""
    if budget.measure == Budget.Measure.TOKENS:
        return sums.tokens or 0
    return sums.amounts.get(budget.currency, 0)


__all__ = ["budget_span", "measured", "of_budget", "used"]
