"""Stopping a running answer, from any tab, device or process."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from chat.actions.refusals import Refused
from chat.models import Conversation
from chat.threads import write_transaction
from chat.turns import runtime


def stop(user: Any, *, conversation: str) -> bool:
    """Ask the owner of the running answer to end it; False when none runs. Raises Refused.

    The answer's own last event says that it stopped; this only says that it was asked to.
    """
    with write_transaction():
        row = Conversation.objects.visible_to(user).named(conversation).first()
        if row is None:
            raise Refused("not_found")
        answer = row.messages.running().first()
        if answer is None:
            return False
        row.messages.filter(pk=answer.pk).update(stop_requested=True)
        transaction.on_commit(lambda: runtime.stop_turn(row.pk, answer.pk, answer.owner))
    return True
