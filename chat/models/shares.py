"""Share links: who may read what of a conversation, until when; what was frozen; who opened it.

The address holds a token of 256 bits; only its SHA-256 is here. What a reader sees is a version: a
frozen text of allowed fields (chat/sharing/snapshot.py), never the messages themselves. No verbs.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat.models.conversations import Conversation
from chat.models.ids import new_id
from chat.sharing.policy import SharingPolicy


def new_token() -> str:
    """The secret part of an address: 256 bits, 43 characters."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


class ShareQuerySet(models.QuerySet["Share"]):
    def visible_to(self, user: Any) -> ShareQuerySet:
        """The links a person may manage: their own, of conversations that are not deleted."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        return self.filter(owner_id=user.pk, conversation__deleted_at=None)

    def live(self, now: datetime | None = None) -> ShareQuerySet:
        """Links that are not revoked, not over, not used up, their conversation still there."""
        return self.filter(
            models.Q(max_openings=None) | models.Q(openings__lt=models.F("max_openings")),
            revoked_at=None, expires_at__gt=now or timezone.now(), conversation__deleted_at=None,
        )  # fmt: skip

    def opening(self, policy: SharingPolicy, now: datetime | None = None) -> ShareQuerySet:
        """Of the live ones those that `policy` still lets anybody open."""
        now = now or timezone.now()
        young = now - timedelta(days=policy.max_days)
        rows = self.live(now).filter(created_at__gt=young, audience__in=policy.audiences)
        if "live" not in policy.options:
            rows = rows.filter(live=False)
        if policy.passphrase == "required":  # noqa: S105
            rows = rows.exclude(audience="anyone", passphrase="")
        return rows

    def with_readers(self) -> ShareQuerySet:
        """Adds `readers`: different colleagues plus different networks of those without a name."""
        nameless = models.Q(opened__reader=None)
        return self.annotate(
            readers=models.Count("opened__reader", distinct=True)
            + models.Count("opened__network", filter=nameless, distinct=True)
        )


class Share(models.Model):
    """A link. `choices` names what is shown beside the texts; `hidden` holds ids of left-out messages;
    `shown` ids of findings of the scan that the owner wants to be read all the same."""

    class Audience(models.TextChoices):
        COLLEAGUES = "colleagues", _("Signed-in colleagues")
        GROUPS = "groups", _("Chosen groups")
        ANYONE = "anyone", _("Anyone with the link")

    public_id = models.CharField(max_length=26, unique=True, default=new_id, editable=False)
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="shares")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="shares", verbose_name=_("owner")
    )
    audience = models.CharField(_("audience"), max_length=10, choices=Audience.choices)
    groups = models.ManyToManyField(Group, blank=True, related_name="+", verbose_name=_("groups"))
    passphrase = models.CharField(max_length=200, blank=True, default="", editable=False)
    expires_at = models.DateTimeField(_("expires"))
    max_openings = models.PositiveIntegerField(_("openings allowed"), null=True)
    openings = models.PositiveIntegerField(_("openings"), default=0)
    last_opened_at = models.DateTimeField(_("last opened"), null=True, default=None)
    live = models.BooleanField(_("live"), default=False)
    embed = models.BooleanField(_("may be embedded"), default=False)
    choices = models.JSONField(default=list)
    hidden = models.JSONField(default=list)
    shown = models.JSONField(default=list)
    created_at = models.DateTimeField(_("made"))
    revoked_at = models.DateTimeField(_("revoked"), null=True, default=None)

    objects = ShareQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("share link")
        verbose_name_plural = _("share links")

    def __str__(self) -> str:
        return self.public_id


class ShareVersion(models.Model):
    """What one publication froze: canonical JSON and its SHA-256. Later versions add rows."""

    share = models.ForeignKey(Share, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    content = models.TextField()
    checksum = models.CharField(max_length=64)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ("share", "-number")
        constraints = (models.UniqueConstraint(fields=("share", "number"), name="one_version_a_number"),)

    def __str__(self) -> str:
        return f"{self.share_id} version {self.number}"


class ShareOpening(models.Model):
    """One opening: when, and a colleague or a coarse network. Never more than that."""

    share = models.ForeignKey(Share, models.CASCADE, related_name="opened")
    opened_at = models.DateTimeField()
    reader = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    network = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"opening {self.pk}"
