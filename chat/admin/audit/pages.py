"""The pages below /admin/audit/. Each look is an event of the audit log, once in ten minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import path, reverse
from django.urls.resolvers import URLPattern
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from chat import audit
from chat.actions import ledger as chains
from chat.actions.recording import record
from chat.admin.audit import attention, links, tables
from chat.admin.audit.chart import Chart, chart
from chat.admin.audit.files import FORMATS, Export
from chat.admin.audit.numbers import numbers
from chat.admin.audit.query import ORDERS, PEOPLED, STACKS, VIEWS, Query
from chat.audit.allowances import Allowance, allowances
from chat.models import AuditEvent, LedgerEntry
from chat.models.readings import may_read
from chat.threads import write_transaction

#: Rows of a table's page.
ROWS: Final = 50
#: Columns of a table of groups: the word of its order, its heading, and the same of what stands beneath it;
#: "" is the order of what no table is ordered by.
HEADINGS: Final = (
    ("label", gettext_lazy("Name"), "last", gettext_lazy("Last call")),
    ("tokens", gettext_lazy("Tokens"), "", gettext_lazy("Share, change")),
    ("user", gettext_lazy("Asked"), "", ""),
    ("enrichment", gettext_lazy("Knowledge"), "", ""),
    ("output", gettext_lazy("Answered"), "", ""),
    ("cost", gettext_lazy("Cost"), "", gettext_lazy("Of the budget")),
    ("calls", gettext_lazy("Calls"), "failed", gettext_lazy("Failed")),
    ("people", gettext_lazy("People"), "", ""),
    ("first", gettext_lazy("First text, s"), "", "p50, p95"),
)
#: A look at the same page by the same person is told again after this.
LOOKED: Final = timedelta(minutes=10)
#: Events of the last panel.
LATEST: Final = 8
PANEL: Final = (
    "audit.viewed", "export.finished", "export.broken_off", "log.exported", "reconcile.done", "reading.begun",
)  # fmt: skip
VERIFIED: Final = "chain.verified"

View = Callable[..., HttpResponseBase]


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """The pages below admin/audit/."""
    from chat.admin.audit import reconcile_page

    def page(route: str, view: View, name: str) -> URLPattern:
        return path(f"audit/{route}", site.admin_view(never_cache(_for_auditors(view))), name=name)

    return [
        page("", require_safe(overview), "audit"),
        page("calls/<str:public_id>/", require_safe(call), "audit_call"),
        page("export.<str:form>", require_safe(export), "audit_export"),
        page("exports/<str:number>/", require_safe(manifest), "audit_manifest"),
        page("verify/", require_POST(verify), "audit_verify"),
        page("reconcile/", reconcile_page.reconcile, "audit_reconcile"),
    ]


def may_audit(user: Any) -> bool:
    """Whether somebody may see the audit: whoever may see the ledger."""
    return bool(user.has_perm("chat.view_ledgerentry"))


def _for_auditors(view: View) -> View:
    def guarded(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        if not may_audit(request.user):
            raise PermissionDenied
        return view(request, **kwargs)

    return guarded


def overview(request: HttpRequest) -> HttpResponseBase:
    """Everything at once: numbers, chart, one table, and what to look at."""
    query = Query.read(request.GET)
    latest = _note_look(request, query)
    groups = {query.view} & {*audit.BY}
    found, past, today = audit.reports(
        [
            (query.filter, groups | {"person"}),
            (query.before(), groups),
            (attention.today(), ("person", "agent")),
        ],
        query.known,
    )
    budgets = allowances(attention.budgets(), query.known)
    limits = _limits(query.view, budgets)
    drawn = chart(query, found.by("person"))
    context = {
        "title": _("Audit"),
        "query": query,
        "views": [(name, label, query.address(view=name)) for name, label in VIEWS.items()],
        "stacks": [(name, label, query.address(stack=name)) for name, label in STACKS.items()],
        "numbers": numbers(found.total, past.total),
        "links": links.of_numbers(query),
        "headings": _headings(query.view, bool(limits)),
        "peopled": query.view in PEOPLED,
        "limits": limits,
        "chart": drawn,
        "chart_data": drawn.data(),
        "budgets": budgets,
        "budget": next((one for one in budgets if one.budget.scope == "everyone"), None),
        "attention": attention.lines(budgets, today),
        "verified": _verified(latest),
        "looks": [event for event in latest if event.action in PANEL][:LATEST],
        "formats": [
            (form, f"{reverse('admin:audit_export', args=[form])}{query.address()}") for form in FORMATS
        ],
        **(_calls(query, request, drawn) if query.view == "calls" else _groups(query, found, past, drawn)),
    }
    return _show(request, "admin/audit/overview.html", context, query.filter.zone)


def _headings(view: str, limited: bool) -> list[tuple[Any, ...]]:
    """Those of HEADINGS that a table has. `limited`: one of its rows has a budget of its own."""
    without = {"last"} if view == "day" else set()
    return [
        (
            name,
            label,
            *(("", "") if below in without or (name == "cost" and not limited) else (below, second)),
        )
        for name, label, below, second in HEADINGS
        if name != "people" or view in PEOPLED
    ]


def _limits(view: str, budgets: list[Allowance]) -> dict[Any, Allowance]:
    """The most used budget of each row of a table that has one of its own."""
    found: dict[Any, Allowance] = {}
    for one in budgets:
        if one.budget.scope == view:
            found.setdefault(getattr(one.budget, f"{view}_id"), one)
    return found


def _groups(query: Query, found: audit.Report, past: audit.Report, drawn: Chart) -> dict[str, Any]:
    # What bars of kinds are made of holds all that a table of days needs; a conversation's always does.
    whole = query.step == "day" and (query.stack == "kind" or query.filter.of_rows)
    made = tables.lines(query, found, past, drawn.points if whole else None)
    pages = max(1, -(-len(made) // ROWS))
    at = min(query.page, pages)
    return {
        "lines": [(line, _drill(query, line)) for line in made[(at - 1) * ROWS : at * ROWS]],
        "total": found.total,
        "people": len(found.by("person")),
        "line_count": len(made),
        "page": at,
        "pages": pages,
        "newer": query.address(page=at - 1) if at > 1 else "",
        "older": query.address(page=at + 1) if at < pages else "",
        "orders": {
            name: (
                query.address(sort=f"{'' if query.sort == name and query.descending else '-'}{name}"),
                ("descending" if query.descending else "ascending") if query.sort == name else "",
            )
            for name in ORDERS
        },
    }  # fmt: skip


def _drill(query: Query, line: tables.Line) -> str:
    """The calls behind a row."""
    if line.start is not None:
        return query.address(view="calls", period="custom", **{"from": line.key, "to": line.key})
    return query.address(view="calls", **{query.view: line.key})


def _calls(query: Query, request: HttpRequest, drawn: Chart) -> dict[str, Any]:
    after = _after(request.GET.get("after", ""))
    found = list(tables.latest(query, drawn.points, after, ROWS + 1))
    more = len(found) > ROWS
    found = found[:ROWS]
    last = f"{found[-1].ended_at.isoformat()} {found[-1].pk}" if more else ""
    return {
        "calls": found,
        "repeated": tables.repeated(found),
        "of_conversation": f"{query.address(conversation='')}&conversation=",
        "newer": query.address() if "after" in request.GET else "",
        "older": query.address(after=last) if more else "",
    }


def _after(text: str) -> tuple[datetime, int] | None:
    moment, _, number = text.rpartition(" ")
    try:
        found = parse_datetime(moment)
    except ValueError:
        return None
    if found is None or found.tzinfo is None or not number.isdigit() or len(number) > 18:
        return None
    return found, int(number)


def call(request: HttpRequest, public_id: str) -> HttpResponseBase:
    """One row of the ledger, every column of it, and nothing of what was asked or answered."""
    row = LedgerEntry.objects.filter(public_id=public_id).first() if public_id.isalnum() else None
    if row is None:
        raise Http404
    target = f"call:{row.public_id}"
    _note(request, target, {}, AuditEvent.objects.filter(action="audit.viewed", target=target)[:LATEST])
    before = LedgerEntry.objects.filter(pk=row.pk - 1).values_list("digest", flat=True).first()
    context = {
        "title": _("Call %d") % row.pk,
        "call": row,
        "holds": row.digest == row.computed() and row.previous == (before or ""),
        "repeats": tables.repeated([row]).get(row.retry_of, ""),
        "of_conversation": links.of_conversation(row),
        "may_read": bool(row.conversation_id) and may_read(request.user),
    }
    return _show(request, "admin/audit/call.html", context)


def export(request: HttpRequest, form: str) -> HttpResponseBase:
    """The view as a file, streamed."""
    if form not in FORMATS:
        raise Http404
    made = Export(request, Query.read(request.GET), form)
    response = StreamingHttpResponse(made, content_type=FORMATS[form])
    response["Content-Disposition"] = f'attachment; filename="{made.name}"'
    response["X-Export"] = made.number
    return response


def manifest(request: HttpRequest, number: str) -> HttpResponseBase:
    """What a file that was taken before holds: filter, rows, checksum."""
    exports = AuditEvent.objects.filter(action="export.finished", target=f"export:{number}")
    event = exports.first() if number.isalnum() else None
    if event is None:
        raise Http404
    return JsonResponse(event.data["manifest"], json_dumps_params={"indent": 2, "ensure_ascii": False})


def verify(request: HttpRequest) -> HttpResponseBase:
    """Follow both chains from their first row to their last; the result is an event itself."""
    result = verify_chains(request.user)
    broken = [name for name in ("ledger", "log") if result[name]["first_broken"] is not None]
    if broken:
        messages.error(request, _("A chain is broken: see Integrity."))
    else:
        messages.success(request, _("Every row is as it was written."))
    return HttpResponseRedirect(f"{reverse('admin:audit')}#integrity")


def verify_chains(actor: Any) -> dict[str, Any]:
    """{"ledger" and "log": {"until", "first_broken"}}, recorded. A row cut off the end is a broken one."""
    verdict = chains.verify()
    log = AuditEvent.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    broken = verdict.broken if verdict.broken is not None else verdict.cut
    result = {
        "ledger": {"until": verdict.last, "first_broken": broken},
        "log": {"until": log, "first_broken": verdict.event},
    }
    with write_transaction():
        record(VERIFIED, "chains", result, actor=actor)
    return result


def _verified(latest: list[AuditEvent]) -> AuditEvent | None:
    return next((event for event in latest if event.action == VERIFIED), None)


def _note_look(request: HttpRequest, query: Query) -> list[AuditEvent]:
    """Record this look, unless it was just recorded; the events of the panels, with it."""
    latest = list(AuditEvent.objects.filter(action__in=(*PANEL, VERIFIED)).order_by("-pk")[: LATEST * 3])
    made = _note(request, f"audit:{query.view}", {"view": query.view, "filter": query.given}, latest)
    return [made, *latest] if made else latest


def _note(
    request: HttpRequest, target: str, data: dict[str, Any], latest: Iterable[AuditEvent]
) -> AuditEvent | None:
    user: Any = request.user
    since, name = timezone.now() - LOOKED, user.get_username()
    for event in latest:
        if (event.actor, event.target, event.data) == (name, target, data) and event.created_at > since:
            return None
    with write_transaction():
        return record("audit.viewed", target, data, actor=user)


def _show(request: HttpRequest, template: str, context: dict[str, Any], zone: Any = None) -> HttpResponse:
    zone = zone or timezone.get_default_timezone()
    common = {"zone": zone, "now": timezone.now(), "has_budgets": True}
    with timezone.override(zone):
        return render(request, template, {**admin.site.each_context(request), **common, **context})


__all__ = ["may_audit", "urls", "verify_chains"]
