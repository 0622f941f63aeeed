"""The audit log: rows that are added and never changed, each carrying the digest of the one before.

It names people and things as text, without foreign keys, because it outlives them. Triggers of the
database refuse UPDATE and DELETE, whoever sends them (chat/models/append_only.py). Nothing here
decides what is worth recording; the verbs do, in the transaction of what they record.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from django.db import connection, models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat import trail
from chat.models.ids import new_id

#: PostgreSQL's name for the lock that puts writers of the chain in a row; any constant does.
CHAIN_LOCK = 7305804401


def canonical(value: Any) -> str:
    """JSON with one spelling for one value: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def checksum(text: str) -> str:
    """SHA-256 of `text` in UTF-8, 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


class AuditEventQuerySet(models.QuerySet["AuditEvent"]):
    def append(self, actor: Any, action: str, target: str, data: dict[str, Any] | None = None) -> AuditEvent:
        """Add an event to the end of the chain; call it inside the transaction of what it tells of.

        actor: a user, or None for the product itself and its commands. target: what it happened to, as
        "kind:id". data: details, with "before" and "after" where something was changed. The coarse network
        and the id are those of the request that is being served.
        """
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [CHAIN_LOCK])
        last = self.order_by("-pk").values_list("digest", flat=True).first()
        event = AuditEvent(
            public_id=new_id(), created_at=timezone.now(), actor_id=actor.pk if actor else None,
            actor=actor.get_username() if actor else "", action=action, target=target,
            data=data or {}, address=trail.network(), request_id=trail.request_id(), previous=last or "",
        )  # fmt: skip
        event.digest = event.computed()
        event.save(force_insert=True)
        return event

    def first_broken(self) -> AuditEvent | None:
        """The first event whose digest or whose link to the one before does not hold; None when all do."""
        previous = ""
        for event in self.order_by("pk").iterator():
            if event.previous != previous or event.digest != event.computed():
                return event
            previous = event.digest
        return None


class AuditEvent(models.Model):
    """Who did what to what, and when. `digest` covers every field and the digest before it."""

    public_id = models.CharField(max_length=26, unique=True, editable=False)
    created_at = models.DateTimeField(_("when"))
    actor_id = models.BigIntegerField(null=True)
    actor = models.CharField(_("who"), max_length=150, blank=True)
    action = models.CharField(_("action"), max_length=40)
    target = models.CharField(_("what"), max_length=80, db_index=True)
    data = models.JSONField(_("details"), default=dict)
    address = models.CharField(_("network"), max_length=64, blank=True)
    request_id = models.CharField(_("request"), max_length=64, blank=True, default="")
    previous = models.CharField(max_length=64, blank=True)
    digest = models.CharField(_("digest"), max_length=64, unique=True)

    objects = AuditEventQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)
        indexes = (
            models.Index(fields=("created_at",), name="audit_when"),
            models.Index(fields=("actor", "-id"), name="audit_who"),
            models.Index(fields=("action", "-id"), name="audit_what"),
        )
        verbose_name = _("audit event")
        verbose_name_plural = _("audit log")

    def __str__(self) -> str:
        return f"{self.action} {self.target}"

    def computed(self) -> str:
        """The digest that this row must have."""
        when: datetime = self.created_at
        fields = [
            self.previous, self.public_id, when.astimezone(UTC).isoformat(), self.actor_id, self.actor,
            self.action, self.target, self.data, self.address, self.request_id,
        ]  # fmt: skip
        return checksum(canonical(fields))
