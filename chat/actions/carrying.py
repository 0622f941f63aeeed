"""A question takes its files along: checked against the agent's limits, in the question's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chat.actions.refusals import Refused
from chat.files.taking import taking
from chat.models import Agent, Attachment, ContextFile, FileState, Message


def attach(user: Any, question: Message, agent: Agent, ids: Sequence[str]) -> None:
    """Have `question` carry the files `ids`, in their order. Raises Refused."""
    taken = taking(agent)
    if not taken.takes:
        raise Refused("files_not_taken")
    if len(ids) > (taken.max_files or 0):
        raise Refused("too_many_files", limit=taken.max_files or 0)
    rows = [_carried(user, question, public_id) for public_id in ids]
    for row in rows:
        about = {"file": row.public_id, "name": row.name}
        if row.state != FileState.READY or row.stored is None:
            raise Refused("file_not_ready", **about)
        if row.size > (taken.max_bytes or 0):
            raise Refused("file_too_large", limit=taken.max_bytes or 0, **about)
        if not taken.takes_kind(row.name, row.kind):
            raise Refused("file_type_not_taken", **about)
        if agent.kind == Agent.Kind.OPENAI and row.stored.text_code:
            raise Refused("file_unreadable", **about)
    conversation = question.conversation
    ContextFile.objects.filter(pk__in=[row.pk for row in rows]).update(conversation=conversation)
    Attachment.objects.bulk_create(
        Attachment(message=question, file=row, position=number) for number, row in enumerate(rows)
    )
    if not conversation.has_files:
        conversation.has_files = True
        conversation.save(update_fields=["has_files"])


def _carried(user: Any, question: Message, public_id: str) -> ContextFile:
    """A file of this conversation, or of none yet; held until the question is written. Raises Refused."""
    rows = ContextFile.objects.visible_to(user).named(public_id).select_for_update(of=("self",))
    row = rows.select_related("stored").first()
    if row is None or row.conversation_id not in (None, question.conversation_id):
        raise Refused("not_found")
    return row
