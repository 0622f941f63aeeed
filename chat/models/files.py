"""Context files: what a person gave, where its bytes are, which messages carry it, which agents have it.

Bytes are stored once a person, under random names, and are counted by the files that refer to them.
No verbs, no storage here.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from chat.models.agents import Agent
from chat.models.conversations import Conversation
from chat.models.ids import NamedQuerySet, new_id
from chat.models.messages import Message


class FileState(models.TextChoices):
    """Where a file stands; `refused` and `gone` are ends."""

    UPLOADING = "uploading", _("uploading")
    CHECKING = "checking", _("checking")
    READY = "ready", _("ready")
    REFUSED = "refused", _("refused")
    GONE = "gone", _("gone")


class FileBytes(models.Model):
    """Bytes in the storage, and what was made of them. `doomed`: about to be deleted, not to be used again.

    The owner is a plain number, so that a deleted person's bytes are still found and taken away.
    `text`, `shown` and `thumbnail` are names in the storage, empty where there is none; `text_code` says
    why there is no text, `text_cut` that it is not all of it.
    """

    owner_pk = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    kind = models.CharField(max_length=8)
    size = models.PositiveBigIntegerField()
    name = models.CharField(max_length=100)
    text = models.CharField(max_length=100, blank=True, default="")
    text_code = models.CharField(max_length=32, blank=True, default="")
    text_cut = models.BooleanField(default=False)
    thumbnail = models.CharField(max_length=100, blank=True, default="")
    shown = models.CharField(max_length=100, blank=True, default="")
    shown_type = models.CharField(max_length=40, blank=True, default="")
    doomed = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("owner_pk", "sha256", "kind"),
                condition=models.Q(doomed=False),
                name="bytes_once_a_person",
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def names(self) -> list[str]:
        """Everything of it in the storage."""
        return [name for name in (self.name, self.text, self.thumbnail, self.shown) if name]


class ContextFileQuerySet(NamedQuerySet["ContextFile"]):
    def visible_to(self, user: Any) -> ContextFileQuerySet:
        """Files of conversations this person sees, and their own that belong to none yet."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        seen = Conversation.objects.visible_to(user)
        return self.filter(models.Q(conversation__in=seen) | models.Q(conversation=None, owner_id=user.pk))


class ContextFile(models.Model):
    """A file as it was given. `offset` bytes of it have come; `code` says why it was refused."""

    public_id = models.CharField(max_length=26, unique=True, default=new_id, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    conversation = models.ForeignKey(Conversation, models.CASCADE, null=True, related_name="files")
    agent = models.ForeignKey(Agent, models.SET_NULL, null=True, related_name="+")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    name = models.CharField(max_length=200)
    claimed = models.CharField(max_length=100, blank=True, default="")
    type = models.CharField(max_length=100)
    kind = models.CharField(max_length=8)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64, blank=True, default="")
    offset = models.PositiveBigIntegerField(default=0)
    state = models.CharField(max_length=9, choices=FileState.choices, default=FileState.UPLOADING)
    code = models.CharField(max_length=32, blank=True, default="")
    stored = models.ForeignKey(FileBytes, models.PROTECT, null=True, related_name="files")
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()

    objects = ContextFileQuerySet.as_manager()

    class Meta:
        ordering = ("pk",)
        indexes = (
            models.Index(fields=("changed_at",), condition=models.Q(conversation=None), name="file_unsent"),
        )
        constraints = (
            models.UniqueConstraint(fields=("owner", "key"), name="one_file_a_key"),
            models.CheckConstraint(condition=models.Q(offset__lte=models.F("size")), name="file_offset"),
        )

    def __str__(self) -> str:
        return self.public_id


class Attachment(models.Model):
    """A message carries a file; `position` is its place among them."""

    message = models.ForeignKey(Message, models.CASCADE, related_name="attachments")
    file = models.ForeignKey(ContextFile, models.CASCADE, related_name="attachments")
    position = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ("message", "position")
        constraints = (models.UniqueConstraint(fields=("message", "file"), name="one_attachment"),)

    def __str__(self) -> str:
        return f"{self.file_id} of {self.message_id}"


class Handing(models.Model):
    """An agent has a file: by an id of its own until `expires_at`, or in every prompt (no id, no end)."""

    class State(models.TextChoices):
        RENEWING = "renewing", _("renewing")
        HANDED = "handed", _("handed over")
        FAILED = "failed", _("failed")

    file = models.ForeignKey(ContextFile, models.CASCADE, related_name="handings")
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="+")
    state = models.CharField(max_length=8, choices=State.choices)
    upload_id = models.CharField(max_length=200, blank=True, default="")
    code = models.CharField(max_length=32, blank=True, default="")
    at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, default=None)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("file", "agent"), name="one_handing"),)

    def __str__(self) -> str:
        return f"{self.file_id} to {self.agent_id}"
