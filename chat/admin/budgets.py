"""Budgets, what is granted on top of them, and who asks for more."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminSplitDateTime
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from chat.actions.budgets import FIELDS as BUDGET_FIELDS
from chat.actions.recording import record_change, state_of
from chat.admin.bases import Recorded
from chat.admin.prices import is_currency
from chat.models.budgets import Budget, BudgetGrant, BudgetRequest
from chat.models.prices import AMOUNT_UNIT
from chat.turns import spending

#: Of a limit or a grant, in the ledger's numbers; nine of them still fit into 63 bits.
MOST = 10**18


class BudgetForm(forms.ModelForm):  # type: ignore[type-arg]
    """A limit in tokens, or in units of a currency."""

    amount = forms.DecimalField(
        label=gettext_lazy("Limit"), min_value=Decimal(0), max_digits=18, decimal_places=2,
        help_text=gettext_lazy("Tokens, or units of the currency."),
    )  # fmt: skip

    class Meta:
        model = Budget
        fields = ("scope", "team", "person", "agent", "measure", "currency", "amount", "period", "hard",
                  "contact", "enabled")  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.fields["amount"].initial = Decimal(self.instance.limit) / _unit(self.instance)

    def clean(self) -> dict[str, Any]:
        """One of team, person and agent for its scope; a currency for money."""
        found: dict[str, Any] = super().clean() or {}
        if self.instance.pk:
            check_amount(self, self.instance)
            return found
        scope = found.get("scope")
        for name in ("team", "person", "agent"):
            if scope == name and not found.get(name):
                self.add_error(name, _("Choose whom it is for."))
            elif scope != name:
                found[name] = None
        currency = str(found.get("currency") or "").upper()
        if found.get("measure") == Budget.Measure.MONEY and not is_currency(currency):
            self.add_error("currency", _("A currency is three letters, for example BRL."))
        found["currency"] = currency if found.get("measure") == Budget.Measure.MONEY else ""
        check_amount(self, Budget(measure=found.get("measure", ""), currency=found["currency"]))
        return found

    def save(self, commit: bool = True) -> Any:
        """With the limit in whole numbers of the ledger."""
        self.instance.limit = int(self.cleaned_data["amount"] * _unit(self.instance))
        return super().save(commit)


def _unit(budget: Any) -> int:
    return AMOUNT_UNIT if budget.measure == Budget.Measure.MONEY else 1


def check_amount(form: Any, budget: Any) -> None:
    """Tokens are whole, and no number is larger than databases hold, also with grants on top of it."""
    amount = form.cleaned_data.get("amount")
    if amount is None:
        return
    if amount * _unit(budget) > MOST:
        form.add_error("amount", _("At most %s.") % budget.shown(MOST))
    elif amount * _unit(budget) % 1:
        form.add_error("amount", _("Tokens are counted whole."))


class GrantForm(forms.ModelForm):  # type: ignore[type-arg]
    """More for a while, with its end."""

    amount = forms.DecimalField(
        label=gettext_lazy("More"), min_value=Decimal("0.01"), max_digits=18, decimal_places=2
    )

    class Meta:
        model = BudgetGrant
        fields = ("amount", "until", "note")

    def clean_until(self) -> Any:
        """An end that is yet to come."""
        until = self.cleaned_data["until"]
        if until <= timezone.now():
            raise ValidationError(_("Choose an end that is yet to come."))
        return until


class GrantFormSet(forms.BaseInlineFormSet):  # type: ignore[type-arg]
    """Grants in the measure of their budget, which stands in the same page."""

    def clean(self) -> None:
        super().clean()
        for form in self.forms:
            if form.has_changed() and form.is_valid():
                check_amount(form, self.instance)


class GrantInline(admin.TabularInline):  # type: ignore[type-arg]
    model = BudgetGrant
    form = GrantForm
    formset = GrantFormSet
    extra = 1
    readonly_fields = ("granted_by",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Budget)
class BudgetAdmin(Recorded):
    form = BudgetForm
    list_display = ("whom", "limited_to", "period", "hard", "enabled", "contact")
    list_filter = ("scope", "measure", "period", "enabled")
    list_select_related = ("team", "person", "agent")
    autocomplete_fields = ("person",)
    inlines = (GrantInline,)
    record_kind = "budget"
    record_fields = BUDGET_FIELDS

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """What it counts and for whom stays: what its periods have used is in that measure."""
        return ("scope", "team", "person", "agent", "measure", "currency") if obj else ()

    def record_name(self, row: Any) -> str:
        return str(row.public_id)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if (
            change
            and "limit" in form.recorded_before
            and form.recorded_before["limit"] != form.instance.limit
        ):
            spending.limit_changed(form.instance)

    @admin.display(description=gettext_lazy("for"))
    def whom(self, budget: Budget) -> str:
        return str(budget.team or budget.person or budget.agent or budget.get_scope_display())

    @admin.display(description=gettext_lazy("limit"), ordering="limit")
    def limited_to(self, budget: Budget) -> str:
        return budget.shown(budget.limit)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Grants: who gave them, in the ledger's numbers, and in the log."""
        for grant in formset.save(commit=False):
            index = next(one for one in formset.forms if one.instance is grant)
            grant.extra = int(index.cleaned_data["amount"] * _unit(form.instance))
            grant.granted_by = request.user.get_username()
            grant.save()
            record_grant(grant)
        formset.save_m2m()


def record_grant(grant: BudgetGrant, **more: str) -> None:
    """A grant in the audit log; `more` tells whose request it answers. Its warnings begin anew."""
    spending.limit_changed(grant.budget)
    state = state_of(grant, ("extra", "until", "note"))
    record_change("budget.granted", f"budget:{grant.budget.public_id}", {}, state, **more)


class AnswerForm(forms.ModelForm):  # type: ignore[type-arg]
    """What is granted to who asked, with its end; nothing: the request is declined."""

    amount = forms.DecimalField(
        label=gettext_lazy("Grant more"), min_value=Decimal("0.01"), required=False, max_digits=18,
        decimal_places=2,
        help_text=gettext_lazy("Tokens, or units of the currency. Empty: decline."),
    )  # fmt: skip
    until = forms.SplitDateTimeField(label=gettext_lazy("Until"), required=False, widget=AdminSplitDateTime)
    note = forms.CharField(label=gettext_lazy("Note"), max_length=300, required=False)

    class Meta:
        model = BudgetRequest
        fields = ()

    def clean(self) -> dict[str, Any]:
        """An end that is yet to come for what is granted."""
        found: dict[str, Any] = super().clean() or {}
        until = found.get("until")
        if found.get("amount") and (until is None or until <= timezone.now()):
            self.add_error("until", _("Choose an end that is yet to come."))
        check_amount(self, self.instance.budget)
        return found


@admin.register(BudgetRequest)
class BudgetRequestAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """People who ask for more: granted with an end, or declined, once."""

    form = AnswerForm
    list_display = ("created_at", "person", "whose", "reason", "granted", "declined_at")
    list_select_related = ("person", "grant", "budget__team", "budget__person", "budget__agent")
    list_filter = ("created_at",)
    actions = None
    fields = ("created_at", "person", "whose", "reason", "amount", "until", "note")
    readonly_fields = ("created_at", "person", "whose", "reason")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What was answered stays."""
        answered = obj is not None and (obj.grant_id is not None or obj.declined_at is not None)
        return not answered and super().has_change_permission(request, obj)

    @admin.display(description=gettext_lazy("budget"))
    def whose(self, row: BudgetRequest) -> str:
        budget = row.budget
        whom = budget.team or budget.person or budget.agent or budget.get_scope_display()
        return f"{whom}: {budget.shown(budget.limit)} / {budget.get_period_display()}"

    @admin.display(description=gettext_lazy("granted"))
    def granted(self, row: BudgetRequest) -> str:
        return f"{row.budget.shown(row.grant.extra)} – {row.grant.until:%Y-%m-%d %H:%M}" if row.grant else "-"

    def save_model(self, request: HttpRequest, obj: BudgetRequest, form: Any, change: bool) -> None:
        amount = form.cleaned_data["amount"]
        if amount:
            obj.grant = BudgetGrant.objects.create(
                budget=obj.budget, extra=int(amount * _unit(obj.budget)), until=form.cleaned_data["until"],
                note=form.cleaned_data["note"], granted_by=request.user.get_username(),
            )  # fmt: skip
            record_grant(obj.grant, person=str(obj.person), reason=obj.reason)
        else:
            obj.declined_at = timezone.now()
            record_change(
                "budget.declined", f"budget:{obj.budget.public_id}", {}, {},
                person=str(obj.person), reason=obj.reason,
            )  # fmt: skip
        obj.save(update_fields=["grant", "declined_at"])


__all__ = ["BudgetAdmin", "BudgetRequestAdmin"]
