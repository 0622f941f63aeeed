"""How a turn ends in the rows: the answer's last state and its ledger entry, in one transaction.

The runner ends its own turns with it, the reaper those of a process that died. Nothing here is
announced: the caller does that once the transaction is committed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils import timezone

from chat.agents import Usage
from chat.models import Conversation, LedgerEntry, Message, State, new_id
from chat.models.messages import RUNNING
from chat.turns import storable

#: What a reaped conversation's number jumps by: more than a process can have shown and not saved.
REAPED_JUMP = 1000


@dataclass(slots=True)
class Ending:
    """The last word on one answer."""

    state: State
    error_code: str = ""
    error_id: str = ""
    error_params: dict[str, Any] = field(default_factory=dict)
    usage: Usage | None = None
    stop_reason: str = ""
    upstream_conversation: str = ""
    upstream_message: str = ""
    first_delta_ms: int | None = None
    duration_ms: int = 0
    ended_at: datetime = field(default_factory=timezone.now)


def write_ending(
    answer: Message,
    ending: Ending,
    *,
    owner: str,
    thread_id: str,
    user: tuple[int | None, str],
    kind: str,
    unread: bool,
) -> bool:
    """Write the end of `answer`, whose fields are up to date but for `ending`'s.

    Inside a transaction of the caller's. False, and nothing written, when `owner` has lost the row.
    """
    answer.state = ending.state
    answer.error_code, answer.error_id = ending.error_code, ending.error_id
    answer.error_params = ending.error_params
    answer.stop_reason = storable.text(ending.stop_reason)[:40]
    answer.upstream_conversation = storable.text(ending.upstream_conversation)[:64]
    answer.ended_at, answer.duration_ms = ending.ended_at, ending.duration_ms
    changed = Message.objects.filter(pk=answer.pk, owner=owner, state__in=RUNNING).update(
        text=answer.text,
        reasoning=answer.reasoning,
        reasoning_ms=answer.reasoning_ms,
        sources=answer.sources,
        state=answer.state,
        seq=answer.seq,
        owner="",
        stop_requested=False,
        error_code=answer.error_code,
        error_id=answer.error_id,
        error_params=answer.error_params,
        stop_reason=answer.stop_reason,
        upstream_conversation=answer.upstream_conversation,
        ended_at=answer.ended_at,
        duration_ms=answer.duration_ms,
    )
    if not changed:
        return False
    Conversation.objects.filter(pk=answer.conversation_id).update(
        seq=answer.seq, unread=unread, updated_at=ending.ended_at
    )
    _ledger_entry(answer, ending, thread_id=thread_id, user=user, kind=kind).save(force_insert=True)
    return True


def _ledger_entry(
    answer: Message, ending: Ending, *, thread_id: str, user: tuple[int | None, str], kind: str
) -> LedgerEntry:
    usage = ending.usage
    return LedgerEntry(
        public_id=new_id(),
        user_id=user[0],
        username=user[1],
        agent_id=answer.agent_id,
        agent_name=answer.agent_name,
        agent_kind=kind,
        conversation_id=thread_id,
        message_id=answer.public_id,
        user_tokens=usage.user if usage else None,
        enrichment_tokens=usage.enrichment if usage else None,
        output_tokens=usage.output if usage else None,
        cached_tokens=usage.cached if usage else None,
        reasoning_tokens=usage.reasoning if usage else None,
        raw_usage=storable.json_value(dict(usage.raw)) if usage and usage.raw else None,
        certainty=LedgerEntry.Certainty.REPORTED
        if usage and usage.total is not None
        else LedgerEntry.Certainty.UNKNOWN,
        outcome=ending.state,
        error_code=ending.error_code,
        upstream_id=storable.text(ending.upstream_message)[:120],
        started_at=answer.started_at or answer.created_at,
        ended_at=ending.ended_at,
        first_delta_ms=ending.first_delta_ms,
        duration_ms=ending.duration_ms,
    )
