"""The audit log in the administration: searched, read, and streamed out as JSON lines. Never written here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBadRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import path
from django.urls.resolvers import URLPattern
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from chat.actions.recording import record
from chat.admin.bases import ReadOnly
from chat.models import AuditEvent
from chat.models.audit_actions import label_of
from chat.threads import write_transaction

#: Events read at a time for a file.
CHUNK: Final = 1000
#: What the page's list shows of details.
BRIEF: Final = 80


class PeriodFilter(admin.SimpleListFilter):
    """The last day, week, month, quarter or year."""

    title = _("period")
    parameter_name = "period"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("1", _("24 hours")), ("7", _("7 days")), ("30", _("30 days")), ("90", _("90 days")),
                ("365", _("A year"))]  # fmt: skip

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        days = self.value()
        if days not in {value for value, _title in self.lookup_choices}:
            return queryset
        return queryset.filter(created_at__gte=timezone.now() - timedelta(days=int(days)))


class _Distinct(admin.SimpleListFilter):
    """The values there are of one column, from its index."""

    column = ""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        rows = AuditEvent.objects.order_by(self.column).values_list(self.column, flat=True).distinct()
        return [(value, self.said(value)) for value in rows[:500] if value]

    def said(self, value: str) -> str:
        """A value as the list of choices has it."""
        return value

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value()
        if value and "\x00" in value:  # PostgreSQL knows no NUL
            return queryset.none()
        return queryset.filter(**{self.column: value}) if value else queryset


class ActorFilter(_Distinct):
    """Who did it."""

    title = _("who")
    parameter_name = column = "actor"


class ActionFilter(_Distinct):
    """What was done."""

    title = _("action")
    parameter_name = column = "action"

    def said(self, value: str) -> str:
        return label_of(value)


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnly):
    list_display = ("created_at", "who", "what", "target", "brief", "address")
    list_filter = (PeriodFilter, ActionFilter, ActorFilter)
    search_fields = ("actor", "action", "target", "request_id", "digest", "data")
    search_help_text = _("Person, action, target, request, digest, or a word of the details.")
    date_hierarchy = "created_at"
    actions = None
    change_list_template = "admin/audit/log.html"
    fields = ("created_at", "who", "what", "action", "target", "before_and_after", "details", "address",
              "request_id", "previous", "digest", "holds")  # fmt: skip
    readonly_fields = ("who", "what", "before_and_after", "details", "holds")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_safe(self.lines))
        return [path("lines/", view, name="chat_auditevent_lines"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Django's list, with what the last verification found."""
        verified = AuditEvent.objects.filter(action="chain.verified").order_by("-pk").first()
        query = request.GET.urlencode()
        return super().changelist_view(
            request, {**(extra_context or {}), "verified": verified, "query": query}
        )

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> Any:
        """Django's search; SQLite keeps details as ASCII, and a word with accents is spelled as they are."""
        found, several = super().get_search_results(request, queryset, search_term)
        spelled = json.dumps(search_term)[1:-1]
        if spelled != search_term:
            found |= super().get_search_results(request, queryset, spelled)[0]
        return found, several

    def lines(self, request: HttpRequest) -> HttpResponseBase:
        """The chosen events, oldest first, one JSON object a line; what was there at its beginning."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            found: Any = self.get_changelist_instance(request).get_queryset(request)
        except IncorrectLookupParameters:
            return HttpResponseBadRequest()
        until = AuditEvent.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        with write_transaction():
            record("log.exported", "log", {"filter": request.GET.urlencode()})
        response = StreamingHttpResponse(
            _json_lines(found, until), content_type="application/jsonl; charset=utf-8"
        )
        response["Content-Disposition"] = (
            f'attachment; filename="stkweb-audit-log-{timezone.now():%Y-%m-%d}.jsonl"'
        )
        return response

    @admin.display(description=_("who"), ordering="actor")
    def who(self, event: AuditEvent) -> Any:
        return event.actor or (_("command line") if "command" in event.data else "-")

    @admin.display(description=_("what happened"), ordering="action")
    def what(self, event: AuditEvent) -> str:
        return label_of(event.action)

    @admin.display(description=_("details"))
    def brief(self, event: AuditEvent) -> str:
        changed = {**(event.data.get("before") or {}), **(event.data.get("after") or {})}
        rest = {name: value for name, value in event.data.items() if isinstance(value, str | int)}
        text = ", ".join([*changed, *(f"{name}: {value}" for name, value in rest.items())])
        return (text if len(text) <= BRIEF else f"{text[:BRIEF]}…") or "-"

    @admin.display(description=_("before and after"))
    def before_and_after(self, event: AuditEvent) -> SafeString | str:
        before, after = event.data.get("before") or {}, event.data.get("after") or {}
        names = [*dict.fromkeys((*before, *after))]
        rows = [(name, _written(before.get(name)), _written(after.get(name))) for name in names]
        return format_html_join("", "<div><b>{}</b>: <del>{}</del> → <ins>{}</ins></div>", rows) or "-"

    @admin.display(description=_("details"))
    def details(self, event: AuditEvent) -> SafeString | str:
        rest = [
            (name, _written(value)) for name, value in event.data.items() if name not in ("before", "after")
        ]
        return format_html_join("", "<div><b>{}</b>: {}</div>", rest) or "-"

    @admin.display(description=_("unbroken"), boolean=True)
    def holds(self, event: AuditEvent) -> bool:
        """Whether this row, and its link to the one before, is as it was written."""
        last = (
            AuditEvent.objects.filter(pk__lt=event.pk)
            .order_by("-pk")
            .values_list("digest", flat=True)
            .first()
        )
        return event.digest == event.computed() and event.previous == (last or "")


def _json_lines(found: Any, until: int) -> Iterator[bytes]:
    """Read by pages of keys: the log only grows, and no cursor waits for a slow reader."""
    rows, after = found.filter(pk__lte=until).order_by("pk"), 0
    while page := list(rows.filter(pk__gt=after)[:CHUNK]):
        yield "".join(f"{json.dumps(_line(event), ensure_ascii=False)}\n" for event in page).encode()
        after = page[-1].pk


def _line(event: AuditEvent) -> dict[str, Any]:
    when: datetime = event.created_at
    return {
        "id": event.public_id, "number": event.pk, "at": when.astimezone(UTC).isoformat(),
        "actor_id": event.actor_id, "actor": event.actor, "action": event.action, "target": event.target,
        "data": event.data, "address": event.address, "request_id": event.request_id,
        "previous": event.previous, "digest": event.digest,
    }  # fmt: skip


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
