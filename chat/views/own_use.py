"""What the foot of the list says of a person's own use, on every page and after every answer.

The budget that reaches least far, a person's own before a team's before everyone's; the month's tokens
where there is none. What it must not do: add up by itself; that is chat/audit/.
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
from chat.audit.allowances import Allowance, allowances
from chat.models import Budget
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
    nearest = _nearest(user, moment)
    if nearest is None:
        return OwnUse(_of_the_month(user, moment))
    level = "bad" if nearest.percent >= BAD else "warn" if nearest.percent >= WARN else ""
    return OwnUse(_sentence(nearest.budget, nearest.percent), nearest.percent, level)


def _nearest(user: Any, moment: datetime) -> Allowance | None:
    found = allowances(Budget.objects.visible_to(user).filter(scope__in=NEAREST), now=moment)
    return min(found, key=lambda one: (NEAREST.index(one.budget.scope), -one.part), default=None)


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
    total = audit.report(audit.Filter(*span, zone=zone, persons=(user.pk,)), by=()).total
    if total.calls and total.tokens is None:
        return _("This month: not reported")
    tokens = total.tokens or 0
    said = ngettext("{tokens} token this month", "{tokens} tokens this month", tokens)
    return said.format(tokens=number_format(tokens, force_grouping=True))
