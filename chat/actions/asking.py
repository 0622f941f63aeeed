"""Asking: one transaction for the question row and the answer row, then the turn begins.

Sending the same key twice gives the same rows. One answer runs in a conversation at a time; the
database holds that, not a check in Python.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection
from django.utils import timezone

from chat.actions.beginning import begin
from chat.actions.carrying import attach
from chat.actions.prompts import request_for
from chat.actions.refusals import Refused
from chat.actions.text import checked_key, checked_question, title_from
from chat.models import Agent, Conversation, Draft, Message, SendReceipt, State, new_id
from chat.models.sends import Before, Receipt, before_send
from chat.models.statements import insert, new
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
    files: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        fields = json.dumps([self.text, self.conversation, self.agent, self.parent, *self.files])
        return hashlib.sha256(fields.encode()).hexdigest()


def ask(
    user: Any,
    *,
    text: str,
    key: str,
    conversation: str | None = None,
    agent: str | None = None,
    parent: str | None = None,
    files: Sequence[str] = (),
) -> Sent:
    """Send a question: into `conversation`, or into a new one.

    `agent` is an agent's public id (the conversation's own when None), `parent` the message it
    follows (the shown branch's last when None, nothing when ROOT; a sibling makes a branch), `files`
    ids of files that it carries. Raises Refused.
    """
    wanted = _Ask(
        checked_question(text), checked_key(key) or new_id(), conversation, agent, parent,
        tuple(dict.fromkeys(files)),
    )  # fmt: skip
    try:
        with write_transaction():
            one_at_a_time(user)
            now = timezone.now()
            before = look_before(user, wanted.key, wanted.conversation, now)
            return _known(user, wanted, before, now) or _ask(user, wanted, before, now)
    except IntegrityError:
        # A twin committed between our look and our insert: on PostgreSQL both looked first.
        with write_transaction():
            now = timezone.now()
            known = _known(user, wanted, look_before(user, wanted.key, wanted.conversation, now), now)
        if known is None:
            raise Refused("conversation_busy") from None
        return known


def one_at_a_time(user: Any) -> None:
    """Sends of one person wait for each other, so that limits hold and twins find their receipt.

    SQLite has one writer anyway.
    """
    if connection.features.has_select_for_update:
        get_user_model().objects.select_for_update(no_key=True).get(pk=user.pk)


def look_before(user: Any, key: str, thread_id: str | None, now: datetime) -> Before:
    """What counts for a send of this person under `key` into a conversation, or into a new one."""
    return before_send(user.pk, key, thread_id, now - timedelta(minutes=1), settings.LIMIT_SENDS_PER_MINUTE)


def known_receipt(user: Any, key: str, fingerprint: str, before: Before, now: datetime) -> Receipt | None:
    """What this key led to, if it is remembered. Raises Refused where it was used for something else."""
    receipt = before.receipt
    if receipt is None:
        return None
    if receipt.created_at < now - RECEIPT_LIFE:
        SendReceipt.objects.filter(user=user, key=key).delete()
        return None
    if receipt.fingerprint != fingerprint:
        raise Refused("key_reused")
    return receipt


def _known(user: Any, wanted: _Ask, before: Before, now: datetime) -> Sent | None:
    receipt = known_receipt(user, wanted.key, wanted.fingerprint, before, now)
    if receipt is None:
        return None
    question = Message.objects.select_related("conversation").get(pk=receipt.question_pk)
    return Sent(question.conversation.public_id, question.public_id, receipt.answer, repeated=True)


def _ask(user: Any, wanted: _Ask, before: Before, now: datetime) -> Sent:
    check_allowance(before, now)
    conversation = _conversation(user, wanted, now)
    if before.draft is not None:
        Draft.objects.filter(pk=before.draft).delete()
    agent = _agent(user, wanted.agent, conversation)
    parent = _parent(conversation, wanted.parent)
    question = new(
        Message, conversation=conversation, parent=parent, role=Message.Role.USER, author=user,
        text=wanted.text, seq=conversation.seq + 1, created_at=now,
    )  # fmt: skip
    insert(question)
    if wanted.files:
        attach(user, question, agent, wanted.files)
    request, trimmed = request_for(conversation, agent, question, parent)
    answer = begin(user, conversation, agent, question, request, opening=question, trimmed=trimmed)
    receipt = new(
        SendReceipt, user=user, key=wanted.key, fingerprint=wanted.fingerprint,
        question=question, answer=answer, created_at=now,
    )  # fmt: skip
    insert(receipt)
    return Sent(conversation.public_id, question.public_id, answer.public_id)


def check_allowance(before: Before, now: datetime) -> None:
    """Whether this person may begin another answer. Raises Refused."""
    if before.running >= settings.LIMIT_TURNS_PER_USER:
        raise Refused("too_many_turns", limit=settings.LIMIT_TURNS_PER_USER)
    if before.over is not None:
        wait = 60 - int((now - before.over).total_seconds())
        raise Refused("too_many_sends", limit=settings.LIMIT_SENDS_PER_MINUTE, retry_after=max(1, wait))


def _conversation(user: Any, wanted: _Ask, now: datetime) -> Conversation:
    if wanted.conversation is None:
        conversation = new(Conversation, owner=user, title=title_from(wanted.text), updated_at=now)
        insert(conversation)
        return conversation
    found = Conversation.objects.one_to_send_into(user, wanted.conversation)
    if found is None:
        raise Refused("not_found")
    return found


def _agent(user: Any, public_id: str | None, conversation: Conversation) -> Agent:
    if public_id:
        agent = Agent.objects.one_visible_to(user, public_id=public_id)
    elif conversation.agent_id:
        agent = Agent.objects.one_visible_to(user, pk=conversation.agent_id)
    else:
        agent = Agent.objects.visible_to(user).first()
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
            one_at_a_time(user)
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
            now = timezone.now()
            check_allowance(look_before(user, "", thread_id, now), now)
            above = old if continues else old.parent
            agent = _agent(user, None, conversation) if old.agent_id is None else agent_of(user, old)
            request, trimmed = request_for(conversation, agent, above, above.parent, fresh=True)
            new = begin(
                user, conversation, agent, above, request,
                continues=continues or old.continues, trimmed=trimmed,
                again="" if continues else old.public_id,
            )  # fmt: skip
            question = old.parent.public_id
    except IntegrityError:
        raise Refused("conversation_busy") from None
    return Sent(thread_id, question, new.public_id)


def _may_continue(answer: Message) -> bool:
    if not answer.text or answer.tool_calls:
        return False
    if answer.state != State.COMPLETED:
        return True
    off = answer.agent is not None and answer.agent.on_length == Agent.OnLength.OFF
    return answer.stop_reason == "length" and not off


def agent_of(user: Any, answer: Message) -> Agent:
    """The agent that gave `answer`, if it may still be asked. Raises Refused."""
    agent = Agent.objects.visible_to(user).filter(pk=answer.agent_id or 0).first()
    if agent is None:
        raise Refused("agent_unusable")
    return agent
