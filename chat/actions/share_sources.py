"""What a conversation offers for sharing: the shown branch as plain values, nothing decided yet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from chat.models import ContextFile, Conversation, FileState, Message, State
from chat.models.branches import files_of, path_to, usage_of
from chat.sharing.scanner import settled
from chat.sharing.snapshot import Part, Source
from chat.turns import items, runtime

_CUT = (State.STOPPED, State.FAILED, State.INTERRUPTED)


def source_of(
    conversation: Conversation, *, until: str | None = None, growing: bool = False,
    before: datetime | None = None,
) -> Source:  # fmt: skip
    """The branch that is shown, up to the message `until`, or what there was of it `before` a moment.
    `conversation` comes with its owner.

    An answer that is still being written is left out, or with `growing` taken as far as it may be
    read: without the end that could yet turn out to be a secret.
    """
    rows = [row for row in _rows(conversation, until) if before is None or row.created_at < before]
    ended = [m.public_id for m in rows if m.role == Message.Role.ASSISTANT and not m.is_running]
    usage = usage_of(conversation.public_id, ended) if ended else {}
    files = files_of(rows) if conversation.has_files else {}
    parts = []
    for message in rows:
        part = _part(message, items.usage_json(usage.get(message.public_id)), files.get(message.pk, ()))
        if message.is_running:
            if not growing:
                continue
            text, reasoning = _as_far_as_it_is(message)
            part = Part(
                part.key, part.role, settled(text), part.agent, settled(reasoning), None, unfinished=True
            )
        if part.text or part.reasoning or part.unfinished:
            parts.append(part)
    last = rows[-1].created_at if rows else conversation.updated_at
    return Source(conversation.title, last.isoformat(timespec="minutes"), _name(conversation.owner), parts)


def last_of(conversation: Conversation) -> str:
    """The id of the last message that is not being written; empty when there is none."""
    rows = [message for message in _rows(conversation, None) if not message.is_running]
    return rows[-1].public_id if rows else ""


def _rows(conversation: Conversation, until: str | None) -> list[Message]:
    path, tree = path_to(conversation, conversation.leaf_id)
    if until:
        leaf = next((pk for pk, (_, public_id) in tree.items() if public_id == until), None)
        path, _ = path_to(conversation, leaf)
    place = {pk: index for index, pk in enumerate(path)}
    return sorted(conversation.messages.filter(pk__in=path), key=lambda message: place[message.pk])


def _part(message: Message, usage: dict[str, int | None] | None, files: Sequence[ContextFile]) -> Part:
    if message.role == Message.Role.USER:
        offered = [
            {"id": file.public_id, "name": file.name, "size": file.size}
            for file in files
            if file.state == FileState.READY
        ]
        return Part(message.public_id, "question", message.text, files=offered)
    return Part(
        message.public_id, "answer", message.text, message.agent_name, message.reasoning, usage,
        unfinished=message.state in _CUT or message.stop_reason == "length",
    )  # fmt: skip


def _as_far_as_it_is(message: Message) -> tuple[str, str]:
    """Text and reasoning of a running answer: those of this process's memory where it runs here."""
    try:
        turn = runtime.current().turns.get(message.conversation_id)
    except runtime.NotServing:
        turn = None
    if turn is None or turn.answer.pk != message.pk:
        return message.text, message.reasoning
    return turn.text, turn.answer.reasoning


def _name(user: Any) -> str:
    return str(user.get_full_name() or user.get_username())
