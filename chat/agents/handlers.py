"""What is made of a whole answer: left as it is, read as JSON, or passed through several steps."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

# Takes a value (the text, or what the step before made of it) and returns another. Raises
# ValueError for what it cannot use.
ResultHandler = Callable[[Any], Any]

_FENCE = re.compile(
    r"(?ms)^[ \t]*(?P<mark>`{3,}|~{3,})[ \t]*(?P<kind>[\w+-]*)[^\n`]*\n(?P<body>.*?)^[ \t]*(?P=mark)"
)


class HandlerError(Exception):
    """A handler could not use the answer. `handler` is its name; the text itself is kept elsewhere."""

    def __init__(self, handler: str, reason: str) -> None:
        self.handler = handler
        super().__init__(f"result handler {handler!r} failed: {reason}")


def raw(value: Any) -> Any:
    """The answer as it is."""
    return value


def as_json(value: Any) -> Any:
    """JSON in the answer: the whole text, or what stands in its only JSON fence.

    Several fences give a list, one member each. What is no text is passed on as it is.
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    fences = [(found["kind"].lower(), found["body"]) for found in _FENCE.finditer(text)]
    bodies = [body for kind, body in fences if kind in ("json", "jsonc", "json5")]
    bodies = bodies or [body for kind, body in fences if not kind]
    if not bodies:
        raise ValueError("no JSON in the answer")
    try:
        parts = [json.loads(body) for body in bodies]
    except RecursionError as error:
        raise ValueError("the JSON is nested too deeply") from error
    return parts[0] if len(parts) == 1 else parts


def chain(*handlers: ResultHandler) -> ResultHandler:
    """One handler out of several, each given what the one before made."""

    def chained(value: Any) -> Any:
        for handler in handlers:
            value = apply(handler, value)
        return value

    return chained


def apply(handler: ResultHandler, value: Any) -> Any:
    """What `handler` makes of `value`; raises HandlerError for what it cannot use."""
    try:
        return handler(value)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise HandlerError(getattr(handler, "__name__", type(handler).__name__), str(error)) from error
