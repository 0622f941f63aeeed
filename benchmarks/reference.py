"""The reference reader: asks the fake agent, directly or through the byte proxy, and reads SSE bytes.

It looks at stamps only, so that it costs the machine as little as a reader can.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Sequence
from typing import cast

from benchmarks.stamps import Shape, Track, is_exact

MESSAGE = re.compile(rb'"message":("(?:[^"\\]|\\.)*")')


class Reader(asyncio.Protocol):
    """Reads one answer and keeps `(received ns, bytes)`; they are interpreted when the run is over."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.requested_ns = 0
        self.reads: list[tuple[int, bytes]] = []
        self.tail = b""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.requested_ns = time.monotonic_ns()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.reads.append((time.monotonic_ns(), data))
        self.tail = (self.tail + data)[-7:]
        if self.tail == b"\r\n0\r\n\r\n":
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


def read_track(reader: Reader, shape: Shape) -> Track:
    """Interpret what a reader kept. Stamps hold no character that JSON or chunked framing touches."""
    track = Track(shape, reader.requested_ns)
    for received_ns, data in reader.reads:
        track.add(received_ns, data.decode("utf-8", "replace"))
    whole = b"".join(data for _, data in reader.reads)
    track.exact = is_exact("".join(json.loads(found) for found in MESSAGE.findall(whole)))
    return track


async def read_streams(port: int, shape: Shape, starts: Sequence[float]) -> list[Track]:
    """Read one answer for each entry of `starts` (seconds from now) through `port`."""
    request = (
        f"POST /v1/agent/{shape}/chat HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    ).encode()
    loop = asyncio.get_running_loop()

    async def read(delay: float) -> Reader:
        await asyncio.sleep(delay)
        _, reader = await loop.create_connection(lambda: Reader(request), "127.0.0.1", port)
        await reader.ended
        return reader

    readers = await asyncio.gather(*(read(delay) for delay in starts))
    return [read_track(reader, shape) for reader in readers]
