"""Receipts of sends, so that sending twice makes one question and one answer."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from chat.models.messages import Message


class SendReceipt(models.Model):
    """What an Idempotency-Key of this person led to. Kept for 24 hours."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    question = models.ForeignKey(Message, models.CASCADE, related_name="+")
    answer = models.ForeignKey(Message, models.CASCADE, related_name="+")
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("user", "key"), name="one_send_a_key"),)

    def __str__(self) -> str:
        return f"send {self.pk}"
