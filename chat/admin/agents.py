"""Agents in the administration. The secret goes in and never comes out, not a character of it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from chat.actions import agents as verbs
from chat.agents.presets import PRESETS
from chat.models import Agent

SECRET_STATES = {
    "none": _("not set"),
    "set": _("set"),
    "unreadable": _("cannot be opened with the encryption key at hand: give it once more"),
}


class AgentForm(forms.ModelForm):  # type: ignore[type-arg]
    """The row's fields, and a secret that can only be replaced."""

    new_secret = forms.CharField(
        label=_("Replace secret"),
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "class": "vTextField"}),
        help_text=_("Stored encrypted and never shown. Leave it empty to keep what is set."),
    )

    preset = forms.ChoiceField(
        label=_("Preset"),
        required=False,
        choices=[("", "-"), *((name, name) for name in sorted(PRESETS))],
        help_text=_("Of an OpenAI-compatible server: fills in its address and options where they are empty."),
    )

    class Meta:
        model = Agent
        widgets = {name: forms.Textarea(attrs={"rows": 4, "cols": 60}) for name in ("examples", "options")}
        fields = (
            "name", "kind", "description", "examples", "base_url", "token_url", "agent_id", "client_id",
            "options", "on_length", "continue_times", "on_stop", "history_bytes", "requests_per_minute",
            "concurrent_streams", "ca_bundle", "proxy", "enabled", "position",
        )  # fmt: skip
        help_texts = {
            "agent_id": _("The id on the agent's page in StackSpot, or the model of another server."),
            "token_url": _("StackSpot alone."),
            "client_id": _("StackSpot alone."),
            "history_bytes": _(
                "Earlier messages beyond this are not sent along. Empty: as the server's limit."
            ),
            "requests_per_minute": _("Together with all agents of the same credential. Empty: no limit."),
            "concurrent_streams": _("Together with all agents of the same credential. Empty: no limit."),
        }

    def _post_clean(self) -> None:
        """After Django filled the row: what only the verbs know to be wrong with it."""
        super()._post_clean()  # type: ignore[misc]
        preset = self.cleaned_data.get("preset", "")
        if preset and self.instance.kind == Agent.Kind.OPENAI:
            try:
                verbs.apply_preset(self.instance, preset)
            except ValidationError as exc:
                self.add_error(None, exc)
        secret = self.cleaned_data.get("new_secret", "")
        for field, problem in verbs.problems(self.instance, secret=secret).items():
            name = "new_secret" if field == "secret" else field
            if name not in self.errors:
                self.add_error(name, problem)


@admin.register(Agent)
class AgentAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = AgentForm
    list_display = ("name", "kind", "enabled", "secret", "agent_id", "position")
    list_filter = ("enabled", "kind")
    search_fields = ("name", "description", "agent_id")
    readonly_fields = ("secret",)
    actions = ("enable", "disable")
    fieldsets = (
        (None, {"fields": ("name", "kind", "description", "examples", "enabled", "position")}),
        (
            _("Where it is"),
            {
                "fields": (
                    "preset",
                    "base_url",
                    "agent_id",
                    "secret",
                    "new_secret",
                    "token_url",
                    "client_id",
                )
            },  # fmt: skip
        ),
        (_("Answers"), {"fields": ("on_length", "continue_times", "on_stop", "history_bytes")}),
        (_("Allowance"), {"fields": ("requests_per_minute", "concurrent_streams")}),
        (_("More"), {"classes": ("collapse",), "fields": ("options", "ca_bundle", "proxy")}),
    )

    @admin.display(description=_("secret"))
    def secret(self, agent: Agent) -> str:
        """Whether there is one."""
        return "-" if agent.kind == Agent.Kind.DEMO else str(SECRET_STATES[verbs.secret_state(agent)])

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        """Where an agent is decides who is given what people write: who tried without leave is recorded."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except PermissionDenied:
            if request.method == "POST":
                verbs.record_refused(object_id)
            raise

    def save_model(self, request: HttpRequest, obj: Agent, form: Any, change: bool) -> None:
        verbs.save_agent(obj, secret=form.cleaned_data["new_secret"])

    def delete_model(self, request: HttpRequest, obj: Agent) -> None:
        verbs.delete_agents([obj])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Agent]) -> None:
        verbs.delete_agents(queryset)

    @admin.action(description=_("Enable the chosen agents"), permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Agent]) -> None:
        self._switch(request, queryset, True)

    @admin.action(description=_("Disable the chosen agents"), permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Agent]) -> None:
        self._switch(request, queryset, False)

    def _switch(self, request: HttpRequest, queryset: QuerySet[Agent], enabled: bool) -> None:
        agents = list(queryset)
        for agent in agents:
            verbs.set_enabled(agent, enabled)
            self.log_change(request, agent, "enabled" if enabled else "disabled")
        done = ngettext("%d agent was changed.", "%d agents were changed.", len(agents)) % len(agents)
        messages.success(request, done)
