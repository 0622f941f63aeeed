"""What an administrator should look at now, whatever period the page shows: each with a number and a link.

A line is here only if one can end the sentence "so I will …".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import Any, Final

from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from chat import audit, limits
from chat.audit.allowances import Allowance
from chat.models import Budget, BudgetRequest, Share

#: Days whose median is a person's own measure, and how often it must be passed.
MEDIAN_DAYS: Final = 14
JUMP: Final = 10
#: Tokens of a day below which nobody is worth a line.
JUMP_TOKENS: Final = 10_000
#: The part of an agent's calls of a day that may fail, from this many calls on.
FAILING: Final = 0.05
FAILING_CALLS: Final = 20
#: Requests for more that nobody answered, in the address of their list.
OPEN: Final = "grant__isnull=1&declined_at__isnull=1"
#: Days before its end when a share link is named.
EXPIRING: Final = 3


@dataclass(frozen=True, slots=True)
class Line:
    """One thing to look at. `kind` is over, asked, quota, jump, failing, unknown or links."""

    kind: str
    text: str
    address: str


def today() -> audit.Filter:
    """The calls that are looked at."""
    zone: Any = timezone.get_default_timezone()
    return audit.Filter(*audit.period("today", zone, timezone.now()), zone)


def budgets() -> QuerySet[Budget]:
    """All budgets, each with how many people wait for an answer to their request for more."""
    open_ones = BudgetRequest.objects.filter(budget=OuterRef("pk"), grant=None, declined_at=None)
    counted = open_ones.order_by().values("budget").annotate(n=Count("pk")).values("n")
    return Budget.objects.annotate(asked=Coalesce(Subquery(counted), 0))


def lines(allowances: list[Allowance], of_today: audit.Report) -> list[Line]:
    """What there is to look at, the gravest first; two queries. `allowances`: of `budgets()`. `of_today`:
    the report of `today()`."""
    return [
        *_budgets(allowances),
        *_asked(allowances),
        *_jumps(of_today),
        *_failing_and_unknown(of_today),
        *_links(),
    ]


def _budgets(allowances: list[Allowance]) -> Iterator[Line]:
    for allowance in sorted(allowances, key=lambda one: -one.part):
        facts = {
            "whose": whose(allowance.budget), "part": f"{allowance.part:.0%}",
            "when": timezone.localtime(allowance.resets_at).strftime("%Y-%m-%d %H:%M"),
        }  # fmt: skip
        address = reverse("admin:chat_budget_change", args=[allowance.budget.pk])
        if allowance.part >= 1:
            text = _("The budget of %(whose)s is used up: %(part)s. It begins anew on %(when)s.") % facts
            yield Line("over", text, address)
        elif allowance.part >= 0.5:  # where people are warned first
            text = _("The budget of %(whose)s is used to %(part)s. It begins anew on %(when)s.") % facts
            yield Line("quota", text, address)
        elif allowance.exhausted_at is not None:
            facts["until"] = timezone.localtime(allowance.exhausted_at).strftime("%Y-%m-%d %H:%M")
            text = _("At this pace the budget of %(whose)s is used up on %(until)s.") % facts
            yield Line("quota", text, address)


def _asked(allowances: list[Allowance]) -> Iterator[Line]:
    for allowance in allowances:
        waiting = getattr(allowance.budget, "asked", 0)
        if waiting:
            text = ngettext(
                "%(count)d person asks for more of the budget of %(whose)s.",
                "%(count)d people ask for more of the budget of %(whose)s.",
                waiting,
            ) % {"count": waiting, "whose": whose(allowance.budget)}
            page = reverse("admin:chat_budgetrequest_changelist")
            yield Line("asked", text, f"{page}?{OPEN}&budget__id__exact={allowance.budget.pk}")


def whose(budget: Any) -> str:
    """Whom a budget is for."""
    return str(budget.team or budget.person or budget.agent or _("everyone"))


def _jumps(of_today: audit.Report) -> Iterator[Line]:
    begin = today().start
    days: dict[Any, list[int]] = {}
    for key, tokens in audit.days_of_people(begin - timedelta(days=MEDIAN_DAYS), begin):
        days.setdefault(key, []).append(tokens)
    for group in of_today.by("person"):
        # Days without a call are no part of it: who asks once a week is not ten times themselves each time.
        tokens, usual = group.sums.tokens or 0, median(days.get(group.key, [0]))
        if usual and tokens >= max(JUMP_TOKENS, JUMP * usual):
            facts = {"name": group.label, "times": int(tokens / usual), "days": MEDIAN_DAYS}
            text = _("%(name)s used %(times)d times their usual day today (median of %(days)d days).") % facts
            yield Line("jump", text, f"{reverse('admin:audit')}?period=today&person={group.key}&view=calls")


def _failing_and_unknown(of_today: audit.Report) -> Iterator[Line]:
    page = reverse("admin:audit")
    for group in of_today.by("agent"):
        bad = sum(group.sums.outcomes.get(name, 0) for name in ("failed", "interrupted"))
        if group.sums.calls >= FAILING_CALLS and bad / group.sums.calls > FAILING:
            facts = {"name": group.label, "part": f"{bad / group.sums.calls:.0%}", "calls": group.sums.calls}
            text = _("%(name)s failed in %(part)s of %(calls)d calls today.") % facts
            yield Line("failing", text, f"{page}?period=today&agent={group.key}&outcome=failed&view=calls")
    unknown = of_today.total.certainties.get("unknown", 0)
    if unknown:
        text = ngettext(
            "%d call of today came without usage.",
            "%d calls of today came without usage.",
            unknown,
        )
        yield Line("unknown", text % unknown, f"{page}?period=today&certainty=unknown&view=calls")


def _links() -> Iterator[Line]:
    now = timezone.now()
    soon = (
        Share.objects.opening(limits.of_sharing(), now)
        .filter(expires_at__lt=now + timedelta(days=EXPIRING))
        .count()
    )
    if soon:
        text = ngettext("%d share link ends within 3 days.", "%d share links end within 3 days.", soon)
        yield Line("links", text % soon, f"{reverse('admin:chat_share_changelist')}?state=soon")
