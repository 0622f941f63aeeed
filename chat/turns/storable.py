"""Upstream text made fit for both databases: PostgreSQL stores no NUL, UTF-8 no half pairs."""

from __future__ import annotations

import json
from typing import Any

_UNSTORABLE = {0: "\ufffd"} | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")

#: Characters of JSON that are kept of an upstream's own usage object.
LARGEST_JSON = 4096


def text(value: str) -> str:
    """`value` with U+FFFD in place of what cannot be stored."""
    return value.translate(_UNSTORABLE) if "\x00" in value or not value.isascii() else value


def json_value(value: Any) -> Any:
    """`value` with its strings made storable; None when it is no JSON or larger than 4,096 characters."""
    try:
        dumped = json.dumps(value, allow_nan=False, ensure_ascii=False)
        return _cleaned(json.loads(dumped)) if len(dumped) <= LARGEST_JSON else None
    except (TypeError, ValueError, RecursionError):
        return None


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, list):
        return [_cleaned(member) for member in value]
    if isinstance(value, dict):
        return {text(name): _cleaned(member) for name, member in value.items()}
    return value
