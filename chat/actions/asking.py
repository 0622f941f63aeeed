"""Asking: one transaction for the question row and the answer row, then the turn begins.

Sending the same key twice gives the same rows. One answer runs in a conversation at a time; the
database holds that, not a check in Python.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection
from django.utils import timezone

from chat.actions.beginning import begin
from chat.actions.prompts import request_for
from chat.actions.refusals import Refused
from chat.actions.text import checked_key, checked_question, title_from
from chat.models import Agent, Conversation, Draft, Message, SendReceipt, State, new_id
from chat.models.messages import spent
from chat.threads import write_transaction

#: Names, as a parent, the place of the conversation's first question.
ROOT = "root"

#: How long a key is remembered.
RECEIPT_LIFE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Sent:
    """Public ids of what a send made, or had made before under the same key."""

    conversation: str
    question: str
    answer: str
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class _Ask:
    text: str
    key: str
    conversation: str | None
    agent: str | None
    parent: str | None

    @property
    def fingerprint(self) -> str:
        fields = json.dumps([self.text, self.conversation, self.agent, self.parent])
        return hashlib.sha256(fields.encode()).hexdigest()


def ask(
    user: Any,
    *,
    text: str,
    key: str,
    conversation: str | None = None,
    agent: str | None = None,
    parent: str | None = None,
) -> Sent:
    """Send a question: into `conversation`, or into a new one.

    `agent` is an agent's public id (the conversation's own when None), `parent` the message it
    follows (the shown branch's last when None, nothing when ROOT; a sibling makes a branch). Raises Refused.
    """
    wanted = _Ask(checked_question(text), checked_key(key) or new_id(), conversation, agent, parent)
    try:
        with write_transaction():
            _one_at_a_time(user)
            return _known(user, wanted) or _ask(user, wanted)
    except IntegrityError:
        # A twin committed between our look and our insert: on PostgreSQL both looked first.
        with write_transaction():
            known = _known(user, wanted)
        if known is None:
            raise Refused("conversation_busy") from None
        return known


def _one_at_a_time(user: Any) -> None:
    """Sends of one person wait for each other, so that limits hold and twins find their receipt.

    SQLite has one writer anyway.
    """
    if connection.features.has_select_for_update:
        get_user_model().objects.select_for_update(no_key=True).get(pk=user.pk)


def _known(user: Any, wanted: _Ask) -> Sent | None:
    receipts = SendReceipt.objects.filter(user=user, key=wanted.key)
    known = list(receipts.values_list("created_at", "fingerprint", "question_id", "answer__public_id"))
    if not known:
        return None
    created_at, fingerprint, question_pk, answer = known[0]
    if created_at < timezone.now() - RECEIPT_LIFE:
        receipts.delete()
        return None
    if fingerprint != wanted.fingerprint:
        raise Refused("key_reused")
    question = Message.objects.select_related("conversation").get(pk=question_pk)
    return Sent(question.conversation.public_id, question.public_id, answer, repeated=True)


def _ask(user: Any, wanted: _Ask) -> Sent:
    now = timezone.now()
    _check_allowance(user, now)
    conversation = _conversation(user, wanted, now)
    Draft.objects.filter(user=user, conversation=conversation if wanted.conversation else None).delete()
    agent = _agent(user, wanted.agent, conversation)
    parent = _parent(conversation, wanted.parent)
    question = Message.objects.create(
        conversation=conversation, parent=parent, role=Message.Role.USER, author=user,
        text=wanted.text, seq=conversation.seq + 1, created_at=now,
    )  # fmt: skip
    request, trimmed = request_for(conversation, agent, question, parent)
    answer = begin(user, conversation, agent, question, request, opening=question, trimmed=trimmed)
    SendReceipt.objects.create(
        user=user, key=wanted.key, fingerprint=wanted.fingerprint,
        question=question, answer=answer, created_at=now,
    )  # fmt: skip
    return Sent(conversation.public_id, question.public_id, answer.public_id)


def _check_allowance(user: Any, now: datetime) -> None:
    limit = settings.LIMIT_SENDS_PER_MINUTE
    running, over = spent(user.pk, now - timedelta(minutes=1), limit)
    if running >= settings.LIMIT_TURNS_PER_USER:
        raise Refused("too_many_turns", limit=settings.LIMIT_TURNS_PER_USER)
    if over is not None:
        wait = 60 - int((now - over).total_seconds())
        raise Refused("too_many_sends", limit=limit, retry_after=max(1, wait))


def _conversation(user: Any, wanted: _Ask, now: datetime) -> Conversation:
    if wanted.conversation is None:
        return Conversation.objects.create(owner=user, title=title_from(wanted.text), updated_at=now)
    visible = Conversation.objects.visible_to(user).select_for_update(of=("self",)).select_related("leaf")
    found = list(visible.named(wanted.conversation))
    if not found:
        raise Refused("not_found")
    return found[0]


def _agent(user: Any, public_id: str | None, conversation: Conversation) -> Agent:
    agents = Agent.objects.visible_to(user)
    if public_id:
        agent = agents.named(public_id).first()
    elif conversation.agent_id:
        agent = agents.filter(pk=conversation.agent_id).first()
    else:
        agent = agents.first()
    if agent is None:
        raise Refused("agent_unusable")
    return agent


def _parent(conversation: Conversation, public_id: str | None) -> Message | None:
    if public_id is None:
        return conversation.leaf
    if public_id == ROOT:
        return None
    parent = conversation.messages.named(public_id).filter(role=Message.Role.ASSISTANT).first()
    if parent is None:
        raise Refused("not_found")
    return parent


def retry(user: Any, *, conversation: str, answer: str) -> Sent:
    """Ask the same question again; the new answer stands beside the old one. Raises Refused."""
    return _again(user, conversation, answer, continues=False)


def continue_answer(user: Any, *, conversation: str, answer: str) -> Sent:
    """Have a partial answer continued by a new one below it. Raises Refused."""
    return _again(user, conversation, answer, continues=True)


def _again(user: Any, thread_id: str, answer_id: str, *, continues: bool) -> Sent:
    try:
        with write_transaction():
            _one_at_a_time(user)
            conversation = Conversation.objects.visible_to(user).select_for_update().named(thread_id).first()
            if conversation is None:
                raise Refused("not_found")
            old = conversation.messages.select_related("parent").named(answer_id).first()
            if old is None or old.role != Message.Role.ASSISTANT or old.parent is None:
                raise Refused("not_found")
            if old.is_running:
                raise Refused("conversation_busy")
            if continues and not _may_continue(old):
                raise Refused("cannot_continue")
            _check_allowance(user, timezone.now())
            above = old if continues else old.parent
            agent = _agent(user, None, conversation) if old.agent_id is None else _agent_of(user, old)
            request, trimmed = request_for(conversation, agent, above, above.parent, fresh=True)
            new = begin(
                user, conversation, agent, above, request,
                continues=continues or old.continues, trimmed=trimmed,
            )  # fmt: skip
            question = old.parent.public_id
    except IntegrityError:
        raise Refused("conversation_busy") from None
    return Sent(thread_id, question, new.public_id)


def _may_continue(answer: Message) -> bool:
    if not answer.text:
        return False
    if answer.state != State.COMPLETED:
        return True
    off = answer.agent is not None and answer.agent.on_length == Agent.OnLength.OFF
    return answer.stop_reason == "length" and not off


def _agent_of(user: Any, answer: Message) -> Agent:
    agent = Agent.objects.visible_to(user).filter(pk=answer.agent_id or 0).first()
    if agent is None:
        raise Refused("agent_unusable")
    return agent
