"""Messages: a tree of questions and answers, and the states an answer goes through.

    queued -> streaming -> completed | stopped | failed | interrupted
    queued ------------------------------^

A constraint keeps one running answer a conversation. Nothing is overwritten: trying again makes a
sibling, continuing makes a child.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from chat.models.agents import Agent
from chat.models.conversations import Conversation
from chat.models.ids import NamedQuerySet, new_id


class State(models.TextChoices):
    """Where an answer stands. A question is `completed` from the first."""

    QUEUED = "queued", _("waiting")
    STREAMING = "streaming", _("answering")
    COMPLETED = "completed", _("completed")
    STOPPED = "stopped", _("stopped")
    FAILED = "failed", _("failed")
    INTERRUPTED = "interrupted", _("interrupted")


RUNNING = (State.QUEUED, State.STREAMING)
#: The same as a condition in SQL.
IS_RUNNING = "state IN ('queued', 'streaming')"


class MessageQuerySet(NamedQuerySet["Message"]):
    def running(self) -> MessageQuerySet:
        """Answers that have not ended."""
        return self.filter(state__in=RUNNING)


class Message(models.Model):
    """One question or one answer. `seq` is the number of the last thread event that changed it.

    `trimmed` are the earlier messages that the agent was not told because there was no room,
    `continued` how often an answer that was cut by its length was continued by itself. `tool_calls`
    are [{call_id, name, arguments, status, output?}]: `pending`, or `completed` with its output.
    """

    class Role(models.TextChoices):
        USER = "user", _("question")
        ASSISTANT = "assistant", _("answer")

    public_id = models.CharField(max_length=26, unique=True, default=new_id, editable=False)
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="messages")
    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="children")
    continues = models.BooleanField(default=False)
    role = models.CharField(max_length=9, choices=Role.choices)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    text = models.TextField(blank=True, default="")
    reasoning = models.TextField(blank=True, default="")
    state = models.CharField(max_length=11, choices=State.choices, default=State.COMPLETED)
    seq = models.PositiveBigIntegerField(default=0)
    owner = models.CharField(max_length=26, blank=True, default="")
    stop_requested = models.BooleanField(default=False)

    agent = models.ForeignKey(Agent, models.SET_NULL, null=True, related_name="+")
    agent_name = models.CharField(max_length=80, blank=True, default="")
    upstream_conversation = models.CharField(max_length=64, blank=True, default="")
    stop_reason = models.CharField(max_length=40, blank=True, default="")
    error_code = models.CharField(max_length=32, blank=True, default="")
    error_id = models.CharField(max_length=26, blank=True, default="")
    error_params = models.JSONField(default=dict, blank=True)
    sources = models.JSONField(default=list, blank=True)
    trimmed = models.PositiveIntegerField(default=0)
    continued = models.PositiveSmallIntegerField(default=0)
    tool_calls = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, default=None)
    ended_at = models.DateTimeField(null=True, default=None)
    duration_ms = models.PositiveIntegerField(null=True, default=None)
    reasoning_ms = models.PositiveIntegerField(null=True, default=None)

    objects = MessageQuerySet.as_manager()

    class Meta:
        ordering = ("pk",)
        indexes = (
            models.Index(fields=("owner",), condition=~models.Q(owner=""), name="message_owner"),
            models.Index(
                fields=("author", "-created_at"), condition=models.Q(role="user"), name="message_sends"
            ),
        )
        constraints = (
            models.CheckConstraint(condition=models.Q(state__in=State.values), name="message_state"),
            models.CheckConstraint(
                condition=models.Q(role="assistant") | models.Q(state="completed"), name="question_completed"
            ),
            models.UniqueConstraint(
                fields=("conversation",), condition=models.Q(state__in=RUNNING), name="one_running_turn"
            ),
        )
        verbose_name = _("message")
        verbose_name_plural = _("messages")

    def __str__(self) -> str:
        return self.public_id

    @property
    def is_running(self) -> bool:
        return self.state in RUNNING
