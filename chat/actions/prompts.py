"""What goes upstream with a question: which upstream conversation, and what it must be told.

The upstream remembers a conversation by its id. An id is used again only where the upstream knows
exactly this branch: its last turn is the one above, ended well, and no other branch used the id
since. Everywhere else a new id begins and the first prompt carries the branch so far.
"""

from __future__ import annotations

from django.conf import settings

from chat.agents import AgentRequest, HistoryMessage
from chat.models import Agent, Conversation, Message, State, new_id
from chat.models.branches import path_to
from chat.turns.continuing import CONTINUE


def request_for(
    conversation: Conversation, agent: Agent, above: Message, parent: Message | None, *, fresh: bool = False
) -> tuple[AgentRequest, int]:
    """The request for the answer below `above`: a question, or a partial answer to be continued; and
    how many earlier messages it leaves out because there is no room.

    `parent` is the message above `above`. `fresh` begins a new upstream conversation in any case.
    """
    prompt = above.text if above.role == Message.Role.USER else CONTINUE
    if not fresh and parent is not None and _upstream_knows(conversation, agent, parent):
        return AgentRequest(prompt=prompt, conversation_id=parent.upstream_conversation), 0
    last = parent if above.role == Message.Role.USER else above
    history, trimmed = _history(conversation, agent, last.pk) if last is not None else ((), 0)
    return AgentRequest(prompt=prompt, history=history, conversation_id=new_id()), trimmed


def _upstream_knows(conversation: Conversation, agent: Agent, parent: Message) -> bool:
    if parent.state != State.COMPLETED or not parent.upstream_conversation or parent.agent_id != agent.pk:
        return False
    used = conversation.messages.filter(upstream_conversation=parent.upstream_conversation)
    return not used.filter(pk__gt=parent.pk).exists()


def _history(conversation: Conversation, agent: Agent, last: int) -> tuple[tuple[HistoryMessage, ...], int]:
    """The branch up to `last`: the newest messages that fit into the agent's budget, beginning with
    a question, and how many older ones do not."""
    path, _ = path_to(conversation, last)
    rows = conversation.messages.filter(pk__in=path).order_by("-pk").values_list("role", "text")
    kept: list[HistoryMessage] = []
    seen, room = 0, agent.history_bytes or settings.LIMIT_PROMPT_BYTES
    for role, text in rows:
        room -= len(text.encode())
        if room < 0:
            break
        seen += 1
        if text:
            kept.append(HistoryMessage("user" if role == Message.Role.USER else "assistant", text))
    trimmed = len(path) - seen
    # An answer without its question says little, and some servers refuse to begin with one.
    while trimmed and kept and kept[-1].role == "assistant":
        kept.pop()
        trimmed += 1
    return tuple(reversed(kept)), trimmed
