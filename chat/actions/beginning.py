"""Beginning a turn: its answer row, the numbers of what is announced, and the hand-over on commit.

Called inside the transaction of a verb that has checked everything; it decides nothing of its own.
"""

from __future__ import annotations

from typing import Any, Literal, cast

from django.db import transaction
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext

from chat import limits
from chat.actions.refusals import Refused
from chat.agents import AgentConfig, AgentRequest
from chat.models import Agent, Conversation, LedgerEntry, Message, SecretUnreadable, State
from chat.models.branches import files_of
from chat.models.statements import insert, new, update
from chat.protocol import events, frames
from chat.turns import items, runtime, spending
from chat.turns.places import Rule
from chat.turns.turn import Rules, TurnSpec

#: What a conversation's number jumps by when another branch is shown.
NEW_BRANCH_JUMP = 10

_COLUMNS = tuple(field.attname for field in Agent._meta.concrete_fields)

Kind = Literal["stackspot", "demo", "openai"]


def begin(
    user: Any,
    conversation: Conversation,
    agent: Agent,
    above: Message,
    request: AgentRequest,
    *,
    opening: Message | None = None,
    continues: bool = False,
    trimmed: int = 0,
    again: str = "",
) -> Message:
    """Make the answer row below `above`, number what is announced, hand the turn over on commit.

    `opening` is the question that was made in the same transaction, if one was, `trimmed` how many
    earlier messages `request` leaves out, `again` the public id of an answer that is tried again.
    Raises Refused.
    """
    try:
        worker_id = runtime.current().worker_id
    except runtime.NotServing:
        raise Refused("unavailable") from None
    config = config_of(agent)
    now = timezone.now()
    created = conversation.leaf_id is None
    # A branch is shown whole: the jump is a gap to every watcher, who then reads the rows again.
    branches = opening is None or opening.parent_id != conversation.leaf_id
    seq = conversation.seq + (NEW_BRANCH_JUMP if branches else 2)
    answer = new(
        Message, conversation=conversation, parent=above, role=Message.Role.ASSISTANT, state=State.QUEUED,
        continues=continues, trimmed=trimmed, seq=seq, owner=worker_id, agent=agent, agent_name=agent.name,
        upstream_conversation=request.conversation_id or "", created_at=now, started_at=now,
    )  # fmt: skip
    insert(answer)
    if spending.in_force():
        _reserve(user, agent, request, answer.public_id)
    conversation.leaf, conversation.seq = answer, seq
    conversation.branch_seq = seq if branches else conversation.branch_seq
    conversation.agent, conversation.updated_at, conversation.unread = agent, now, False
    update(
        Conversation, {"id": conversation.pk},
        {"leaf": answer.pk, "seq": seq, "branch_seq": conversation.branch_seq, "agent": agent.pk,
         "updated_at": now, "unread": False},
    )  # fmt: skip
    siblings = [answer.public_id]
    if opening is None:
        beside = conversation.messages.filter(parent=above).order_by("pk")
        siblings = list(beside.values_list("public_id", flat=True))
    spec = TurnSpec(
        answer=answer, thread_id=conversation.public_id, conversation_pk=conversation.pk,
        user_pk=user.pk, username=user.get_username(), agent=config, request=request,
        parent=above.public_id, siblings=siblings, rules=_rules_of(agent),
        purpose=_purpose(continues, again), retry_of=again,
    )  # fmt: skip
    spec.opening = _opening(spec, conversation, None if branches else opening)
    spec.whole_branch = created
    entry = dict(items.feed_entry(conversation, running=True))
    feed = frames.feed("created" if created else "running", entry)
    transaction.on_commit(lambda: runtime.begin(spec, feed))
    # The turn keeps its answer for minutes; the rows around it need not stay as long (5 KB a turn).
    for name in ("conversation", "parent"):
        answer._state.fields_cache.pop(name, None)
    answer._state.fields_cache["agent"] = _shared(agent)
    return answer


#: The last state of each agent that was asked.
_agents: dict[int, Agent] = {}


def _shared(agent: Agent) -> Agent:
    """One object for all turns that were begun with the same row: each send reads one of its own."""
    known = _agents.get(agent.pk)
    if known is None or any(getattr(known, name) != getattr(agent, name) for name in _COLUMNS):
        _agents[agent.pk] = known = agent
    return known


def _opening(spec: TurnSpec, conversation: Conversation, question: Message | None) -> list[tuple[int, str]]:
    """The events that show the question and the waiting answer, with their numbers."""
    thread_id, seq = conversation.public_id, spec.answer.seq
    answer = items.answer(spec.answer, thread_id, parent=spec.parent, siblings=spec.siblings, usage=None)
    opening = [(seq, frames.event(thread_id, seq, events.item_added(answer)))]
    if question is not None:
        parent = question.parent.public_id if question.parent else None
        files = files_of([question]).get(question.pk, ()) if conversation.has_files else ()
        item = items.question(question, thread_id, parent=parent, author=spec.username, files=files)
        opening.insert(0, (question.seq, frames.event(thread_id, question.seq, events.item_done(item))))
        spec.question, spec.question_seq = item, question.seq
    return opening


def _reserve(user: Any, agent: Agent, request: AgentRequest, answer: str) -> None:
    """Hold what the answer may use. Raises Refused with the limit, its reset, and whom to ask."""
    shortage = spending.reserve(user.pk, agent, request, answer)
    if shortage is not None:
        raise refused_by(shortage)


def refused_by(shortage: spending.Shortage) -> Refused:
    """The refusal for a budget without room; a soft one may be confirmed, by its id."""
    budget, contact = shortage.budget, shortage.budget.contact or gettext("your administrator")
    limit = budget.shown(shortage.limit)
    resets = date_format(timezone.localtime(shortage.resets_at), "SHORT_DATETIME_FORMAT")
    if not budget.hard:
        return Refused("budget_over", budget=budget.public_id, limit=limit, resets=resets, contact=contact)
    wait = max(1, int((shortage.resets_at - timezone.now()).total_seconds()))
    return Refused("budget_spent", limit=limit, resets=resets, contact=contact, retry_after=wait)


def _purpose(continues: bool, again: str) -> str:
    purposes = LedgerEntry.Purpose
    return purposes.AGAIN if again else purposes.CONTINUED if continues else purposes.ANSWER


def rule_of(agent: Agent) -> Rule:
    """What the agent's credential may do."""
    per_minute = limits.requests_per_minute(agent.kind, agent.requests_per_minute)
    return Rule(per_minute, agent.concurrent_streams)


def _rules_of(agent: Agent) -> Rules:
    auto = agent.on_length == Agent.OnLength.AUTO
    times = agent.continue_times if auto else 0
    return Rules(times, rule_of(agent), drain=agent.on_stop == Agent.OnStop.DRAIN)


def config_of(agent: Agent) -> AgentConfig:
    """What a client needs to know of an agent's row. Raises Refused when its secret cannot be read."""
    try:
        secret = agent.secret()
    except SecretUnreadable:
        raise Refused("agent_unusable") from None
    return AgentConfig(
        kind=cast(Kind, agent.kind),
        name=agent.name,
        base_url=agent.base_url,
        agent_id=agent.agent_id,
        token_url=agent.token_url,
        client_id=agent.client_id,
        client_secret=secret,
        options=agent.options,
        ca_bundle=agent.ca_bundle or None,
        proxy=agent.proxy or None,
    )
