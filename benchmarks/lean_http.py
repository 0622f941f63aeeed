"""A lean keep-alive HTTP/1.1 client for the load: raw protocol, one request at a time, no redirects.

The load generator shares its core with the fake agent, so a general client would cost more than what it
measures.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

DEADLINE = 60.0  # seconds for one answer; the slowest scenario's goal is 1.5


@dataclass(slots=True)
class Answer:
    """One HTTP answer. `sent_ns` is the moment before the request's bytes were handed to the socket."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    sent_ns: int
    received_ns: int

    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    def cookies(self) -> dict[str, str]:
        """Names and values of Set-Cookie, attributes dropped."""
        pairs = (value.split(";", 1)[0] for key, value in self.headers if key == "set-cookie")
        return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


class _Wire(asyncio.Protocol):
    def __init__(self) -> None:
        self.buffer = bytearray()
        self.transport: asyncio.Transport | None = None
        self.waiter: asyncio.Future[tuple[int, list[tuple[str, str]], bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_exception(ConnectionError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        found = parse_answer(self.buffer)
        if found is not None and self.waiter is not None and not self.waiter.done():
            self.buffer.clear()
            self.waiter.set_result(found)


def parse_answer(buffer: bytearray) -> tuple[int, list[tuple[str, str]], bytes] | None:
    """Status, headers (names in lower case) and body, or None while it is incomplete."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    first, *lines = bytes(buffer[:end]).decode("latin-1").split("\r\n")
    pairs = [line.partition(":") for line in lines]
    headers = [(name.strip().lower(), value.strip()) for name, _, value in pairs]
    known = dict(headers)
    body = bytes(buffer[end + 4 :])
    if known.get("transfer-encoding") == "chunked":
        whole = _dechunk(body)
        if whole is None:
            return None
        return int(first.split(" ")[1]), headers, whole
    length = int(known.get("content-length", "0"))
    if len(body) < length:
        return None
    return int(first.split(" ")[1]), headers, body[:length]


def _dechunk(body: bytes) -> bytes | None:
    parts, at = [], 0
    while True:
        line_end = body.find(b"\r\n", at)
        if line_end < 0:
            return None
        size = int(body[at:line_end].split(b";")[0], 16)
        at = line_end + 2
        if len(body) < at + size + 2:
            return None
        if size == 0:
            return b"".join(parts)
        parts.append(body[at : at + size])
        at += size + 2


class Http:
    """One browser's keep-alive connection; it is opened when first needed and again after a close."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.wire: _Wire | None = None

    async def connect(self) -> None:
        """Open the connection unless it is open."""
        if self.wire is None or self.wire.transport is None:
            loop = asyncio.get_running_loop()
            _, self.wire = await loop.create_connection(_Wire, "127.0.0.1", self.port)

    async def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Send one request and wait for its answer; ConnectionError or TimeoutError when none comes."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body or method != "GET":
            lines.append(f"Content-Length: {len(body)}")
        data = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
        sent_ns = time.monotonic_ns()
        await self.connect()
        wire = self.wire
        assert wire is not None and wire.transport is not None
        wire.waiter = asyncio.get_running_loop().create_future()
        wire.transport.write(data)
        async with asyncio.timeout(DEADLINE):
            status, pairs, content = await wire.waiter
        received_ns = time.monotonic_ns()
        if ("connection", "close") in pairs and wire.transport is not None:
            wire.transport.close()
            self.wire = None
        return Answer(status, pairs, content, sent_ns, received_ns)

    def close(self) -> None:
        if self.wire is not None and self.wire.transport is not None:
            self.wire.transport.close()
