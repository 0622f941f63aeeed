"""How a turn ends in the rows: the answer's last state and its ledger entry, in one transaction.

The runner ends its own turns with it, the reaper those of a process that died. Nothing here is
announced: the caller does that once the transaction is committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils import timezone

from chat.agents import Attempt, Usage
from chat.models import Conversation, LedgerEntry, Message, State, new_id
from chat.models.messages import IS_RUNNING, RUNNING
from chat.models.statements import new, update
from chat.turns import storable
from chat.turns.entries import served_by, usage_fields, with_attempts

#: What a reaped conversation's number jumps by: more than a process can have shown and not saved.
REAPED_JUMP = 1000


@dataclass(slots=True)
class Ending:
    """The last word on one answer. Its last call to the agent began at `call_started_at` and took
    `call_ms`; without them it had a single one, as long as itself."""

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
    call_started_at: datetime | None = None
    call_ms: int | None = None
    #: Of its last call: the requests that were made (None: not known), what it was for and what it
    #: repeats; whether `usage` is our own estimate.
    attempts: Sequence[Attempt] | None = None
    purpose: str = LedgerEntry.Purpose.ANSWER
    retry_of: str = ""
    estimated: bool = False

    def fields(self) -> dict[str, Any]:
        """What an answer's row takes over, fit for both databases."""
        return {
            "state": self.state,
            "error_code": self.error_code,
            "error_id": self.error_id,
            "error_params": self.error_params,
            "stop_reason": storable.text(self.stop_reason)[:40],
            "upstream_conversation": storable.text(self.upstream_conversation)[:64],
            "ended_at": self.ended_at,
            "duration_ms": self.duration_ms,
        }

    def apply_to(self, answer: Message) -> None:
        """Make the row in memory the one that was written."""
        for name, value in self.fields().items():
            setattr(answer, name, value)


def write_ending(
    answer: Message,
    ending: Ending,
    *,
    owner: str,
    thread_id: str,
    user: tuple[int | None, str],
    agent: Any,
    unread: bool,
    ledger: list[LedgerEntry],
) -> bool:
    """Write the end of `answer`, whose text, reasoning, sources and number are the last ones.

    Inside a transaction of the caller's, who appends what is put into `ledger` to the ledger in it;
    `answer` itself stays as it is, because the transaction may still fail. `agent` is its row or
    configuration, if there is one. False, and nothing written, when `owner` has lost the row.
    """
    values = {
        "text": answer.text,
        "reasoning": answer.reasoning,
        "reasoning_ms": answer.reasoning_ms,
        "sources": answer.sources,
        "continued": answer.continued,
        "trimmed": answer.trimmed,
        "tool_calls": answer.tool_calls,
        "seq": answer.seq,
        "owner": "",
        "stop_requested": False,
        **ending.fields(),
    }
    if not update(Message, {"id": answer.pk, "owner": owner}, values, also=IS_RUNNING):
        return False
    update(
        Conversation,
        {"id": answer.conversation_id},
        {"seq": answer.seq, "unread": unread, "updated_at": ending.ended_at},
    )
    ledger += entries_of(answer, ending, thread_id=thread_id, user=user, agent=agent)
    return True


def write_call(
    answer: Message,
    call: Ending,
    *,
    owner: str,
    thread_id: str,
    user: tuple[int | None, str],
    agent: Any,
    ledger: list[LedgerEntry],
) -> bool:
    """Put one call of an answer that goes on into `ledger`, as `write_ending` does. False, and nothing
    written, when `owner` has lost the row. Inside a transaction of the caller's."""
    ours = Message.objects.filter(pk=answer.pk, owner=owner, state__in=RUNNING)
    if not ours.update(continued=answer.continued, trimmed=answer.trimmed):
        return False
    ledger += entries_of(answer, call, thread_id=thread_id, user=user, agent=agent)
    return True


def entries_of(
    answer: Message, ending: Ending, *, thread_id: str, user: tuple[int | None, str], agent: Any
) -> list[LedgerEntry]:
    """One for each request that was made; none when it ended before the first."""
    if ending.attempts is not None and not ending.attempts:
        return []
    entry = new(
        LedgerEntry,
        public_id=new_id(),
        user_id=user[0],
        username=user[1],
        agent_id=answer.agent_id,
        agent_name=answer.agent_name,
        **served_by(agent),
        purpose=ending.purpose,
        conversation_id=thread_id,
        message_id=answer.public_id,
        retry_of=ending.retry_of,
        **usage_fields(ending.usage, estimated=ending.estimated),
        outcome=ending.state,
        error_code=ending.error_code,
        upstream_id=storable.text(ending.upstream_message)[:120],
        started_at=ending.call_started_at or answer.started_at or answer.created_at,
        ended_at=ending.ended_at,
        first_delta_ms=ending.first_delta_ms,
        duration_ms=ending.duration_ms if ending.call_ms is None else ending.call_ms,
    )
    return with_attempts(entry, ending.attempts or ())
