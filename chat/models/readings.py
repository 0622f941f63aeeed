"""Readings: an administrator may read one conversation for a while, for a reason its owner is told.

`Conversation.objects.visible_to` knows nothing of them: a reading opens one page of the administration and no
other door. The permission must be given by name; being a superuser is not enough.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Permission
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat.models.conversations import Conversation
from chat.models.ids import NamedQuerySet, new_id


def may_read(user: Any) -> bool:
    """Whether this person was given `chat.read_conversations`, themselves or through a group."""
    if not user.is_authenticated or not user.is_active or not user.is_staff:
        return False
    if not user.is_superuser:
        return bool(user.has_perm("chat.read_conversations"))
    given = models.Q(user=user) | models.Q(group__user=user)
    named = Permission.objects.filter(codename="read_conversations", content_type__app_label="chat")
    return named.filter(given).exists()


class ReadingQuerySet(NamedQuerySet["Reading"]):
    def visible_to(self, user: Any) -> ReadingQuerySet:
        """A reader's own, while they have the permission."""
        return self.filter(reader_id=user.pk) if may_read(user) else self.none()

    def open(self, now: datetime | None = None) -> ReadingQuerySet:
        """Those whose time is not over and whose conversation is still there."""
        return self.filter(until__gt=now or timezone.now(), ended_at=None, conversation__deleted_at=None)


class Reading(models.Model):
    """Who may read what until when, and why. `seen_at`: when the conversation's owner saw the notice."""

    public_id = models.CharField(max_length=26, unique=True, default=new_id, editable=False)
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="readings")
    reader = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    reader_name = models.CharField(_("reader"), max_length=150)
    reason = models.CharField(_("reason"), max_length=500)
    created_at = models.DateTimeField(_("from"))
    until = models.DateTimeField(_("until"))
    ended_at = models.DateTimeField(_("ended"), null=True, default=None)
    looks = models.PositiveIntegerField(_("looks"), default=0)
    seen_at = models.DateTimeField(null=True, default=None)

    objects = ReadingQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)
        permissions = (
            ("read_conversations", _("Can read a conversation for a reason, and its owner is told")),
        )
        verbose_name = _("reading of a conversation")
        verbose_name_plural = _("readings of conversations")

    def __str__(self) -> str:
        return self.public_id

    @property
    def over_at(self) -> datetime:
        """When it ends or ended."""
        return min(self.ended_at or self.until, self.until)
