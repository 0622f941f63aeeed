"""uvicorn's WebSocket connection, but that one which takes nothing any more is cut off, and that text
goes out at once where nothing stands in its way.

uvicorn closes politely: its closing frame waits behind what the reader did not take, so a reader
that never reads would keep its connection and up to 128 KB of it for as long as it likes. Nothing
here knows what is sent.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Any

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import OPEN

#: Seconds that a reader has to take the closing frame.
GRACE = 10.0

#: The first byte of a text frame that is whole (RFC 6455, 5.2).
_TEXT = 0x81


class Connection(WebSocketsSansIOProtocol):
    """One browser's connection."""

    # What the base class sets: so many attributes share no keys with others of the class.
    __slots__ = (
        "app", "app_state", "asgi_version", "client", "close_sent", "close_timeout", "close_timer", "config",
        "conn", "connections", "curr_msg_data_type", "default_headers", "disconnected", "frames",
        "handshake_complete", "handshake_initiated", "initial_response", "last_ping_rtt", "logger", "loop",
        "pending_ping_payload", "ping_interval", "ping_sent_at", "ping_timeout", "ping_timer", "pong_timer",
        "queue", "read_paused", "request", "response", "root_path", "scheme", "scope", "server", "tasks",
        "transport", "writable",
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.queue = Inbox()  # type: ignore[assignment]
        self.writable = Gate()  # type: ignore[assignment]

    async def run_asgi(self) -> None:
        self.scope["extensions"]["stkweb.send_now"] = {"send": self.send_now}
        await super().run_asgi()

    def send_now(self, text: str) -> bool:
        """Send `text`; False, and nothing sent, where that has to wait or cannot be: then `send` says what
        is the matter. The library's own way makes a dozen objects for each frame."""
        conn = self.conn
        if self.close_sent or self.disconnected or conn.extensions or conn.state is not OPEN:
            return False
        if not self.writable.is_set():
            return False
        data = text.encode()
        size = len(data)
        if size < 126:
            head = struct.pack("!BB", _TEXT, size)
        elif size < 65536:
            head = struct.pack("!BBH", _TEXT, 126, size)
        else:
            head = struct.pack("!BBQ", _TEXT, 127, size)
        self.transport.write(head + data)
        return True

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "websocket.close":
            self._cut_later()
        await super().send(message)
        if message["type"] == "websocket.accept":
            self._forget_opening()

    def _forget_opening(self) -> None:
        """Headers and scope are of no use to an open socket, and some sixty objects: a page keeps it for
        hours."""
        self.request.headers.clear()
        self.response.headers.clear()
        self.scope.clear()  # type: ignore[attr-defined] # the very dict: the application has it

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._cut_later()

    def _cut_later(self) -> None:
        self.loop.call_later(GRACE, self.transport.abort)  # does nothing to one that is gone


class Gate:
    """What asyncio.Event does, open at first; that one holds a deque, with room for 64, for each socket."""

    __slots__ = ("_open", "_waiting")

    def __init__(self) -> None:
        self._open = True
        self._waiting: list[asyncio.Future[None]] = []

    def is_set(self) -> bool:
        """Whether `wait` would return at once."""
        return self._open

    def clear(self) -> None:
        """Let nobody pass."""
        self._open = False

    def set(self) -> None:
        """Let everybody pass who waits, or comes."""
        self._open = True
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()

    async def wait(self) -> None:
        """Until it is open."""
        if not self._open:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter


class Inbox:
    """What asyncio.Queue does, for one reader and without a bound: that one's three deques and its event
    were 3 KB for each socket."""

    __slots__ = ("_messages", "_waiter")

    def __init__(self) -> None:
        self._messages: list[ASGIReceiveEvent] = []
        self._waiter: asyncio.Future[None] | None = None

    def put_nowait(self, message: ASGIReceiveEvent) -> None:
        """Add one message."""
        self._messages.append(message)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def empty(self) -> bool:
        """Whether `get` would wait."""
        return not self._messages

    async def get(self) -> ASGIReceiveEvent:
        """The next message, as soon as there is one."""
        while not self._messages:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._messages.pop(0)
