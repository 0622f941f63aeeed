"""Word to those who watch, from any thread of the process. What it must not do: know who runs turns.

The runtime says which hub serves, on which loop; nobody listens in a process that serves nobody.
"""

from __future__ import annotations

import asyncio
import contextvars

from chat.turns.hub import Hub

_serving: tuple[asyncio.AbstractEventLoop, Hub] | None = None


def serve(loop: asyncio.AbstractEventLoop, hub: Hub) -> None:
    """From now on what is published goes to `hub`, on its `loop`."""
    global _serving
    _serving = loop, hub


def rest() -> None:
    """The hub serves no longer."""
    global _serving
    _serving = None


def publish(topic: str, seq: int, frame: str) -> None:
    """Announce something, from any thread."""
    if _serving is not None:
        loop, hub = _serving
        # A context of its own: whatever lives on would keep the caller's, and the request in it.
        loop.call_soon_threadsafe(hub.publish, topic, seq, frame, context=contextvars.Context())
