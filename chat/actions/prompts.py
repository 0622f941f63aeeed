"""What goes upstream with a question: which upstream conversation, and what it must be told.

The upstream remembers a conversation by its id. An id is used again only where the upstream knows
exactly this branch: its last turn is the one above, ended well, and no other branch used the id
since. Everywhere else a new id begins and the first prompt carries the branch so far.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from chat.agents import AgentRequest, FilePart, HistoryMessage, ToolCall
from chat.agents.continuing import CONTINUE
from chat.files.taking import taking
from chat.models import Agent, Attachment, Conversation, Message, State, new_id
from chat.models.branches import path_to
from chat.models.execution import fetch

#: Told in the place of an output that never came.
NO_OUTPUT = "Cancelled: the person went on without an output."


def request_for(
    conversation: Conversation, agent: Agent, above: Message, parent: Message | None, *, fresh: bool = False
) -> tuple[AgentRequest, int]:
    """The request for the answer below `above`: a question, a partial answer to be continued, or one whose
    tools have their outputs; and how many earlier messages it leaves out because there is no room.

    `parent` is the message above `above`. `fresh` begins a new upstream conversation in any case.
    """
    asked = above.role == Message.Role.USER
    prompt = above.text if asked else "" if above.tool_calls else CONTINUE
    files = _files_of(conversation, agent)
    if not fresh and parent is not None and _upstream_knows(conversation, agent, parent):
        path = path_to(conversation, above.pk)[0] if files else []
        all_files = tuple(part for pk in reversed(path) for part in files.get(pk, ()))
        return AgentRequest(prompt=prompt, conversation_id=parent.upstream_conversation, files=all_files), 0
    last = parent if asked else above
    history, trimmed = _history(conversation, agent, last.pk, files, asked=asked) if last else ((), 0)
    given = files.get(above.pk, ())
    return AgentRequest(prompt=prompt, history=history, conversation_id=new_id(), files=given), trimmed


_Files = Mapping[int, tuple[FilePart, ...]]


def _files_of(conversation: Conversation, agent: Agent) -> _Files:
    """What each message of a conversation carries, by the message's key; their content comes later. An
    agent that takes none is told of none."""
    if not conversation.has_files or not taking(agent).takes:
        return {}
    found: dict[int, tuple[FilePart, ...]] = {}
    carried = Attachment.objects.filter(message__conversation=conversation)
    for pk, name, type_, size, ref in carried.values_list(
        "message_id", "file__name", "file__type", "file__size", "file__public_id"
    ):
        found[pk] = (*found.get(pk, ()), FilePart(name, type_, size, ref))
    return found


_USED_SINCE = (
    "SELECT 1 FROM chat_message WHERE conversation_id = %s AND upstream_conversation = %s AND id > %s LIMIT 1"
)


def _upstream_knows(conversation: Conversation, agent: Agent, parent: Message) -> bool:
    if parent.state != State.COMPLETED or not parent.upstream_conversation or parent.agent_id != agent.pk:
        return False
    return fetch(_USED_SINCE, [conversation.pk, parent.upstream_conversation, parent.pk]) is None


def _history(
    conversation: Conversation, agent: Agent, last: int, files: _Files, *, asked: bool
) -> tuple[tuple[HistoryMessage, ...], int]:
    """The branch up to `last`: the newest messages that fit into the agent's budget, beginning with
    a question, and how many older ones do not. Unless a question was `asked` below it, the last question
    and what follows it goes along whatever its size."""
    path, _ = path_to(conversation, last)
    rows = conversation.messages.filter(pk__in=path).order_by("-pk")
    kept: list[list[HistoryMessage]] = []
    room, needed = agent.history_bytes or settings.LIMIT_PROMPT_BYTES, not asked
    for pk, role, text, calls in rows.values_list("pk", "role", "text", "tool_calls"):
        told = _told(role, text, calls, files.get(pk, ()))
        room -= sum(len(message.text.encode()) for message in told) + len(json.dumps(calls))
        if room < 0 and not needed:
            break
        kept.append(told)
        needed = needed and role != Message.Role.USER
    # An answer without its question says little, and some servers refuse to begin with one.
    while kept and len(kept) < len(path) and (not kept[-1] or kept[-1][0].role != "user"):
        kept.pop()
    return tuple(message for told in reversed(kept) for message in told), len(path) - len(kept)


def _told(
    role: str, text: str, calls: list[dict[str, Any]], files: tuple[FilePart, ...]
) -> list[HistoryMessage]:
    """One row as messages: an answer that called tools is followed by what each of them gave, for a call
    without an output is refused by every server."""
    if role == Message.Role.USER:
        return [HistoryMessage("user", text, files=files)]
    made = tuple(ToolCall(call["call_id"], call["name"], call["arguments"]) for call in calls)
    answer = [HistoryMessage("assistant", text, calls=made)] if text or made else []
    return answer + [HistoryMessage("tool", _output(call), call_id=call["call_id"]) for call in calls]


def _output(call: dict[str, Any]) -> str:
    if call["status"] == "pending":
        return NO_OUTPUT
    output = call["output"]
    return output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
