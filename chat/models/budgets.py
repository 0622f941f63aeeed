"""Budgets: how many tokens, or how much money, may be used by whom in a day, week or month.

A call reserves before it is made and is settled with its ledger row. `limit`, `used`, `reserved` and
the rest are tokens, or 10**-9 of a currency unit where a budget is of money. Verbs are elsewhere.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.utils.formats import number_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from chat.models import prices
from chat.models.agents import Agent
from chat.models.ids import NamedQuerySet, new_id
from chat.models.teams import Membership


class BudgetQuerySet(NamedQuerySet["Budget"]):
    def visible_to(self, user: Any) -> BudgetQuerySet:
        """Those that a person's calls can count for: everyone's, every agent's, their team's, their own."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        team = Membership.objects.filter(user=user.pk).values("team")
        scopes = models.Q(scope__in=(Budget.Scope.EVERYONE, Budget.Scope.AGENT))
        scopes |= models.Q(scope=Budget.Scope.PERSON, person=user.pk)
        return self.filter(scopes | models.Q(scope=Budget.Scope.TEAM, team__in=team))


class Budget(models.Model):
    """A limit. `contact` says whom to ask for more; empty: the administrator."""

    class Scope(models.TextChoices):
        EVERYONE = "everyone", _("everyone together")
        TEAM = "team", _("a team")
        PERSON = "person", _("a person")
        AGENT = "agent", _("an agent")

    class Measure(models.TextChoices):
        TOKENS = "tokens", _("tokens")
        MONEY = "money", _("money")

    class Period(models.TextChoices):
        DAY = "day", _("day")
        WEEK = "week", _("week")
        MONTH = "month", _("month")

    public_id = models.CharField(max_length=26, unique=True, default=new_id, editable=False)
    scope = models.CharField(_("for"), max_length=8, choices=Scope.choices)
    team = models.ForeignKey(
        Group, models.CASCADE, null=True, blank=True, related_name="+", verbose_name=_("team")
    )
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="+",
        verbose_name=_("person"),
    )  # fmt: skip
    agent = models.ForeignKey(
        Agent, models.CASCADE, null=True, blank=True, related_name="+", verbose_name=_("agent")
    )
    measure = models.CharField(_("counts"), max_length=6, choices=Measure.choices)
    currency = models.CharField(_("currency"), max_length=3, blank=True, default="")
    limit = models.PositiveBigIntegerField(_("limit"))
    period = models.CharField(_("per"), max_length=5, choices=Period.choices)
    hard = models.BooleanField(_("refuse what is over it"), default=True)
    contact = models.CharField(_("whom to ask"), max_length=150, blank=True, default="")
    enabled = models.BooleanField(_("in force"), default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = BudgetQuerySet.as_manager()

    class Meta:
        ordering = ("pk",)
        verbose_name = _("budget")
        verbose_name_plural = _("budgets")

    def __str__(self) -> str:
        return self.public_id

    def shown(self, amount: int) -> str:
        """A number of this budget with its unit, by the active language's rules."""
        if self.measure == self.Measure.MONEY:
            return prices.shown(amount, self.currency)
        return f"{number_format(amount, force_grouping=True)} {gettext('tokens')}"


class BudgetPeriod(models.Model):
    """What one period of a budget has used and holds in reserve. `warned` is the highest of the
    percentages that were announced."""

    budget = models.ForeignKey(Budget, models.CASCADE, related_name="periods")
    start = models.DateTimeField()
    used = models.BigIntegerField(default=0)
    reserved = models.BigIntegerField(default=0)
    warned = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("budget", "start"), name="one_period_a_start"),)

    def __str__(self) -> str:
        return f"period {self.pk}"


class BudgetHold(models.Model):
    """What one running answer holds in reserve of one period."""

    period = models.ForeignKey(BudgetPeriod, models.CASCADE, related_name="holds")
    message_id = models.CharField(max_length=26, db_index=True)
    amount = models.BigIntegerField()
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"hold {self.pk}"


class BudgetConsent(models.Model):
    """A person confirmed that they go on over a soft budget; it holds until its period ends."""

    period = models.ForeignKey(BudgetPeriod, models.CASCADE, related_name="consents")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("period", "person"), name="one_consent_a_period"),)

    def __str__(self) -> str:
        return f"consent {self.pk}"


class BudgetTold(models.Model):
    """The highest percentage of a period that a person was told of."""

    period = models.ForeignKey(BudgetPeriod, models.CASCADE, related_name="told")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    percent = models.PositiveSmallIntegerField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("period", "person"), name="one_told_a_period"),)

    def __str__(self) -> str:
        return f"told {self.pk}"


class BudgetGrant(models.Model):
    """More for a while, given by an administrator."""

    budget = models.ForeignKey(Budget, models.CASCADE, related_name="grants", verbose_name=_("budget"))
    extra = models.PositiveBigIntegerField(_("more"))
    until = models.DateTimeField(_("until"))
    note = models.CharField(_("note"), max_length=300, blank=True, default="")
    granted_by = models.CharField(_("by"), max_length=150, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("grant")
        verbose_name_plural = _("grants")

    def __str__(self) -> str:
        return f"grant {self.pk}"


class BudgetRequest(models.Model):
    """A person asks for more. Open until it is granted or declined."""

    budget = models.ForeignKey(Budget, models.CASCADE, related_name="requests", verbose_name=_("budget"))
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("person")
    )
    reason = models.TextField(_("reason"))
    created_at = models.DateTimeField(_("asked"))
    grant = models.ForeignKey(BudgetGrant, models.SET_NULL, null=True, blank=True, related_name="+")
    declined_at = models.DateTimeField(_("declined"), null=True, blank=True)

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("request for more")
        verbose_name_plural = _("requests for more")

    def __str__(self) -> str:
        return f"request {self.pk}"
