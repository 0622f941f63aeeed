"""What a person may do about budgets: ask for more with a reason, confirm that they go over a soft one,
and be told, once each, how far those are used that concern them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.formats import date_format

from chat import audit
from chat.actions.recording import record, record_change, state_of
from chat.actions.refusals import Refused
from chat.models import Budget, BudgetConsent, BudgetPeriod, BudgetRequest, BudgetTold
from chat.strings import budget_texts
from chat.threads import write_transaction
from chat.turns import spending, warning

#: Characters of a reason.
REASON = 1000
#: What the audit log is told of a budget.
FIELDS = ("scope", "team", "person", "agent", "measure", "currency", "limit", "period", "hard", "contact",
          "enabled")  # fmt: skip


def ask_for_more(user: Any, *, budget: str, reason: str) -> BudgetRequest:
    """Ask the administrators for more of a budget; one question at a time. Raises Refused."""
    reason = reason.strip().replace("\x00", "")[:REASON]
    with write_transaction():
        row = _named(user, budget)
        if not reason:
            raise Refused("reason_missing")
        if row.requests.filter(person=user, grant=None, declined_at=None).exists():
            raise Refused("asked_already")
        request = BudgetRequest.objects.create(
            budget=row, person=user, reason=reason, created_at=timezone.now()
        )
        record("budget.asked", f"budget:{row.public_id}", {"reason": reason}, actor=user)
    return request


def go_over(user: Any, *, budget: str) -> None:
    """Confirm that one's questions may go over a soft budget, until its period ends; a second time changes
    nothing. Raises Refused."""
    with write_transaction():
        row = _named(user, budget)
        if row.hard:
            raise Refused("not_found")
        now = timezone.now()
        period = spending.period_of(row, now)
        _consent, made = BudgetConsent.objects.get_or_create(period=period, person=user)
        if made:
            record("budget.confirmed", f"budget:{row.public_id}", {
                "used": period.used, "limit": spending.limit_of(row, now), "start": period.start.isoformat(),
            }, actor=user)  # fmt: skip


def record_lost(**of: Any) -> None:
    """Record that the budgets of a person, team or agent go with it. Inside that transaction."""
    for budget in Budget.objects.filter(**of):
        record_change("budget.deleted", f"budget:{budget.public_id}", state_of(budget, FIELDS), {})


def _named(user: Any, budget: str) -> Budget:
    visible = Budget.objects.visible_to(user).filter(enabled=True).named(budget)
    row = visible.select_for_update(of=("self",)).first()
    if row is None:
        raise Refused("not_found")
    return row


# -- being told ------------------------------------------------------------------------------------


def notices(user: Any) -> list[str]:
    """A sentence for each budget whose next percentage was reached since this person was last told; they
    count as told from now on. One query while there is no budget."""
    if not spending.in_force():
        return []
    now = timezone.now()
    periods = _untold(user, now)
    found = []
    for period in periods:
        limit = spending.limit_of(period.budget, now)
        percent = min(period.warned, warning.reached(period.used, limit))
        if percent:
            found.append(
                _sentence(warning.facts(period.budget, period, percent, limit), period.budget, limit)
            )
    _tell(user, periods)
    return found


def mark_told(user: Any) -> None:
    """What was reached until now was shown to this person."""
    if spending.in_force():
        _tell(user, _untold(user, timezone.now()))


def _untold(user: Any, now: datetime) -> list[BudgetPeriod]:
    starts = {name: audit.budget_span(name, now)[0] for name in Budget.Period.values}
    told = BudgetTold.objects.filter(period=OuterRef("pk"), person=user.pk, percent__gte=OuterRef("warned"))
    rows = BudgetPeriod.objects.filter(
        ~Exists(told), warned__gt=0, start__in=starts.values(),
        budget__in=Budget.objects.visible_to(user).filter(enabled=True),
    ).select_related("budget__team", "budget__agent")  # fmt: skip
    return [row for row in rows.order_by("pk") if row.start == starts[row.budget.period]]


def _tell(user: Any, periods: list[BudgetPeriod]) -> None:
    if not periods:
        return
    with write_transaction():
        for period in periods:
            told, made = BudgetTold.objects.get_or_create(
                period=period, person=user, defaults={"percent": period.warned}
            )
            if not made:
                BudgetTold.objects.filter(pk=told.pk, percent__lt=period.warned).update(percent=period.warned)


def _sentence(facts: dict[str, Any], budget: Budget, limit: int) -> str:
    """The same words as the page's modules have for the frame."""
    resets = timezone.localtime(datetime.fromisoformat(facts["resets_at"]))
    return budget_texts()[f"budget_{budget.scope}"].format(
        percent=facts["percent"], name=facts["name"], limit=budget.shown(limit),
        resets=date_format(resets, "SHORT_DATETIME_FORMAT"),
    )  # fmt: skip
