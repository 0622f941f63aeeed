"""Share links in the administration: who shares what with whom, and an end to it.

No text that was shared is shown here, nor a token. Links are made by their owners and only revoked here.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from chat import limits
from chat.actions import sharing
from chat.admin.audit.attention import EXPIRING
from chat.admin.bases import ReadOnly
from chat.models import Share


def _day(moment: datetime) -> str:
    """The day alone: the list has room for no more, and a link's own page says the minute."""
    return date_format(timezone.localtime(moment), "SHORT_DATE_FORMAT")


class StateFilter(admin.SimpleListFilter):
    """Live links first of all; the others on demand."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("soon", _("Ending soon")), ("over", _("Over")), ("all", _("All"))]

    def choices(self, changelist: Any) -> Any:
        yield {
            "selected": self.value() is None,
            "query_string": changelist.get_query_string(remove=[self.parameter_name]),
            "display": _("Open now"),
        }
        for value, title in self.lookup_choices:
            query = changelist.get_query_string({self.parameter_name: value})
            yield {"selected": self.value() == value, "query_string": query, "display": title}

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "all":
            return queryset
        opening = queryset.opening(limits.of_sharing())
        if self.value() == "soon":
            return opening.filter(expires_at__lt=timezone.now() + timedelta(days=EXPIRING))
        return queryset.exclude(pk__in=opening) if self.value() == "over" else opening


class LeaverFilter(admin.SimpleListFilter):
    """Links of people who left: their account is switched off."""

    title = _("the owner's account")
    parameter_name = "owner"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("left", _("Has left")), ("here", _("Is here"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Share]) -> QuerySet[Share]:
        if self.value() not in ("left", "here"):
            return queryset
        return queryset.filter(owner__is_active=self.value() == "here")


@admin.register(Share)
class ShareAdmin(ReadOnly):
    list_display = (
        "person", "who", "made", "ends", "opened_times", "readers", "last_opened", "public_id",
    )  # fmt: skip
    list_display_links = ("public_id",)
    list_filter = (
        StateFilter, LeaverFilter, "audience", "live", ("owner", admin.RelatedOnlyFieldListFilter),
    )  # fmt: skip
    list_select_related = ("owner",)
    search_fields = ("public_id", "owner__username", "conversation__public_id")
    search_help_text = _("Owner, or the id of a link or conversation.")
    actions = ("revoke",)
    fields = (
        "public_id", "owner", "conversation", "audience", "protected", "choices", "live", "embed",
        "created_at", "expires_at", "opened_times", "last_opened_at", "revoked_at", "checksums",
    )  # fmt: skip
    readonly_fields = ("public_id", "protected", "opened_times", "checksums", "created_at")

    def get_queryset(self, request: HttpRequest) -> Any:
        rows: Any = super().get_queryset(request)
        return rows.with_readers()

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Whoever may change share links."""
        user: Any = request.user
        return bool(user.has_perm("chat.change_share"))

    @admin.display(description=_("owner"), ordering="owner__username")
    def person(self, share: Share) -> str:
        left = _("has left")  # in braces no text is found for translation
        return str(share.owner) if share.owner.is_active else f"{share.owner} ({left})"

    @admin.display(description=_("audience"), ordering="audience")
    def who(self, share: Share) -> str:
        facts = [share.get_audience_display()]
        if share.passphrase:
            facts.append(str(_("with a passphrase")))
        if share.live:
            facts.append(str(_("live")))
        return ", ".join(facts)

    @admin.display(description=_("made"), ordering="created_at")
    def made(self, share: Share) -> str:
        return _day(share.created_at)

    @admin.display(description=_("expires"), ordering="expires_at")
    def ends(self, share: Share) -> str:
        if share.revoked_at is not None:
            return str(_("revoked on %(when)s") % {"when": _day(share.revoked_at)})
        return _day(sharing.ends_at(share))

    @admin.display(description=_("last opened"), ordering="last_opened_at")
    def last_opened(self, share: Share) -> str:
        return _day(share.last_opened_at) if share.last_opened_at is not None else "-"

    @admin.display(description=_("passphrase"), boolean=True)
    def protected(self, share: Share) -> bool:
        return bool(share.passphrase)

    @admin.display(description=_("openings"), ordering="openings")
    def opened_times(self, share: Share) -> str:
        return f"{share.openings} / {share.max_openings}" if share.max_openings else str(share.openings)

    @admin.display(description=_("readers"))
    def readers(self, share: Any) -> int:
        return int(share.readers)

    @admin.display(description=_("checksums"))
    def checksums(self, share: Share) -> str:
        return ", ".join(f"{v.number}: {v.checksum}" for v in share.versions.all())

    @admin.action(description=_("Revoke the chosen links"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: Any) -> None:
        """Each dead at the next request, each an entry in the audit log."""
        chosen = Share.objects.filter(pk__in=list(queryset.values_list("pk", flat=True)))
        count = sharing.end(request.user, chosen)
        done = ngettext("%d link was revoked.", "%d links were revoked.", count) % count
        messages.success(request, done)
