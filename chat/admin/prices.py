"""Prices of tokens: written once, and shown as they were written."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from chat.admin.bases import Recorded
from chat.models import Agent
from chat.models.prices import UNIT, Price

KINDS = ("user", "enrichment", "output", "cached", "reasoning")


def _money(label: Any, *, required: bool, help_text: Any = "") -> forms.DecimalField:
    return forms.DecimalField(
        label=label,
        required=required,
        min_value=Decimal(0),
        max_digits=12,
        decimal_places=6,
        help_text=help_text,
    )


def is_currency(text: str) -> bool:
    """Three letters."""
    return len(text) == 3 and text.isascii() and text.isalpha()


class PriceForm(forms.ModelForm):  # type: ignore[type-arg]
    """Prices of a million tokens, in units of the currency."""

    agent = forms.ModelChoiceField(
        label=gettext_lazy("Agent"), queryset=Agent.objects.all(), required=False,
        help_text=gettext_lazy("Empty: all agents."),
    )  # fmt: skip
    user = _money(gettext_lazy("A million tokens asked"), required=True)
    enrichment = _money(
        gettext_lazy("… of knowledge"), required=False, help_text=gettext_lazy("Empty: as asked.")
    )
    output = _money(gettext_lazy("… answered"), required=True)
    cached = _money(
        gettext_lazy("… from a cache"), required=False, help_text=gettext_lazy("Empty: as asked.")
    )
    reasoning = _money(
        gettext_lazy("… of reasoning"), required=False, help_text=gettext_lazy("Empty: as answered.")
    )

    class Meta:
        model = Price
        fields = ("agent", "model", "currency", *KINDS, "valid_from")
        help_texts = {
            "model": gettext_lazy("As the ledger names it. Empty: all models."),
            "currency": gettext_lazy("Three letters, for example BRL."),
            "valid_from": gettext_lazy(
                "The first day of calls that it holds for. Past calls keep their price."
            ),
        }

    def clean_currency(self) -> str:
        """Three letters."""
        currency = str(self.cleaned_data["currency"]).upper()
        if not is_currency(currency):
            raise ValidationError(_("A currency is three letters, for example BRL."))
        return currency

    def clean(self) -> dict[str, Any]:
        """Whole numbers of the ledger out of what was typed."""
        found: dict[str, Any] = super().clean() or {}
        for kind in KINDS:
            if found.get(kind) is not None:
                found[kind] = int(found[kind] * UNIT)
        return found


@admin.register(Price)
class PriceAdmin(Recorded):
    """Written once: another price is another row. Rows of the ledger keep the price as of then."""

    form = PriceForm
    list_display = ("valid_from", "for_agent", "for_model", "currency", "user_price", "knowledge_price",
                    "output_price", "created_at", "created_by")  # fmt: skip
    list_filter = ("currency", "agent_name", "model")
    date_hierarchy = "valid_from"
    record_kind = "price"
    record_fields = ("agent_name", "model", "currency", *KINDS, "valid_from")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Price, form: Any, change: bool) -> None:
        agent = form.cleaned_data["agent"]
        obj.agent_id, obj.agent_name = (agent.pk, agent.name) if agent else (None, "")
        obj.created_at, obj.created_by = timezone.now(), request.user.get_username()
        super().save_model(request, obj, form, change)

    @admin.display(description=gettext_lazy("agent"))
    def for_agent(self, price: Price) -> str:
        return price.agent_name or _("all")

    @admin.display(description=gettext_lazy("model"))
    def for_model(self, price: Price) -> str:
        return price.model or _("all")

    @admin.display(description=gettext_lazy("a million asked"))
    def user_price(self, price: Price) -> str:
        return _units(price.parts[0])

    @admin.display(description=gettext_lazy("of knowledge"))
    def knowledge_price(self, price: Price) -> str:
        return _units(price.parts[1])

    @admin.display(description=gettext_lazy("answered"))
    def output_price(self, price: Price) -> str:
        return _units(price.parts[2])


def _units(value: int | None) -> str:
    return "-" if value is None else f"{(Decimal(value) / UNIT).normalize():f}"
