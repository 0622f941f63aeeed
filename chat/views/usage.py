"""A person's own use, at all times: what was used, how far the budgets reach, and asking for more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from chat import audit
from chat.actions import budgets as verbs
from chat.audit.allowances import Allowance, allowances
from chat.models import Budget, BudgetRequest, LedgerEntry, prices
from chat.views.answers import back, fields_of, member, refusals, text_field, wants_json

PERIODS = (
    ("today", gettext_lazy("Today")), ("7d", gettext_lazy("Last 7 days")),
    ("month", gettext_lazy("This month")),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a budget reaches. `until`: when it is used up at the pace so far, within its period;
    `answer`: what became of one's last request for more, "" where there is none."""

    budget: Budget
    used: str
    limit: str
    percent: int
    resets_at: datetime
    until: datetime | None
    asked: bool
    answer: str


@never_cache
@require_safe
@member
def mine(request: HttpRequest) -> HttpResponseBase:
    """Numbers of one's own calls, and the budgets that they count for."""
    zone, now = timezone.get_default_timezone(), timezone.now()
    key: Any = request.user.pk
    spans = [audit.period(name, zone, now) for name, _label in PERIODS]
    reports = audit.reports(
        [(audit.Filter(*span, zone=zone, persons=(key,)), ("certainty",)) for span in spans]
    )
    lines = [(label, _line(found.total)) for (_name, label), found in zip(PERIODS, reports, strict=True)]
    sure = [(label, _sure(found)) for (_name, label), found in zip(PERIODS, reports, strict=True)]
    budgets = allowances(Budget.objects.visible_to(request.user), now=now)
    reaches = [_reach(one, request.user, now) for one in budgets]
    context = {"lines": lines, "sure": sure, "reaches": reaches, "zone": str(zone), "longest": verbs.REASON}
    return render(request, "chat/usage.html", context)


@never_cache
@require_POST
@member
@refusals
def more(request: HttpRequest) -> HttpResponseBase:
    """Asks for more of the form's `budget`, with a `reason`."""
    verbs.ask_for_more(
        request.user, budget=request.POST.get("budget", ""), reason=request.POST.get("reason", "")
    )
    messages.success(request, _("Your request was sent. The answer shows here."))
    return redirect("usage")


@never_cache
@require_POST
@member
@refusals
def go_over(request: HttpRequest) -> HttpResponseBase:
    """Confirms that one's questions may go over the soft `budget` until its period ends."""
    fields = fields_of(request)
    verbs.go_over(request.user, budget=text_field(fields, "budget"))
    if wants_json(request):
        return JsonResponse({})
    messages.success(request, _("Confirmed until the budget begins anew. Send it now."))
    return back(request, "/")


@never_cache
@require_POST
@member
def told(request: HttpRequest) -> HttpResponseBase:
    """What was reached of budgets was shown on a page that was open."""
    verbs.mark_told(request.user)
    return JsonResponse({})


def _line(sums: audit.Sums) -> dict[str, Any]:
    unknown = _("not reported")
    counts = (sums.user_tokens, sums.enrichment_tokens, sums.output_tokens, sums.tokens)
    worth = [prices.shown(amount, currency) for currency, amount in sums.amounts.items()]
    return {
        "calls": sums.calls,
        "counts": [
            0 if not sums.calls else unknown if n is None else number_format(n, force_grouping=True)
            for n in counts
        ],
        "worth": " + ".join(worth) or "–",
    }


def _sure(report: audit.Report) -> list[dict[str, Any]]:
    """Tokens and calls by how sure they are: reported, estimated; the calls alone where nothing is known."""
    sums = {group.key: group.sums for group in report.by("certainty")}
    found = [sums.get(name, audit.Sums()) for name in LedgerEntry.Certainty.values]
    return [
        {"calls": one.calls, "tokens": number_format(one.tokens or 0, force_grouping=True)} for one in found
    ]


def _reach(allowance: Allowance, person: Any, now: datetime) -> Reach:
    budget = allowance.budget
    asked = budget.requests.filter(person=person).select_related("grant").first()
    is_open = asked is not None and asked.grant is None and asked.declined_at is None
    return Reach(
        budget, budget.shown(allowance.used), budget.shown(allowance.limit), allowance.percent,
        allowance.resets_at, allowance.exhausted_at, is_open,
        _answer(budget, asked, audit.budget_span(budget.period, now)[0]),
    )  # fmt: skip


def _answer(budget: Budget, asked: BudgetRequest | None, start: datetime) -> str:
    """What an administrator said to a request; a refusal is told while its period runs."""
    if asked is None:
        return ""
    if asked.grant is not None:
        until = date_format(timezone.localtime(asked.grant.until), "SHORT_DATETIME_FORMAT")
        facts = {"more": budget.shown(asked.grant.extra), "until": until}
        return _("You asked for more: %(more)s are granted until %(until)s.") % facts
    if asked.declined_at is not None and asked.declined_at >= start:
        when = date_format(timezone.localtime(asked.declined_at), "SHORT_DATETIME_FORMAT")
        return _("You asked for more: it was declined on %(when)s.") % {"when": when}
    return ""
