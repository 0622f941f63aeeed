"""Calls to an agent outside any conversation: each is entered into the ledger like all others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from chat.agents import AgentError
from chat.agents.blocking import AgentResponse, Status
from chat.models import Agent, LedgerEntry, State, new_id
from chat.threads import write_transaction
from chat.turns import spending, storable
from chat.turns.entries import estimate, served_by, usage_fields, with_attempts
from chat.turns.runner import INTERRUPTING


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it was made; `first_delta_ms` None when no text came."""

    response: AgentResponse
    started_at: datetime
    ended_at: datetime
    first_delta_ms: int | None = None


def record_call(
    agent: Agent, call: Call, *, username: str, purpose: str = LedgerEntry.Purpose.COMMAND
) -> None:
    """Enter every request that `call` made into the ledger, for somebody who need not be a user."""
    response = call.response
    attempts = response.request.attempts
    if not attempts:
        return
    error = response.error if isinstance(response.error, AgentError) else None
    outcome, usage, estimated = _outcome(response, error), response.usage, False
    if outcome == State.STOPPED and usage is None:
        usage, estimated = estimate(response.request, response.text, response.reasoning), True
    entry = LedgerEntry(
        public_id=new_id(),
        user_id=None,
        username=storable.text(username)[:150],
        agent_id=agent.pk,
        agent_name=agent.name,
        **served_by(agent),
        purpose=purpose,
        conversation_id="",
        message_id="",
        **usage_fields(usage, estimated=estimated),
        outcome=outcome,
        error_code=error.code if error else "",
        upstream_id=storable.text(response.message_id or "")[:120],
        started_at=call.started_at,
        ended_at=call.ended_at,
        first_delta_ms=call.first_delta_ms,
        duration_ms=max(0, int((call.ended_at - call.started_at).total_seconds() * 1000)),
    )
    with write_transaction():
        spending.enter(with_attempts(entry, attempts))


def _outcome(response: AgentResponse, error: AgentError | None) -> State:
    if error is not None:
        return State.INTERRUPTED if error.code in INTERRUPTING else State.FAILED
    # What a result handler makes of a whole answer is no matter of the agent's.
    return State.STOPPED if response.status is Status.CANCELLED else State.COMPLETED
