"""The body of one response, given on as it comes. Knows nothing of what the bytes say.

aiohttp wakes a task for every read of a body. Here the bytes go on from where they arrive: a tap
stands before aiohttp's protocol for as long as the body lasts, lets it take the HTTP apart, and hands
over what came of it. Only the end wakes the task.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Final

import aiohttp
from aiohttp.client_proto import ResponseHandler

from .errors import AgentError
from .http import network_error

_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,6})\r\n")


class Body:
    """Gives every read of a body to `take`, each within its time. Any byte is a sign of life, a
    comment too.

    One timer watches over all reads: asyncio.timeout for each of them was a tenth of a delta's cost. A
    read only says when it came; the timer finds out when the next one is due.
    """

    __slots__ = (
        "_content", "_ending", "_first_at", "_handler", "_heard", "_idle", "_loop", "_over", "_take",
        "_tapped", "_timer", "_total_at", "_transport",
    )  # fmt: skip

    def __init__(
        self, response: aiohttp.ClientResponse, idle: float, first_at: float, total_at: float
    ) -> None:
        """`first_at` and `total_at` are when the first byte and the last are due, monotonic; `idle` is how
        many seconds may pass between two reads."""
        self._content = response.content
        connection = response.connection  # None when all of the body came with the headers
        self._handler = connection.protocol if connection is not None else None
        self._transport = connection.transport if connection is not None else None
        self._tapped = False
        self._idle = idle
        self._total_at = total_at
        self._ending = False
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._take: Callable[[bytes], None] | None = None
        self._first_at = first_at
        #: When the last read came, monotonic; 0 before the first.
        self._heard = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._watch()

    async def read(self, take: Callable[[bytes], None]) -> None:
        """Until the body ends, or `finish` was called. Raises AgentError, and whatever `take` raises."""
        self._take = take
        tapped = self._tap()
        try:
            self.arrived()
            if not tapped:
                self.lost()
            await self._over
        finally:
            self._conclude(None)

    def _tap(self) -> bool:
        if self._handler is None or self._transport is None or self._transport.is_closing():
            return False
        self._transport.set_protocol(_Tap(self._handler, self))
        self._tapped = True
        return True

    def finish(self) -> None:
        """Read no further."""
        self._conclude(None)

    def ends_soon(self, seconds: float) -> None:
        """Says that only little can still come, however often the server shows that it lives."""
        if not self._ending:
            self._ending = True
            self._total_at = min(self._total_at, time.monotonic() + seconds)
            self._watch()

    # -- from the tap ----------------------------------------------------------------------------

    def arrived(self) -> bytes:
        """Hand on what aiohttp has taken apart, and return it where it came in one piece."""
        content, pieces, piece = self._content, 0, b""
        # Not read_nowait: that reports a cut before it gives what had arrived in front of it.
        while self._take is not None and (chunk := content._read_nowait(-1)):
            pieces, piece = pieces + 1, chunk
            self.give(chunk)
        if content.is_eof():
            self._conclude(None)
        elif (cut := content.exception()) is not None:
            self._conclude(network_error(cut))
        return piece if pieces == 1 else b""

    def give(self, chunk: bytes) -> None:
        """Hand on one read of the body."""
        take = self._take
        if take is None:
            return
        first, self._heard = not self._heard, time.monotonic()
        if first:
            self._watch()  # the next one may be due sooner than the first was
        try:
            take(chunk)
        except Exception as error:  # noqa: BLE001 - handed to the task that waits, as a future does
            self._conclude(error)

    def lost(self) -> None:
        """The connection is gone; nothing more comes."""
        self.arrived()
        if not self._over.done():
            # Broken framing aiohttp tells to its protocol alone, and hangs up.
            error = self._handler.exception() if self._handler is not None else None
            self._conclude(network_error(error or ConnectionResetError("the connection was closed")))

    # -- the end ---------------------------------------------------------------------------------

    def _conclude(self, error: Exception | None) -> None:
        self._take = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._tapped and self._handler is not None and self._transport is not None:
            # At once: the connection may be another request's with the next turn of the loop.
            self._tapped = False
            if not self._transport.is_closing():
                self._transport.set_protocol(self._handler)
        if not self._over.done():
            if error is None:
                self._over.set_result(None)
            else:
                self._over.set_exception(error)

    def _next(self) -> tuple[float, str]:
        """When the next read is due, monotonic, and what it means when it does not come."""
        due, code = (self._heard + self._idle, "stalled") if self._heard else (self._first_at, "no_answer")
        return (due, code) if due < self._total_at else (self._total_at, "too_long")

    def _watch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(max(self._next()[0] - time.monotonic(), 0), self._look)

    def _look(self) -> None:
        self._timer = None
        due, code = self._next()
        if due > time.monotonic():
            self._watch()
        else:
            self._conclude(AgentError(code))


class _Tap(asyncio.Protocol):
    """Stands between a transport and aiohttp's protocol, to know when something has come.

    A read that is whole chunks and nothing else, behind one that was, leaves an HTTP parser where it
    is: at the beginning of a chunk. Such reads, nearly all of a stream, are not shown to aiohttp at
    all: a delta's way through it cost as much as the whole rest of it inside the process.
    """

    __slots__ = ("_body", "_handler", "_whole")

    def __init__(self, handler: ResponseHandler, body: Body) -> None:
        self._handler = handler
        self._body = body
        # Whether the parser stands at the beginning of a chunk.
        self._whole = False

    def data_received(self, data: bytes) -> None:
        if self._whole:
            held = held_by_chunks(data)
            if held is not None:
                self._body.give(held)
                return
        self._handler.data_received(data)
        self._whole = _was_one_chunk(data, self._body.arrived())

    def eof_received(self) -> None:
        self._handler.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._handler.connection_lost(exc)
        self._body.lost()

    def pause_writing(self) -> None:
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        self._handler.resume_writing()


def held_by_chunks(data: bytes) -> bytes | None:
    """What the chunks in `data` hold; None where it is anything else than whole chunks, none of them the
    last."""
    # Nearly always it is one chunk, with its size as most servers write it.
    head = data.find(b"\r\n", 1, 8)
    size = len(data) - head - 4
    if size > 0 and data[:head] == b"%x" % size and data.endswith(b"\r\n"):
        return data[head + 2 : -2]
    parts: list[bytes] = []
    start, size = 0, len(data)
    while start < size:
        found = _CHUNK_SIZE.match(data, start)
        if found is None:
            return None
        start = found.end()
        end = start + int(found[1], 16)
        if end == start or data[end : end + 2] != b"\r\n":
            return None
        parts.append(data[start:end])
        start = end + 2
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _was_one_chunk(data: bytes, held: bytes) -> bool:
    """Whether `data`, all of which a parser took for `held`, was one whole chunk to it.

    In the middle of a chunk it would have taken the first byte for the body's, and in the middle of a
    size it would have found another one.
    """
    head = _CHUNK_SIZE.match(data)
    return (
        head is not None
        and int(head[1], 16) == len(held) > 0
        and data[head.end() :] == held + b"\r\n"
        and data[0] != held[0]
    )
