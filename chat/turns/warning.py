"""Warnings of budgets: at each percentage an event of the audit log, and word to the people concerned.

Their open pages are told at once, when the transaction is committed; who has none open reads it on the
next page (chat/actions/budgets.py). What it must not do: count, refuse.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db import transaction

from chat import audit
from chat.models import AuditEvent, Budget, BudgetPeriod, BudgetTold, Membership
from chat.models.prices import AMOUNT_UNIT
from chat.protocol import frames
from chat.turns import announcing
from chat.turns.hub import feed_topic

#: Percentages that are announced, once a period each.
WARNED_AT: Final = (50, 80, 95, 100)


def reached(used: int, limit: int) -> int:
    """The highest of the percentages that `used` has come to; 0 below all of them."""
    return max((percent for percent in WARNED_AT if used * 100 >= percent * limit), default=0)


def warn(budget: Budget, period: BudgetPeriod, limit: int) -> None:
    """Announce what was reached and not announced before. Inside the transaction that counted."""
    percent = reached(period.used, limit)
    if percent <= period.warned:
        return
    BudgetPeriod.objects.filter(pk=period.pk).update(warned=percent)
    told = {"percent": percent, "used": period.used, "limit": limit, "start": period.start.isoformat()}
    AuditEvent.objects.append(None, "budget.reached", f"budget:{budget.public_id}", told)
    frame = frames.feed("reached", facts(budget, period, percent, limit), of="budget")
    transaction.on_commit(partial(_announce, concerned(budget), frame))


def limit_changed(budget: Budget, period: BudgetPeriod, limit: int) -> None:
    """A limit that was raised is warned of anew. Inside a transaction."""
    percent = reached(period.used, limit)
    BudgetPeriod.objects.filter(pk=period.pk, warned__gt=percent).update(warned=percent)
    BudgetTold.objects.filter(period=period, percent__gt=percent).update(percent=percent)


def facts(budget: Budget, period: BudgetPeriod, percent: int, limit: int) -> dict[str, Any]:
    """What a page needs for its sentence. `limit` is tokens, or units of the currency."""
    money = budget.measure == Budget.Measure.MONEY
    whose = budget.team or budget.agent
    return {
        "id": budget.public_id,
        "scope": budget.scope,
        "name": str(whose) if whose else None,
        "percent": percent,
        "limit": limit / AMOUNT_UNIT if money else limit,
        "currency": budget.currency or None,
        "resets_at": audit.budget_span(budget.period, period.start)[1].isoformat(),
        "hard": budget.hard,
    }


def concerned(budget: Budget) -> list[int]:
    """Keys of the people whose calls count for it and who can sign in."""
    people = get_user_model().objects.filter(is_active=True)
    if budget.scope == Budget.Scope.PERSON:
        people = people.filter(pk=budget.person_id or 0)
    elif budget.scope == Budget.Scope.TEAM:
        people = people.filter(pk__in=Membership.objects.filter(team=budget.team_id).values("user"))
    return list(people.values_list("pk", flat=True))


def _announce(people: Iterable[int], frame: str) -> None:
    for key in people:
        announcing.publish(feed_topic(key), 0, frame)


__all__ = ["WARNED_AT", "concerned", "facts", "limit_changed", "reached", "warn"]
