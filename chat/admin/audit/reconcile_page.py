"""Upload the provider's export and see it beside the ledger."""

from __future__ import annotations

import hashlib
from typing import Any
from zoneinfo import ZoneInfo

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
from chat.admin.audit.query import ZONES
from chat.models import RollupKey
from chat.threads import write_transaction

UTC = ZoneInfo("UTC")


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
    zone = forms.ChoiceField(
        label=gettext_lazy("Its days are those of"),
        required=False,
        help_text=gettext_lazy("OpenAI counts days in UTC. A file that says so itself is read so."),
    )
    day_first = forms.BooleanField(
        label=gettext_lazy("03/04 is the third of April"), required=False, initial=True
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = RollupKey.objects.exclude(agent_id=None).values_list("agent_id", "agent_name").distinct()
        choices = sorted({str(pk): name for pk, name in rows}.items(), key=lambda pair: pair[1].casefold())
        self.fields["agents"].choices = choices  # type: ignore[attr-defined]
        here = str(timezone.get_default_timezone())
        zones = [here, *(name for name in ZONES if name != here)]
        self.fields["zone"].choices = [  # type: ignore[attr-defined]
            (name, name.replace("_", " ")) for name in zones
        ]


def reconcile(request: HttpRequest) -> HttpResponseBase:
    """GET: the form. POST: the comparison beneath it."""
    form = ReconcileForm(request.POST or None, request.FILES or None)
    comparison = export = None
    agents: tuple[int, ...] = ()
    zone: Any = timezone.get_default_timezone()
    if request.method == "POST" and form.is_valid():
        content: bytes = form.cleaned_data["file"].read()
        try:
            export = comparing.read(content, day_first=form.cleaned_data["day_first"])
        except comparing.Unreadable as wrong:
            form.add_error("file", str(wrong))
        else:
            zone = UTC if export.utc else ZoneInfo(form.cleaned_data["zone"] or str(zone))
            now = timezone.now()
            agents = tuple(int(pk) for pk in form.cleaned_data["agents"])
            comparison = comparing.compare(export, audit.Filter(now, now, zone, agents=agents))
            with write_transaction():
                record("reconcile.done", "audit:reconcile", {
                    "sha256": hashlib.sha256(content).hexdigest(), "rows": export.rows,
                    "agents": list(agents), "time_zone": str(zone),
                    "provider": comparison.provider, "ledger": comparison.ledger,
                })  # fmt: skip
    context = {"title": _("Reconcile"), "form": form, "export": export, "comparison": comparison,
               "chosen": agents, "zone": zone, **admin.site.each_context(request)}  # fmt: skip
    return render(request, "admin/audit/reconcile.html", context)
