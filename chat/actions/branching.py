"""Showing another branch of a conversation: nothing is lost, another leaf is looked at."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from chat.actions.beginning import NEW_BRANCH_JUMP
from chat.actions.refusals import Refused
from chat.models import Conversation
from chat.protocol import frames
from chat.threads import write_transaction
from chat.turns import runtime
from chat.turns.hub import thread_topic


def show(user: Any, *, conversation: str, message: str) -> Conversation:
    """Show the branch through `message`, down to the newest leaf below it. Raises Refused."""
    with write_transaction():
        visible = Conversation.objects.visible_to(user).select_for_update()
        row = visible.named(conversation).first()
        chosen = row.messages.named(message).first() if row else None
        if row is None or chosen is None:
            raise Refused("not_found")
        if row.messages.running().exists():
            raise Refused("conversation_busy")
        row.leaf_id = _newest_leaf(row, chosen.pk)
        row.seq += NEW_BRANCH_JUMP
        row.branch_seq = row.seq
        row.save(update_fields=["leaf", "seq", "branch_seq"])
        event = {"type": "notice", "level": "info", "message": "branch"}
        frame = frames.event(row.public_id, row.seq, event)
        topic, seq = thread_topic(row.public_id), row.seq
        transaction.on_commit(lambda: runtime.publish(topic, seq, frame))
    return row


def _newest_leaf(conversation: Conversation, pk: int) -> int:
    """The newest descendant of `pk`, itself included, that has no child: keys only grow downwards."""
    below = {pk}
    for child, parent in (
        conversation.messages.filter(pk__gt=pk).order_by("pk").values_list("pk", "parent_id")
    ):
        if parent in below:
            below.add(child)
    return max(below)
