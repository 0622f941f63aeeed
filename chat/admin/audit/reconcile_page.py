"""Upload the provider's export and see it beside the ledger."""

from __future__ import annotations

import hashlib
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from chat import audit
from chat.actions.recording import record
from chat.admin.audit import reconcile as comparing
from chat.models import RollupKey
from chat.threads import write_transaction


class ReconcileForm(forms.Form):
    """A file, and which of our calls it is about."""

    file = forms.FileField(
        label=gettext_lazy("The provider's export"),
        help_text=gettext_lazy("A CSV file with a day and numbers of tokens. It is compared and not kept."),
    )
    agents = forms.MultipleChoiceField(
        label=gettext_lazy("Agents it is about"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("None chosen: all of them."),
    )
    day_first = forms.BooleanField(
        label=gettext_lazy("03/04 is the third of April"), required=False, initial=True
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = RollupKey.objects.exclude(agent_id=None).values_list("agent_id", "agent_name").distinct()
        choices = sorted({str(pk): name for pk, name in rows}.items(), key=lambda pair: pair[1].casefold())
        self.fields["agents"].choices = choices  # type: ignore[attr-defined]


def reconcile(request: HttpRequest) -> HttpResponseBase:
    """GET: the form. POST: the comparison beneath it."""
    form = ReconcileForm(request.POST or None, request.FILES or None)
    comparison = export = None
    if request.method == "POST" and form.is_valid():
        content: bytes = form.cleaned_data["file"].read()
        try:
            export = comparing.read(content, day_first=form.cleaned_data["day_first"])
        except comparing.Unreadable as wrong:
            form.add_error("file", str(wrong))
        else:
            zone: Any = timezone.get_default_timezone()
            now = timezone.now()
            agents = tuple(int(pk) for pk in form.cleaned_data["agents"])
            comparison = comparing.compare(export, audit.Filter(now, now, zone, agents=agents))
            with write_transaction():
                record("reconcile.done", "audit:reconcile", {
                    "sha256": hashlib.sha256(content).hexdigest(), "rows": export.rows,
                    "agents": list(agents), "provider": comparison.provider, "ledger": comparison.ledger,
                })  # fmt: skip
    context = {"title": _("Reconcile"), "form": form, "export": export, "comparison": comparison,
               "zone": timezone.get_default_timezone(), **admin.site.each_context(request)}  # fmt: skip
    return render(request, "admin/audit/reconcile.html", context)
