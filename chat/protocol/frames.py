"""Frames from the server to a browser, serialised once and sent to every watcher as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from chat.protocol.events import Event
from chat.protocol.items import Item

#: Close codes of the socket.
NOT_SIGNED_IN, TOO_SLOW, RESTARTING, TOO_LARGE, ABUSE = 4401, 4008, 1012, 1009, 1008


def _dumps(frame: dict[str, Any]) -> str:
    return orjson.dumps(frame).decode()


def event(thread_id: str, seq: int, event: Event) -> str:
    """One thread event under its number."""
    return _dumps({"type": "event", "thread_id": thread_id, "seq": seq, "event": event})


def snapshot(thread_id: str, seq: int, items: Sequence[Item], *, complete: bool) -> str:
    """The state at `seq`: the whole shown branch, or only what changed since the number asked for."""
    return _dumps(
        {"type": "snapshot", "thread_id": thread_id, "seq": seq, "complete": complete, "items": list(items)}
    )


def feed(kind: str, subject: dict[str, Any], *, of: str = "conversation") -> str:
    """News about one of the person's own conversations, or (`of`) about a budget that their calls count
    for; it has no number and may be missed."""
    return _dumps({"type": "feed", "event": {"type": f"{of}.{kind}", of: subject}})


def error(code: str, thread_id: str | None = None) -> str:
    """A frame that was refused; nothing changed."""
    return _dumps({"type": "error", "code": code, "thread_id": thread_id})


def hello(version: str, user: str) -> str:
    """The first frame after the socket is accepted."""
    return _dumps({"type": "hello", "version": version, "user": user})


def pong() -> str:
    """The answer to a ping."""
    return '{"type":"pong"}'
