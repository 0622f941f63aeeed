"""What goes to one socket: at once where it takes it, else bounded, and closed when it is too slow.

Under uvicorn a send waits for the socket to drain, so what piles up here is what the reader did
not take. A reader that is dropped (4008) comes back and resumes; the turn never waits for it.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections import deque
from collections.abc import Coroutine, Generator
from contextlib import suppress
from typing import Any, Protocol

from django.conf import settings

from chat import metrics
from chat.protocol.frames import TOO_SLOW

#: What a send raises when its reader has gone, which shows here before the disconnect is dispatched.
GONE = (OSError, RuntimeError)


class Send(Protocol):
    """Sends one ASGI message; waits as long as the socket takes no more."""

    def __call__(self, message: dict[str, Any], /) -> Coroutine[Any, Any, None]: ...


class SendNow(Protocol):
    """Sends a text at once, where the server has a way for that; False when it has to wait."""

    def __call__(self, text: str, /) -> bool: ...


class Close(Protocol):
    """Closes the socket with a code, soon."""

    def __call__(self, code: int, /) -> None: ...


class Outbox:
    """Frames of one socket, in order. Methods belong to the event loop's thread.

    A send is begun where the frame is put; only one that has to wait for the socket gets a task, and
    what comes meanwhile waits behind it. A task and its queue for each socket were 3 KB and 2 % of a delta.
    """

    __slots__ = ("_close", "_send", "_send_now", "_sending_since", "_size", "_task", "_waiting", "closed")

    def __init__(self, send: Send, close: Close, send_now: SendNow | None = None) -> None:
        self._send = send
        self._send_now = send_now
        self._close = close
        self._waiting: deque[str] | None = None
        self._size = 0
        self._sending_since = 0.0
        self._task: asyncio.Task[None] | None = None
        self.closed = False

    def put(self, frame: str) -> None:
        """Send a frame, or queue it; never blocks, never raises."""
        if self.closed:
            return
        if self._waiting is None:
            if self._send_now is None or not self._send_now(frame):
                self._begin(frame)
        # Looked at before this frame: one that is larger than the limit by itself, as the snapshot of
        # a long conversation is, must reach a reader that keeps up.
        elif self._size > settings.LIMIT_UNSENT_BYTES or self._stuck():
            metrics.SLOW_SOCKETS.inc()
            self.shut()
            self._close(TOO_SLOW)
        else:
            self._waiting.append(frame)
            self._size += len(frame)

    def shut(self) -> None:
        """Drop what waits and end the task."""
        self.closed = True
        self._waiting = None
        if self._task is not None:
            self._task.cancel()

    def _stuck(self) -> bool:
        return time.monotonic() - self._sending_since > settings.LIMIT_UNSENT_SECONDS

    def _begin(self, frame: str) -> None:
        sending = self._send({"type": "websocket.send", "text": frame})
        try:
            waits_for = sending.send(None)
        except StopIteration:
            return  # sent
        except GONE:
            self.closed = True
            return
        self._waiting, self._size, self._sending_since = deque(), len(frame), time.monotonic()
        rest = self._write(_Rest(sending, waits_for), len(frame))
        self._task = asyncio.create_task(rest, context=contextvars.Context())

    async def _write(self, begun: _Rest, size: int) -> None:
        """Finish the send that was begun, then send what came meanwhile."""
        # A cancellation ends it all the same, and swallowed it leaves no traceback that holds the socket.
        with suppress(*GONE, asyncio.CancelledError):
            await begun
            self._size -= size
            while self._waiting:
                frame = self._waiting.popleft()
                self._sending_since = time.monotonic()
                await self._send({"type": "websocket.send", "text": frame})
                self._size -= len(frame)
            self._waiting = self._task = None
            return
        self.closed = True
        self._waiting = None


class _Rest:
    """What is left of a coroutine that was begun by hand and now waits for `waits_for`."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        try:
            yield self._waits_for
        except asyncio.CancelledError as error:
            yield self._coroutine.throw(error)
        yield from self._coroutine.__await__()
