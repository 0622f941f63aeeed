"""JSON as senders really write it, to values. Nothing here raises."""

from __future__ import annotations

import json
from typing import Any, Final

import orjson

UNREADABLE: Final = object()


def decode(data: bytes) -> Any:
    """JSON in `data`, or `UNREADABLE`. Ill-formed UTF-8 and lone surrogates become U+FFFD."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    # orjson refuses what other senders get wrong: lone surrogates, broken UTF-8, NaN.
    try:
        return _well_formed(json.loads(data.decode("utf-8", "replace")))
    except (ValueError, RecursionError):
        return UNREADABLE


def _well_formed(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [_well_formed(member) for member in value]
    if isinstance(value, dict):
        return {_well_formed(key): _well_formed(member) for key, member in value.items()}
    return value
