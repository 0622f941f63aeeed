"""Token counts as each dialect reports them, to `Usage`. What was not reported stays unknown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .values import Usage, count


def native_usage(tokens: Mapping[str, Any]) -> Usage | None:
    """StackSpot's `tokens` in both shapes: what was asked counts as `user` or as `input`."""
    asked = [n for n in (count(tokens.get("user")), count(tokens.get("input"))) if n is not None]
    usage = Usage(
        user=sum(asked) if asked else None,
        enrichment=count(tokens.get("enrichment")),
        output=count(tokens.get("output")),
        raw=_small(tokens),
    )
    return usage if usage.total is not None else None


def openai_usage(usage: Mapping[str, Any]) -> Usage | None:
    """OpenAI's `usage` in both namings, with the cached and reasoning tokens of every server."""
    prompt = _first(usage, "prompt_tokens_details", "input_tokens_details")
    output = _first(usage, "completion_tokens_details", "output_tokens_details")
    read = Usage(
        user=_first_count(usage, "prompt_tokens", "input_tokens"),
        output=_first_count(usage, "completion_tokens", "output_tokens"),
        cached=_first_count(prompt, "cached_tokens")
        if "cached_tokens" in prompt
        else _first_count(usage, "prompt_cache_hit_tokens", "cache_read_input_tokens"),
        reasoning=_first_count(output, "reasoning_tokens")
        if "reasoning_tokens" in output
        else _first_count(usage, "reasoning_tokens"),
        raw=_small(usage),
    )
    return read if read.total is not None else None


def _first(members: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    for key in keys:
        if isinstance(members.get(key), dict):
            found: Mapping[str, Any] = members[key]
            return found
    return {}


def _first_count(members: Mapping[str, Any], *keys: str) -> int | None:
    return next((n for key in keys if (n := count(members.get(key))) is not None), None)


def _small(members: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """A copy that is safe to store: few members, short strings, finite numbers."""
    kept: dict[str, Any] = {}
    for key, value in list(members.items())[:40]:
        if isinstance(value, str):
            value = value[:100]
        elif isinstance(value, dict) and depth == 0:
            value = _small(value, depth=1)
        elif isinstance(value, float):
            value = value if math.isfinite(value) else None
        elif not (value is None or (isinstance(value, int) and abs(value) < 2**63)):
            continue
        kept[key[:64]] = value
    return kept
