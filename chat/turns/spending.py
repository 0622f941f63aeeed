"""Budgets at work: a call reserves what it may use before it is made, and is settled with its entry.

A budget's period is one row; reserving is one conditional UPDATE of it, so that calls at the same
instant cannot slip under a limit together. Where less is left than a call may use, calls go one at a
time. Nothing is read but one EXISTS while no budget is in force.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db.models import F, Q, Sum
from django.utils import timezone

from chat import audit
from chat.agents import AgentRequest
from chat.models import (
    Budget,
    BudgetConsent,
    BudgetGrant,
    BudgetHold,
    BudgetPeriod,
    LedgerEntry,
    Membership,
    Message,
    PendingCall,
)  # fmt: skip
from chat.models.execution import fetch
from chat.models.ledger import lock_chain
from chat.models.prices import Prices, amount_of
from chat.turns import warning
from chat.turns.entries import estimate, served_by

#: A reservation that is older belongs to nothing that runs: no turn is that long.
STALE: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Shortage:
    """A budget that has no room for a call: a hard one, or a soft one that this person has not yet agreed
    to go over. `start`: when its period began."""

    budget: Budget
    limit: int
    start: datetime
    resets_at: datetime


@dataclass(frozen=True, slots=True)
class _Counted:
    """Tokens of a call, as prices look at them."""

    user_tokens: int | None
    output_tokens: int | None
    enrichment_tokens: None = None
    cached_tokens: None = None
    reasoning_tokens: None = None


def in_force() -> bool:
    """Whether there is any budget: all that a send asks while there is none."""
    found = fetch("SELECT EXISTS (SELECT 1 FROM chat_budget WHERE enabled)", [])
    return found is not None and bool(found[0])


def limit_of(budget: Budget, now: datetime) -> int:
    """The limit with what was granted."""
    granted = BudgetGrant.objects.filter(budget=budget, until__gt=now)
    return budget.limit + (granted.aggregate(extra=Sum("extra"))["extra"] or 0)


def of(user_id: int | None, agent_id: int | None) -> list[Budget]:
    """The budgets in force that a call of this person to this agent counts for."""
    scopes = Q(scope=Budget.Scope.EVERYONE) | Q(scope=Budget.Scope.AGENT, agent=agent_id)
    if user_id is not None:
        team = Membership.objects.filter(user=user_id).values("team")
        scopes |= Q(scope=Budget.Scope.PERSON, person=user_id) | Q(scope=Budget.Scope.TEAM, team__in=team)
    return list(Budget.objects.filter(scopes, enabled=True).order_by("pk"))


def reserve(
    user_id: int | None, agent: Any, request: AgentRequest, message_id: str, *, agreed: bool = False
) -> Shortage | None:
    """Hold what the call may use; None when there is room. Inside the transaction of a send, which is
    rolled back where there is none. `agent`: its row; `agreed`: soft budgets may be gone over, which a
    person's own consent says too. A hard budget is named before a soft one."""
    now = timezone.now()
    budgets = of(user_id, agent.pk)
    # All rows are there before one of them is locked: making one waits for the ledger's writers.
    periods = [period_of(budget, now) for budget in budgets]
    asks: Shortage | None = None
    for budget, period in zip(budgets, periods, strict=True):
        needed, limit = _needed(budget, agent, request, now), limit_of(budget, now)
        room = Q(used__lte=limit - needed - F("reserved")) | Q(reserved=0, used__lt=limit)
        chosen = BudgetPeriod.objects.filter(pk=period.pk)
        taken = chosen.filter(room).update(reserved=F("reserved") + needed)
        if not taken:
            shortage = Shortage(budget, limit, *audit.budget_span(budget.period, now))
            if budget.hard:
                return shortage
            if not (agreed or _consented(period, user_id)):
                asks = asks or shortage
            chosen.update(reserved=F("reserved") + needed)
        BudgetHold.objects.create(period=period, message_id=message_id, amount=needed, created_at=now)
    return asks


def _consented(period: BudgetPeriod, user_id: int | None) -> bool:
    return user_id is not None and BudgetConsent.objects.filter(period=period, person=user_id).exists()


def _needed(budget: Budget, agent: Any, request: AgentRequest, now: datetime) -> int:
    """What the call may use, in the budget's measure: its texts, and as long an answer as is expected."""
    options = {**agent.options, **request.options}
    longest = options.get("max_completion_tokens") or options.get("max_tokens")
    output = longest if isinstance(longest, int) else settings.BUDGET_OUTPUT_TOKENS
    asked = estimate(request, "").user or 0
    if budget.measure == Budget.Measure.TOKENS:
        return asked + output
    day = timezone.localtime(now, timezone.get_default_timezone()).date()
    price = Prices.now().of(agent.pk, served_by(agent)["model"], day)
    if price is None or price.currency != budget.currency:
        return 0
    return amount_of(price.parts, _Counted(asked, output)) or 0


def period_of(budget: Budget, now: datetime) -> BudgetPeriod:
    """The row of the period that runs, made where it is not there yet. Inside a transaction."""
    start, end = audit.budget_span(budget.period, now)
    known = BudgetPeriod.objects.filter(budget=budget, start=start).first()
    if known is not None:
        return known
    lock_chain()  # what others are about to enter is counted here, or by them
    period, _made = BudgetPeriod.objects.get_or_create(
        budget=budget, start=start, defaults={"used": audit.used(budget, start, end)}
    )
    return period


# -- settling --------------------------------------------------------------------------------------


def enter(entries: Sequence[LedgerEntry], answers: Sequence[str] = ()) -> None:
    """Append entries to the ledger, count them for their budgets, and give back what was reserved for
    those of `answers` (public ids) that are over. The last step of a transaction."""
    LedgerEntry.objects.append(entries)
    if not in_force():
        return
    for entry in entries:
        for budget in of(entry.user_id, entry.agent_id):
            _count(budget, entry)
    release(_idle(BudgetHold.objects.filter(message_id__in=answers)))


def _idle(holds: Any) -> Any:
    """Those of `holds` whose answer neither runs nor is a call that is still read to its end."""
    running = Message.objects.running().values("public_id")
    return holds.exclude(message_id__in=running).exclude(
        message_id__in=PendingCall.objects.values("message_id")
    )


def _count(budget: Budget, entry: LedgerEntry) -> None:
    if budget.measure == Budget.Measure.TOKENS:
        used = sum(n or 0 for n in (entry.user_tokens, entry.enrichment_tokens, entry.output_tokens))
    else:
        used = (entry.amount or 0) if entry.currency == budget.currency else 0
    start, _end = audit.budget_span(budget.period, entry.ended_at)
    if used and BudgetPeriod.objects.filter(budget=budget, start=start).update(used=F("used") + used):
        period = BudgetPeriod.objects.get(budget=budget, start=start)
        warning.warn(budget, period, limit_of(budget, entry.ended_at))


def limit_changed(budget: Budget) -> None:
    """What is reached of another limit is announced anew. Inside the transaction of the change."""
    now = timezone.now()
    warning.limit_changed(budget, period_of(budget, now), limit_of(budget, now))


def release(holds: Any) -> None:
    """Give back reservations (a queryset of them)."""
    for hold in holds.order_by("period", "pk"):
        BudgetPeriod.objects.filter(pk=hold.period_id).update(reserved=F("reserved") - hold.amount)
        hold.delete()


def release_of(message_id: str) -> None:
    """Give back what is held under an id."""
    release(BudgetHold.objects.filter(message_id=message_id))


def release_stale() -> None:
    """Give back what is held for answers that do not run any more, however that came about."""
    old = timezone.now() - timedelta(seconds=settings.LIMIT_TURN) - STALE
    release(_idle(BudgetHold.objects.filter(created_at__lt=old)))


__all__ = [
    "Shortage",
    "enter",
    "in_force",
    "limit_changed",
    "limit_of",
    "of",
    "period_of",
    "release_stale",
    "reserve",
]
