"""What the foot of the list says of a person's own use, on every page and after every answer.

The budget that reaches least far, a person's own before a team's before everyone's; the month's tokens
where there is none. What it must not do: add up by itself; that is chat/audit.py.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from chat import audit
from chat.models import Budget, BudgetPeriod
from chat.turns import spending
from chat.views.answers import member

#: Whose budget is told first. An agent's is nobody's own.
NEAREST: Final = (Budget.Scope.PERSON, Budget.Scope.TEAM, Budget.Scope.EVERYONE)
#: Percentages from which the bar changes its colour.
WARN, BAD = 80, 100


@dataclass(frozen=True, slots=True)
class OwnUse:
    """`percent` of the budget, which a soft one may go beyond; None where there is no budget."""

    text: str
    percent: int | None = None
    level: str = ""


@never_cache
@require_safe
@member
def now(request: HttpRequest) -> HttpResponseBase:
    """The line as it is now: {"text", "percent", "level"}."""
    return JsonResponse(asdict(own_use(request.user)))


def own_use(user: Any) -> OwnUse:
    """Two queries while there is no budget."""
    moment = timezone.now()
    found = _nearest(user, moment) if spending.in_force() else None
    if found is None:
        return OwnUse(_of_the_month(user, moment))
    budget, percent = found
    level = "bad" if percent >= BAD else "warn" if percent >= WARN else ""
    return OwnUse(_sentence(budget, percent), percent, level)


def used_now(budget: Budget, moment: datetime) -> int:
    """What the running period has used, in the budget's measure."""
    start, end = audit.budget_span(budget.period, moment)
    known = BudgetPeriod.objects.filter(budget=budget, start=start).first()
    return known.used if known else audit.used(budget, start, end)


def percent_of(used: int, limit: int) -> int:
    """Whole percent of a limit; all of one that is nothing."""
    return round(100 * used / limit) if limit else 100


def _nearest(user: Any, moment: datetime) -> tuple[Budget, int] | None:
    budgets = Budget.objects.visible_to(user).filter(enabled=True, scope__in=NEAREST).select_related("team")
    reached = [
        (budget, percent_of(used_now(budget, moment), spending.limit_of(budget, moment)))
        for budget in budgets
    ]
    order = {scope.value: -rank for rank, scope in enumerate(NEAREST)}
    return max(reached, key=lambda one: (order[one[0].scope], one[1]), default=None)


def _sentence(budget: Budget, percent: int) -> str:
    said = {
        Budget.Period.DAY: _("{percent} of today"),
        Budget.Period.WEEK: _("{percent} of this week"),
        Budget.Period.MONTH: _("{percent} of this month"),
    }[Budget.Period(budget.period)].format(percent=f"{number_format(percent, force_grouping=True)} %")
    if budget.scope == Budget.Scope.PERSON:
        return said
    whose = str(budget.team) if budget.team else _("Everyone")
    return f"{whose}: {said}"


def _of_the_month(user: Any, moment: datetime) -> str:
    zone = timezone.get_default_timezone()
    span = audit.period("month", zone, moment)
    total = audit.report(audit.Filter(*span, zone=zone, persons=(user.pk,))).total
    if total.calls and total.tokens is None:
        return _("This month: not reported")
    tokens = total.tokens or 0
    said = ngettext("{tokens} token this month", "{tokens} tokens this month", tokens)
    return said.format(tokens=number_format(tokens, force_grouping=True))
