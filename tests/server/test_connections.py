"""A connection that waits for its next request forgets the last one, and answers every one that comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from stkweb.connections import Connection


async def echo(scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
    """Says what was asked: the path, the header `x-word`, the body; /early answers before it reads."""
    early = scope["path"] == "/early"
    body, more = b"", not early
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    word = dict(scope["headers"]).get(b"x-word", b"")
    said = b" ".join([scope["path"].encode(), word, body]).strip()
    headers = [(b"content-length", str(len(said)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": said})


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, uvicorn.Server]]:
    """A server with one open connection."""
    config = uvicorn.Config(
        echo, http=Connection, ws="none", lifespan="off", port=0, log_config=None, interface="asgi3"
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer, server
    finally:
        writer.close()
        await writer.wait_closed()
        await server.shutdown()


def request(path: str, word: str = "", body: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nX-Word: {word}\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()


async def answer(reader: asyncio.StreamReader) -> str:
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    return (await reader.readexactly(length)).decode()


async def test_nothing_is_held_of_a_request_that_was_answered() -> None:
    async with serving() as (reader, writer, server):
        writer.write(request("/first", "secret"))
        assert await answer(reader) == "/first secret"
        (connection,) = server.server_state.connections
        assert (connection.headers, connection.scope, connection.cycle.scope) == ([], {}, None)
        writer.write(request("/second", "word", "body"))
        assert await answer(reader) == "/second word body"


async def test_requests_that_come_at_once_are_answered_in_order() -> None:
    async with serving() as (reader, writer, _):
        writer.write(b"".join(request(f"/{number}", f"w{number}", "b" * number) for number in range(5)))
        said = [await answer(reader) for _ in range(5)]
        assert said == [f"/{number} w{number} {'b' * number}".strip() for number in range(5)]


async def test_a_request_that_is_half_there_is_kept_when_the_one_before_is_answered() -> None:
    second = request("/second", "word", "body")
    for cut in range(1, len(second)):
        async with serving() as (reader, writer, _):
            writer.write(request("/first") + second[:cut])
            assert await answer(reader) == "/first"
            writer.write(second[cut:])
            assert await answer(reader) == "/second word body"


async def test_the_rest_of_a_body_that_was_answered_early_is_passed_over() -> None:
    async with serving() as (reader, writer, _):
        early = request("/early", "", "x" * 1000)
        writer.write(early[:-600])
        assert await answer(reader) == "/early"
        writer.write(early[-600:] + request("/next", "word"))
        assert await answer(reader) == "/next word"
