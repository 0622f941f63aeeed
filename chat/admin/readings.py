"""Reading somebody's conversation: the one page of the administration that shows what was written.

It opens through chat/actions/reading.py alone: with a permission that is given by name, a reason and an end.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import path, reverse
from django.urls.resolvers import URLPattern
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from chat import markdown
from chat.actions import Refused
from chat.actions import reading as verbs
from chat.actions.share_sources import source_of
from chat.admin.bases import ReadOnly
from chat.models.readings import Reading, may_read
from chat.sharing.snapshot import Shown, freeze


class ReadingForm(forms.Form):
    """Which conversation, why, and for how long."""

    conversation = forms.CharField(
        label=gettext_lazy("Conversation"),
        max_length=26,
        widget=forms.TextInput(attrs={"class": "vTextField", "spellcheck": "false", "autocomplete": "off"}),
        help_text=gettext_lazy("Its id, as a call of the audit pages or a report of the person names it."),
    )
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=verbs.REASON[1],
        widget=forms.Textarea(attrs={"class": "vLargeTextField", "rows": 3}),
        help_text=gettext_lazy("The person reads it, at once and later, beside your name."),
    )
    hours = forms.TypedChoiceField(label=gettext_lazy("For"), coerce=int, initial=verbs.HOURS[0])

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(n, ngettext("%d hour", "%d hours", n) % n) for n in verbs.HOURS]
        self.fields["hours"].choices = choices  # type: ignore[attr-defined]


@admin.register(Reading)
class ReadingAdmin(ReadOnly):
    """Who could read what, for whoever audits; it shows no word of a conversation."""

    list_display = ("created_at", "reader_name", "conversation", "reason", "until", "ended_at", "looks")
    list_select_related = ("conversation",)
    search_fields = ("reader_name", "conversation__public_id", "reason")
    date_hierarchy = "created_at"
    actions = None
    fields = ("created_at", "reader_name", "conversation", "reason", "until", "ended_at", "looks")


def urls(site: Any) -> list[URLPattern]:
    """The pages below admin/reading/."""
    return [
        path("reading/", site.admin_view(begin), name="reading"),
        path("reading/<str:reading_id>/", site.admin_view(page), name="reading_page"),
        path("reading/<str:reading_id>/end/", site.admin_view(require_POST(end)), name="reading_end"),
    ]


@never_cache
def begin(request: HttpRequest) -> HttpResponseBase:
    """Ask for a conversation, and the readings that are open."""
    if not may_read(request.user):
        raise PermissionDenied
    form = ReadingForm(request.POST or None, initial={"conversation": request.GET.get("conversation", "")})
    if request.method == "POST" and form.is_valid():
        try:
            reading = verbs.begin(request.user, **form.cleaned_data)
        except forms.ValidationError as wrong:
            form.add_error(None, wrong)
        else:
            return HttpResponseRedirect(reverse("admin:reading_page", args=[reading.public_id]))
    rows = Reading.objects.visible_to(request.user).open().select_related("conversation")
    context = {"title": _("Read a conversation"), "form": form, "open": rows}
    return _show(request, "admin/reading/begin.html", context)


@never_cache
def page(request: HttpRequest, reading_id: str) -> HttpResponseBase:
    """The conversation, to be read. Each look is recorded before anything is shown."""
    if not may_read(request.user):
        raise PermissionDenied
    try:
        reading = verbs.look(request.user, reading=reading_id)
    except Refused:
        messages.warning(request, _("This reading is over. Ask again, with a reason, to read further."))
        return HttpResponseRedirect(reverse("admin:reading"))
    source = source_of(reading.conversation)
    content = freeze(source, Shown(("names", "reasoning", "tokens"))).content
    context = {
        "title": _("Reading a conversation"),
        "reading": reading,
        "owner": reading.conversation.owner,
        "conversation_title": content["title"],
        "drawn": [_drawn(message, content.get("author", "")) for message in content["messages"]],
    }
    return _show(request, "admin/reading/page.html", context)


def end(request: HttpRequest, reading_id: str) -> HttpResponseBase:
    """End a reading before its time."""
    try:
        verbs.end(request.user, reading=reading_id)
    except Refused as refused:
        raise Http404 from refused
    messages.success(request, _("The reading is over."))
    return HttpResponseRedirect(reverse("admin:reading"))


def _drawn(message: dict[str, Any], author: str) -> dict[str, Any]:
    """One message as shared/_message.html draws it: Markdown through the server's allow-list."""
    html = {
        name: mark_safe(markdown.render(message[text]))  # noqa: S308 (render's output is an allow-list's)
        for name, text in (("html", "text"), ("reasoning", "reasoning"))
        if message["role"] == "answer" and text in message
    }
    return {**message, "author": author, **html}


def _show(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponseBase:
    return render(request, template, {**admin.site.each_context(request), **context})
