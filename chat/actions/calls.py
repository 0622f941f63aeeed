"""Calls to an agent outside any conversation: held back by budgets and entered into the ledger like all
others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from chat.actions.beginning import refused_by
from chat.actions.recording import record
from chat.agents import AgentError, AgentRequest
from chat.agents.blocking import AgentResponse, Status
from chat.models import Agent, AuditEvent, LedgerEntry, State, new_id
from chat.threads import write_transaction
from chat.turns import spending, storable
from chat.turns.entries import estimate, served_by, usage_fields, with_attempts
from chat.turns.runner import INTERRUPTING

#: Confirmations of a budget that are looked through for one's own.
KNOWN = 100


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it was made; `first_delta_ms` None when no text came."""

    response: AgentResponse
    started_at: datetime
    ended_at: datetime
    first_delta_ms: int | None = None


def hold(
    agent: Agent, request: AgentRequest, *, username: str, account: int | None = None, agreed: bool = False
) -> str:
    """Reserve what an answer may use, until `record_calls` settles it under the id that is returned.
    `account`: the key of the person it counts for, if it is anybody's; then budgets of the person and the
    team hold it too. `agreed`: soft budgets may be gone over, which the audit log is told. Raises Refused."""
    key = new_id()
    with write_transaction():
        if not spending.in_force():
            return key
        shortage = spending.reserve(account, agent, request, key)
        if shortage is None:
            return key
        if shortage.budget.hard or not agreed:
            raise refused_by(shortage)
    with write_transaction():
        over = spending.reserve(account, agent, request, key, agreed=True)
        if over is not None:
            raise refused_by(over)
        _record_over(shortage, username)
    return key


def _record_over(shortage: spending.Shortage, username: str) -> None:
    """Once a period and name, however many calls there are."""
    told = {"start": shortage.start.isoformat(), "username": storable.text(username)[:150]}
    target = f"budget:{shortage.budget.public_id}"
    known = AuditEvent.objects.filter(action="budget.confirmed", target=target).order_by("-pk")
    if not any(event.data == told for event in known[:KNOWN]):
        record("budget.confirmed", target, told)


def record_calls(
    agent: Agent, calls: Iterable[Call], *, username: str, account: int | None = None,
    purpose: str = LedgerEntry.Purpose.COMMAND, held: str = "",
) -> None:  # fmt: skip
    """Enter every request that `calls` made into the ledger, for somebody who need not have an account, and
    give back what was `held` for them."""
    who = (account, storable.text(username)[:150])
    entries = [entry for call in calls for entry in _entries_of(agent, call, who, purpose)]
    with write_transaction():
        if entries:
            spending.enter(entries, [held])
        else:
            spending.release_of(held)


def _entries_of(agent: Agent, call: Call, who: tuple[int | None, str], purpose: str) -> list[LedgerEntry]:
    response = call.response
    attempts = response.request.attempts
    if not attempts:
        return []
    error = response.error if isinstance(response.error, AgentError) else None
    outcome, usage, estimated = _outcome(response, error), response.usage, False
    if outcome == State.STOPPED and usage is None:
        usage, estimated = estimate(response.request, response.text, response.reasoning), True
    entry = LedgerEntry(
        public_id=new_id(),
        user_id=who[0],
        username=who[1],
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
    return with_attempts(entry, attempts)


def _outcome(response: AgentResponse, error: AgentError | None) -> State:
    if error is not None:
        return State.INTERRUPTED if error.code in INTERRUPTING else State.FAILED
    # What a result handler makes of a whole answer is no matter of the agent's.
    return State.STOPPED if response.status is Status.CANCELLED else State.COMPLETED
