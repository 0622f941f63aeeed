"""The ledger: one row per upstream call, written in the transaction that ends it, never changed.

It names people, agents and conversations as text and numbers, without foreign keys, because it
outlives all of them. NULL is "not reported" and never 0. chat/audit.py alone adds rows up.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class LedgerEntry(models.Model):
    """What one upstream call used, in the upstream's own words."""

    class Certainty(models.TextChoices):
        REPORTED = "reported", _("reported")
        UNKNOWN = "unknown", _("not reported")

    public_id = models.CharField(max_length=26, unique=True, editable=False)
    user_id = models.BigIntegerField(null=True)
    username = models.CharField(_("person"), max_length=150)
    agent_id = models.BigIntegerField(null=True)
    agent_name = models.CharField(_("agent"), max_length=80)
    agent_kind = models.CharField(_("kind"), max_length=16)
    conversation_id = models.CharField(_("conversation"), max_length=26)
    message_id = models.CharField(_("message"), max_length=26, db_index=True)
    user_tokens = models.BigIntegerField(_("user tokens"), null=True)
    enrichment_tokens = models.BigIntegerField(_("enrichment tokens"), null=True)
    output_tokens = models.BigIntegerField(_("output tokens"), null=True)
    cached_tokens = models.BigIntegerField(_("cached tokens"), null=True)
    reasoning_tokens = models.BigIntegerField(_("reasoning tokens"), null=True)
    raw_usage = models.JSONField(_("as reported"), null=True)
    certainty = models.CharField(_("certainty"), max_length=8, choices=Certainty.choices)
    outcome = models.CharField(_("outcome"), max_length=11)
    error_code = models.CharField(_("error"), max_length=32, blank=True, default="")
    upstream_id = models.CharField(_("upstream id"), max_length=120, blank=True, default="")
    started_at = models.DateTimeField(_("started"))
    ended_at = models.DateTimeField(_("ended"))
    first_delta_ms = models.PositiveIntegerField(_("first delta, ms"), null=True)
    duration_ms = models.PositiveIntegerField(_("duration, ms"))

    class Meta:
        ordering = ("-pk",)
        indexes = (models.Index(fields=("ended_at", "user_id"), name="ledger_day_person"),)
        verbose_name = _("upstream call")
        verbose_name_plural = _("token ledger")

    def __str__(self) -> str:
        return self.public_id
