"""What is entered into the ledger of a call: who served it, what it reported, what was asked before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from chat.agents import AgentRequest, Attempt, Usage
from chat.models import LedgerEntry, State, new_id
from chat.turns import storable

#: Characters of a token, where nobody counted: what the usual tokenizers come to in English and Portuguese.
CHARACTERS: Final = 4

#: What the requests of one call have in common.
_SHARED: Final = (
    "user_id", "username", "agent_id", "agent_name", "provider", "model", "purpose", "conversation_id",
    "message_id",
)  # fmt: skip


def served_by(agent: Any) -> dict[str, str]:
    """Provider and model of an agent, from its row or its configuration; both empty for None.

    The provider is the host of an OpenAI-compatible server, else the agent's kind.
    """
    if agent is None:
        return {"provider": "", "model": ""}
    if agent.kind == "openai":
        host = urlsplit(agent.base_url).hostname or "openai"
        return {"provider": host[:120], "model": str(agent.options.get("model") or agent.agent_id)[:120]}
    return {"provider": agent.kind, "model": str(agent.options.get("selected_model") or "")[:120]}


def usage_fields(usage: Usage | None, *, estimated: bool = False) -> dict[str, Any]:
    """The ledger's fields for what an upstream reported or we estimate, fit for both databases."""
    known = usage is not None and usage.total is not None
    usage = usage or Usage()
    certain = LedgerEntry.Certainty
    return {
        "user_tokens": usage.user,
        "enrichment_tokens": usage.enrichment,
        "output_tokens": usage.output,
        "cached_tokens": usage.cached,
        "reasoning_tokens": usage.reasoning,
        "raw_usage": storable.json_text(dict(usage.raw)) if usage.raw else None,
        "certainty": (certain.ESTIMATED if estimated else certain.REPORTED) if known else certain.UNKNOWN,
    }


def estimate(request: AgentRequest, answer: str, reasoning: str = "") -> Usage:
    """What a call that was cut off has used, by its texts; what has no text is not known."""
    asked = len(request.prompt) + sum(len(message.text) for message in request.history)
    return Usage(user=_tokens(asked), output=_tokens(len(answer) + len(reasoning)))


def _tokens(characters: int) -> int | None:
    return -(-characters // CHARACTERS) or None


def with_attempts(entry: LedgerEntry, attempts: Sequence[Attempt]) -> list[LedgerEntry]:
    """The entry of a call's last request, behind one of each request before it that was refused."""
    found: list[LedgerEntry] = []
    for attempt in attempts[:-1]:
        ended_at = attempt.ended_at or attempt.started_at
        found.append(
            LedgerEntry(
                public_id=new_id(),
                **{name: getattr(entry, name) for name in _SHARED},
                **usage_fields(None),
                outcome=State.FAILED,
                error_code=attempt.code,
                retry_of=found[-1].public_id if found else entry.retry_of,
                started_at=attempt.started_at,
                ended_at=ended_at,
                duration_ms=_milliseconds(attempt.started_at, ended_at),
            )
        )
    if found:
        last = attempts[-1].started_at
        entry.retry_of, entry.started_at = found[-1].public_id, last
        entry.duration_ms = _milliseconds(last, entry.ended_at)
    return [*found, entry]


def _milliseconds(start: Any, end: Any) -> int:
    return max(0, int((end - start).total_seconds() * 1000))


__all__ = ["estimate", "served_by", "usage_fields", "with_attempts"]
