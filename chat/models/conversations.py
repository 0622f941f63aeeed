"""Conversations, and the one queryset through which a door reaches them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.apps import apps
from django.conf import settings
from django.db import connection, models
from django.utils.translation import gettext_lazy as _

from chat.models.agents import Agent
from chat.models.ids import NamedQuerySet, may_be_id, new_id
from chat.models.statements import find


class Position(NamedTuple):
    """What a socket has to know of a conversation it watches: the owner's key, the number of the last
    thread event, and whether the list shows it as unread."""

    owner: int
    seq: int
    unread: bool


class ConversationQuerySet(NamedQuerySet["Conversation"]):
    def visible_to(self, user: Any) -> ConversationQuerySet:
        """The only way in from a door: a person's own, not deleted. A foreign one is simply not there."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        return self.filter(owner_id=user.pk, deleted_at=None)

    def one_to_send_into(self, user: Any, public_id: str) -> Conversation | None:
        """That of `visible_to` with this id, locked, with its leaf; by statements that are built once."""
        if not (user.is_authenticated and user.is_active and may_be_id(public_id)):
            return None
        lock = " FOR UPDATE" if connection.features.has_select_for_update else ""
        where = {"public_id": public_id, "owner": user.pk}
        found = find(Conversation, where, also=f"deleted_at IS NULL{lock}")
        if found is not None and found.leaf_id is not None:
            found.leaf = find(apps.get_model("chat", "Message"), {"id": found.leaf_id})
        return found

    def deleted_by(self, user: Any) -> ConversationQuerySet:
        """What a person deleted and may still bring back."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        return self.filter(owner_id=user.pk, deleted_at__isnull=False)

    def positions(self, keys: Iterable[int]) -> dict[int, Position]:
        """Where those of `keys` are that are not deleted."""
        names = ("pk", "owner_id", "seq", "leaf__seq", "unread")
        rows = self.filter(pk__in=keys, deleted_at=None).values_list(*names)
        return {
            pk: Position(owner, max(seq, leaf_seq or 0), unread) for pk, owner, seq, leaf_seq, unread in rows
        }


class Conversation(models.Model):
    """A tree of messages. `seq` numbers its thread events; `leaf` ends the branch that is shown,
    and `branch_seq` is the number at which another branch was last shown."""

    public_id = models.CharField(max_length=26, unique=True, default=new_id, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="conversations")
    agent = models.ForeignKey(Agent, models.SET_NULL, null=True, related_name="+")
    title = models.CharField(_("title"), max_length=120)
    seq = models.PositiveBigIntegerField(default=0)
    branch_seq = models.PositiveBigIntegerField(default=0)
    leaf = models.ForeignKey("chat.Message", models.SET_NULL, null=True, related_name="+")
    unread = models.BooleanField(default=False)
    has_files = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True, default=None)

    objects = ConversationQuerySet.as_manager()

    class Meta:
        indexes = (
            models.Index(fields=("owner", "deleted_at", "-updated_at"), name="conversation_list"),
            models.Index(
                fields=("deleted_at",),
                condition=models.Q(deleted_at__isnull=False),
                name="conversation_purge",
            ),
        )
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")

    def __str__(self) -> str:
        return self.public_id
