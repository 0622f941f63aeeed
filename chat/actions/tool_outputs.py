"""The output of a tool that an answer called: kept with the call, and the answer goes on from the last.

A call waits for nothing: whoever writes on instead leaves it without an output, and then none is taken.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from chat.actions.asking import agent_of, check_allowance, known_receipt, look_before, one_at_a_time
from chat.actions.beginning import begin
from chat.actions.prompts import request_for
from chat.actions.refusals import Refused
from chat.actions.text import checked_key, checked_output
from chat.models import Conversation, Message, SendReceipt
from chat.protocol import events, frames
from chat.threads import write_transaction
from chat.turns import items, runtime
from chat.turns.hub import thread_topic


@dataclass(frozen=True, slots=True)
class Taken:
    """What an output led to: the answer that goes on, None as long as `pending` other calls wait."""

    conversation: str
    answer: str | None
    pending: int


def add_tool_output(user: Any, *, conversation: str, call: str, output: Any, key: str = "") -> Taken:
    """Give the output of one call: any JSON value. `call` is the id of its item, or its `call_id`.

    The same output again changes nothing and is answered the same; another one is refused. Raises
    Refused.
    """
    output, key = checked_output(output), checked_key(key)
    print_of = hashlib.sha256(json.dumps([conversation, call, output]).encode()).hexdigest()
    try:
        with write_transaction():
            one_at_a_time(user)
            now = timezone.now()
            before = look_before(user, key, conversation, now)
            known_receipt(user, key, print_of, before, now)  # what it led to is in the rows
            row = Conversation.objects.visible_to(user).select_for_update().named(conversation).first()
            if row is None:
                raise Refused("not_found")
            answer, entry = _find(row, call)
            given = entry["status"] == "completed"
            if given and entry["output"] != output:
                raise Refused("tool_output_given")
            if given:
                next_one = _known(answer)
            elif _complete(row, answer, entry, output):
                check_allowance(before, now)
                next_one = _go_on(user, row, answer)
            else:
                next_one = None
            if key and not given:
                SendReceipt.objects.create(
                    user=user, key=key, fingerprint=print_of, question=answer, answer=next_one or answer,
                    created_at=now,
                )  # fmt: skip
    except IntegrityError:
        raise Refused("conversation_busy") from None
    return Taken(conversation, next_one.public_id if next_one else None, _pending(answer))


def _find(row: Conversation, call: str) -> tuple[Message, dict[str, Any]]:
    """The answer that made the call, and its entry there."""
    name, _, number = call.rpartition(".c")
    answers = row.messages.filter(role=Message.Role.ASSISTANT).exclude(tool_calls=[])
    named = answers.named(name).first() if name else None
    if named is not None:
        for index, entry in enumerate(named.tool_calls, 1):
            if str(index) == number:
                return named, entry
    for answer in answers.order_by("-pk"):
        for entry in answer.tool_calls:
            if entry["call_id"] == call:
                return answer, entry
    raise Refused("not_found")


def _pending(answer: Message) -> int:
    return sum(entry["status"] == "pending" for entry in answer.tool_calls)


def _known(answer: Message) -> Message | None:
    return answer.children.filter(role=Message.Role.ASSISTANT).order_by("pk").first()


def _complete(row: Conversation, answer: Message, entry: dict[str, Any], output: Any) -> bool:
    """Whether it was the last one that the answer waited for."""
    if row.messages.running().exists():
        raise Refused("conversation_busy")
    if answer.children.exists():
        raise Refused("tool_call_over")
    entry |= {"status": "completed", "output": output}
    answer.seq = row.seq = row.seq + 1
    answer.save(update_fields=["tool_calls", "seq"])
    if not _pending(answer):
        return True
    row.save(update_fields=["seq"])
    _announce(row, answer, answer.tool_calls.index(entry))
    return False


def _go_on(user: Any, row: Conversation, answer: Message) -> Message:
    agent = agent_of(user, answer)
    request, trimmed = request_for(row, agent, answer, answer.parent, fresh=True)
    return begin(user, row, agent, answer, request, trimmed=trimmed)


def _announce(row: Conversation, answer: Message, index: int) -> None:
    item = items.tool_calls(answer, row.public_id)[index]
    frame = frames.event(row.public_id, row.seq, events.item_done(item))
    topic, seq = thread_topic(row.public_id), row.seq
    transaction.on_commit(lambda: runtime.publish(topic, seq, frame))
