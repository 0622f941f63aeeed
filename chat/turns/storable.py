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
    except (TypeError, ValueError, RecursionError):
        return None
    if len(dumped) > LARGEST_JSON:
        return None
    return json.loads(text(dumped.replace("\\u0000", "\ufffd")))
