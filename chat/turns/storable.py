"""Upstream text made fit for both databases: PostgreSQL stores no NUL, UTF-8 no half pairs."""

from __future__ import annotations

import json
import re
from typing import Any

from chat.agents import ToolCall

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

#: Characters of JSON that are kept of an upstream's own usage object.
LARGEST_JSON = 4096


def text(value: str) -> str:
    """`value` with U+FFFD in place of what cannot be stored."""
    return _UNSTORABLE.sub("\ufffd", value)


def json_value(value: Any, largest: int | None = LARGEST_JSON) -> Any:
    """`value` with its strings made storable; None when it is no JSON or larger than `largest` characters."""
    try:
        dumped = json.dumps(value, allow_nan=False, ensure_ascii=False)
        return _cleaned(json.loads(dumped)) if largest is None or len(dumped) <= largest else None
    except (TypeError, ValueError, RecursionError):
        return None


def json_text(value: Any) -> str | None:
    """`value` as JSON text, made storable; None where `json_value` is."""
    found = json_value(value)
    return None if found is None else json.dumps(found, ensure_ascii=False)


def tool_call(call: ToolCall) -> dict[str, Any]:
    """A call as an answer's row keeps it, until its output comes."""
    arguments = json_value(dict(call.arguments), None)
    return {"call_id": text(call.id), "name": text(call.name), "arguments": arguments, "status": "pending"}


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, list):
        return [_cleaned(member) for member in value]
    if isinstance(value, dict):
        return {text(name): _cleaned(member) for name, member in value.items()}
    return value
