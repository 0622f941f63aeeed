"""What a person left unfinished."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from chat.models.conversations import Conversation


class Draft(models.Model):
    """Unsent text, kept here and not in the browser, so that signing out leaves nothing behind."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="drafts")
    conversation = models.ForeignKey(Conversation, models.CASCADE, null=True, related_name="drafts")
    text = models.TextField()
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("user", "conversation"), name="one_draft", nulls_distinct=None),
            models.UniqueConstraint(
                fields=("user",),
                condition=models.Q(conversation=None),
                name="one_draft_of_a_new_conversation",
            ),
        )

    def __str__(self) -> str:
        return f"draft {self.pk}"
