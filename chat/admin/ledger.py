"""The token ledger, to be read: nothing here adds, changes or deletes a row, nor adds rows up."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from chat.models import LedgerEntry

NOT_REPORTED = _("not reported")


def _tokens(field: str) -> Any:
    """A column of counts, where NULL is not 0."""

    def column(admin: Any, entry: LedgerEntry) -> int | None:
        count: int | None = getattr(entry, field)
        return count

    column.short_description = LedgerEntry._meta.get_field(field).verbose_name  # type: ignore
    column.admin_order_field = field  # type: ignore[attr-defined]
    column.empty_value_display = NOT_REPORTED  # type: ignore[attr-defined]
    return column


@admin.register(LedgerEntry)
class LedgerAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = (
        "ended_at", "username", "agent_name", "outcome", "user", "enrichment", "output", "error_code",
        "duration_ms",
    )  # fmt: skip
    list_filter = ("ended_at", "outcome", "certainty", "agent_name", "username")
    date_hierarchy = "ended_at"
    search_fields = ("username", "agent_name", "conversation_id", "message_id", "error_code")
    search_help_text = _("Person, agent, error, or the id of a conversation or message.")
    list_per_page = 50
    show_full_result_count = False
    actions = None
    fields = (
        ("started_at", "ended_at"), "username", ("agent_name", "provider", "model"),
        ("conversation_id", "message_id"), ("user", "enrichment", "output"), ("cached", "reasoning"),
        "certainty", "raw_usage", ("outcome", "error_code"), "upstream_id",
        ("first_delta_ms", "duration_ms"),
    )  # fmt: skip
    readonly_fields = ("user", "enrichment", "output", "cached", "reasoning")

    user = _tokens("user_tokens")
    enrichment = _tokens("enrichment_tokens")
    output = _tokens("output_tokens")
    cached = _tokens("cached_tokens")
    reasoning = _tokens("reasoning_tokens")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: LedgerEntry | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: LedgerEntry | None = None) -> bool:
        return False
