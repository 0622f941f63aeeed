"""A shorter request for an agent that refused one as too long: what is left out, oldest first. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from .transcript import transcript
from .values import AgentRequest, HistoryMessage

#: Of the room that the refusal named; bytes say only roughly how many tokens they are.
CAUTION: Final = 0.9
#: Of the request, when the refusal named no numbers.
USUAL: Final = 0.5


def shorter(request: AgentRequest, params: Mapping[str, int]) -> tuple[AgentRequest, int] | None:
    """`request` without its oldest messages, and how many questions and answers those are.

    `params` are those of the refusal: `limit` and `size` in tokens, where it named them. At least one
    question with its answer goes; None where there is none that may.
    """
    rounds = _rounds(request.history)
    # Outputs without the call they belong to are refused by every server.
    last = len(rounds) if request.prompt else len(rounds) - 1
    if last < 1:
        return None
    limit, size = params.get("limit", 0), params.get("size", 0)
    share = CAUTION * limit / size if 0 < limit < size else USUAL
    whole = _size(request.history) + len(request.prompt.encode("utf-8", "replace"))
    over = whole * (1 - share)
    left_out = 0
    while left_out < last and (left_out == 0 or over > 0):
        over -= _size(rounds[left_out])
        left_out += 1
    gone = [message for part in rounds[:left_out] for message in part if message.role != "tool"]
    kept = tuple(message for part in rounds[left_out:] for message in part)
    return replace(request, history=kept, attempts=[]), len(gone)


def _rounds(history: Sequence[HistoryMessage]) -> list[list[HistoryMessage]]:
    """The history cut before every question."""
    found: list[list[HistoryMessage]] = []
    for message in history:
        if message.role == "user" or not found:
            found.append([])
        found[-1].append(message)
    return found


def _size(messages: Sequence[HistoryMessage]) -> int:
    return len(transcript(messages, "").encode("utf-8", "replace")) if messages else 0
