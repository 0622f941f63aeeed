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

#: Asked of the agent when a person has a partial answer continued.
CONTINUE = (
    "Your last answer was cut off. Continue it exactly where it stopped, in the same language and form."
    " Do not repeat anything and do not comment on the interruption."
)


def request_for(
    conversation: Conversation, agent: Agent, above: Message, parent: Message | None, *, fresh: bool = False
) -> AgentRequest:
    """The request for the answer below `above`: a question, or a partial answer to be continued.

    `parent` is the message above `above`. `fresh` begins a new upstream conversation in any case.
    """
    prompt = above.text if above.role == Message.Role.USER else CONTINUE
    if not fresh and parent is not None and _upstream_knows(conversation, agent, parent):
        return AgentRequest(prompt=prompt, conversation_id=parent.upstream_conversation)
    last = parent if above.role == Message.Role.USER else above
    history = _history(conversation, last.pk) if last is not None else ()
    return AgentRequest(prompt=prompt, history=history, conversation_id=new_id())


def _upstream_knows(conversation: Conversation, agent: Agent, parent: Message) -> bool:
    if parent.state != State.COMPLETED or not parent.upstream_conversation or parent.agent_id != agent.pk:
        return False
    used = conversation.messages.filter(upstream_conversation=parent.upstream_conversation)
    return not used.filter(pk__gt=parent.pk).exists()


def _history(conversation: Conversation, last: int) -> tuple[HistoryMessage, ...]:
    """The branch up to `last`, the newest messages that fit into one prompt's size."""
    path, _ = path_to(conversation, last)
    rows = conversation.messages.filter(pk__in=path).order_by("-pk").values_list("role", "text")
    kept: list[HistoryMessage] = []
    room = settings.LIMIT_PROMPT_BYTES
    for role, text in rows:
        room -= len(text.encode())
        if room < 0:
            break
        if text:
            kept.append(HistoryMessage("user" if role == Message.Role.USER else "assistant", text))
    return tuple(reversed(kept))
