"""Rows as the items of the wire; the same shape for a saved answer and for one still running."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from chat.agents import Usage
from chat.agents.errors import RETRYABLE
from chat.models import ContextFile, Conversation, FileState, Message, State
from chat.models.branches import Branch, plus
from chat.protocol import items

Counts = tuple[int | None, int | None, int | None]


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def usage_json(counts: Counts | None) -> dict[str, int | None] | None:
    """{user, enrichment, output, total}; a member that was not reported is null, all of them: null."""
    if counts is None or all(n is None for n in counts):
        return None
    user, enrichment, output = counts
    total = sum(n for n in counts if n is not None)
    return {"user": user, "enrichment": enrichment, "output": output, "total": total}


def counts_of(calls: Sequence[Usage | None]) -> Counts | None:
    """What the calls of one answer used together; None where nothing is known of any."""
    found: Counts | None = None
    for usage in calls:
        if usage is not None:
            user, enrichment, output = found or (None, None, None)
            found = (
                plus(user, usage.user), plus(enrichment, usage.enrichment), plus(output, usage.output)
            )  # fmt: skip
    return found


def _error(message: Message) -> dict[str, Any] | None:
    if not message.error_code:
        return None
    return {
        "code": message.error_code,
        "params": message.error_params,
        "retryable": message.error_code in RETRYABLE or message.state == State.INTERRUPTED,
        "id": message.error_id,
    }


def question(
    message: Message, thread_id: str, *, parent: str | None, author: str | None, siblings: Sequence[str] = (),
    files: Sequence[ContextFile] = (),
) -> items.Item:  # fmt: skip
    """The item of a question with its files; without `siblings` it is the only one in its place."""
    return items.user_message(
        id=message.public_id,
        thread_id=thread_id,
        created_at=message.created_at.isoformat(),
        text=message.text,
        extra={"parent": parent, "author": author, "siblings": list(siblings) or [message.public_id]},
        attachments=[attachment(file) for file in files],
    )


def attachment(file: ContextFile) -> items.Item:
    """A file as the message shows it. Addresses are relative to the page's origin."""
    stored = file.stored if file.state == FileState.READY else None
    address = f"/files/{file.public_id}"
    return items.attachment(
        id=file.public_id,
        name=file.name,
        mime_type=file.type,
        preview_url=f"{address}/thumbnail/" if stored and stored.thumbnail else None,
        extra={
            "size": file.size,
            "kind": file.kind,
            "gone": stored is None,
            "download_url": f"{address}/download/" if stored else None,
        },
    )


def reasoning(message: Message, thread_id: str) -> items.Item:
    """The item of an answer's reasoning."""
    return items.reasoning(
        answer_id=message.public_id,
        thread_id=thread_id,
        created_at=message.created_at.isoformat(),
        content=message.reasoning,
    )


def tool_calls(message: Message, thread_id: str, *, over: bool = False) -> list[items.Item]:
    """The items of the tools that an answer called. `over`: the conversation went on, so that a pending
    one waits for nothing any more."""
    return [
        items.client_tool_call(
            id=items.tool_call_id(message.public_id, number),
            thread_id=thread_id,
            created_at=(message.ended_at or message.created_at).isoformat(),
            call=call,
            extra={"answer": message.public_id, "over": over and call["status"] == "pending"},
        )
        for number, call in enumerate(message.tool_calls, 1)
    ]


def answer(
    message: Message,
    thread_id: str,
    *,
    parent: str | None,
    siblings: Sequence[str],
    usage: Counts | None,
    text: str | None = None,
    estimated: int | None = None,
    place: Mapping[str, int] | None = None,
    waited: int | None = None,
) -> items.Item:
    """The item of an answer, as far as it goes: with `text`, where given, in place of the row's. `estimated`
    is tokens of calls that were cut off, `place` where a waiting one waits, `waited` for how many seconds the
    agent has owed it."""
    return items.assistant_message(
        id=message.public_id,
        thread_id=thread_id,
        created_at=message.created_at.isoformat(),
        text=message.text if text is None else text,
        extra={
            "parent": parent,
            "state": message.state,
            "error": _error(message),
            "agent": {"id": message.agent.public_id if message.agent else None, "name": message.agent_name},
            "stop_reason": message.stop_reason or None,
            "started_at": _iso(message.started_at),
            "ended_at": _iso(message.ended_at),
            "duration_ms": message.duration_ms,
            "usage": usage_json(usage),
            "estimated": estimated,
            "sources": message.sources,
            "continues": parent if message.continues else None,
            "siblings": list(siblings),
            "reasoning_ms": message.reasoning_ms,
            "trimmed": message.trimmed,
            "continued": message.continued,
            "place": place,
            "waited": waited,
            "on_length": message.agent.on_length if message.agent else "off",
        },
    )


def of_branch(conversation: Conversation, branch: Branch) -> list[items.Item]:
    """All items of a branch, in order."""
    found: list[items.Item] = []
    for message in branch.messages:
        parent = branch.parents[message.pk]
        if message.role == Message.Role.USER:
            author = message.author.get_username() if message.author else None
            siblings = branch.siblings[message.pk]
            found.append(
                question(
                    message, conversation.public_id, parent=parent, author=author, siblings=siblings,
                    files=branch.files.get(message.pk, ()),
                )
            )  # fmt: skip
            continue
        if message.reasoning:
            found.append(reasoning(message, conversation.public_id))
        found.append(
            answer(
                message,
                conversation.public_id,
                parent=parent,
                siblings=branch.siblings[message.pk],
                usage=branch.usage.get(message.public_id),
                estimated=branch.estimated.get(message.public_id),
            )
        )
        if not message.is_running:
            found += tool_calls(message, conversation.public_id, over=message.pk != conversation.leaf_id)
    return found


def feed_entry(conversation: Conversation, *, running: bool) -> Mapping[str, Any]:
    """What the list of conversations shows of one."""
    return {
        "id": conversation.public_id,
        "title": conversation.title,
        "updated_at": conversation.updated_at.isoformat(),
        "state": "running" if running else "idle",
        "unread": conversation.unread,
    }
