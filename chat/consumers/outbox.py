"""What waits to be sent to one socket: bounded, written by one task, closed when it is too slow.

Under uvicorn a send waits for the socket to drain, so what piles up here is what the reader did
not take. A reader that is dropped (4008) comes back and resumes; the turn never waits for it.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from django.conf import settings

from chat import metrics
from chat.protocol.frames import TOO_SLOW

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Outbox:
    """Frames of one socket, in order. Methods belong to the event loop's thread."""

    def __init__(self, send: Send, close: Callable[[int], None]) -> None:
        self._send = send
        self._close = close
        self._frames: deque[str] = deque()
        self._size = 0
        self._sending_since = 0.0
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._write(), context=contextvars.Context())
        self.closed = False

    def put(self, frame: str) -> None:
        """Queue a frame; never blocks, never raises."""
        if self.closed:
            return
        # Looked at before this frame: one that is larger than the limit by itself, as the snapshot of
        # a long conversation is, must reach a reader that keeps up.
        if self._size > settings.LIMIT_UNSENT_BYTES or self._stuck():
            metrics.SLOW_SOCKETS.inc()
            self.shut()
            self._close(TOO_SLOW)
            return
        self._frames.append(frame)
        self._size += len(frame)
        self._news.set()

    def shut(self) -> None:
        """Drop what waits and end the task."""
        self.closed = True
        self._frames.clear()
        self._task.cancel()

    def _stuck(self) -> bool:
        since = self._sending_since
        return bool(since) and time.monotonic() - since > settings.LIMIT_UNSENT_SECONDS

    async def _write(self) -> None:
        # A reader that has gone shows itself as an OSError here before its disconnect is dispatched.
        # A cancellation ends it all the same, and swallowed it leaves no traceback that holds the socket.
        with suppress(OSError, asyncio.CancelledError):
            while True:
                await self._news.wait()
                self._news.clear()
                while self._frames:
                    frame = self._frames.popleft()
                    self._sending_since = time.monotonic()
                    await self._send({"type": "websocket.send", "text": frame})
                    self._sending_since = 0.0
                    self._size -= len(frame)
        self.closed = True
        self._frames.clear()
