"""Text that goes out at once is what uvicorn's own way would have sent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState
from websockets.protocol import CLOSING, OPEN

from stkweb.sockets import Connection, Gate, Inbox


class Wire(asyncio.Transport):
    """Keeps what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += bytes(data)


async def connection() -> tuple[Connection, Wire]:
    config = uvicorn.Config("stkweb.asgi:application", interface="asgi3", log_config=None)
    config.ws_per_message_deflate, config.loaded, config.loaded_app = False, True, None
    connection, wire = Connection(config, ServerState(), {}, asyncio.get_running_loop()), Wire()
    connection.transport, connection.handshake_complete, connection.conn.state = wire, True, OPEN
    return connection, wire


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536])
@pytest.mark.parametrize("letter", ["x", "ã"])
async def test_a_text_is_the_same_frame_either_way(size: int, letter: str) -> None:
    text = letter * (size // len(letter.encode())) + "x" * (size % len(letter.encode()))
    ours, mine = await connection()
    theirs, other = await connection()
    assert ours.send_now(text)
    await theirs.send({"type": "websocket.send", "text": text, "bytes": None})
    assert mine.written == other.written


async def test_what_has_to_wait_or_is_over_is_left_to_uvicorn() -> None:
    waits, wire = await connection()
    waits.pause_writing()
    assert not waits.send_now("x")
    waits.resume_writing()
    assert waits.send_now("x")
    over, _ = await connection()
    over.close_sent = True
    gone, _ = await connection()
    gone.disconnected = True
    closing, _ = await connection()
    closing.conn.state = CLOSING
    compressed, _ = await connection()
    compressed.conn.extensions = [object()]  # type: ignore[list-item]
    assert not any(each.send_now("x") for each in (over, gone, closing, compressed))
    assert wire.written == b"\x81\x01x"


async def test_a_gate_lets_all_who_wait_pass_once_it_opens() -> None:
    gate = Gate()
    await gate.wait()
    gate.clear()
    waiting = [asyncio.create_task(gate.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    assert not gate.is_set()
    assert not waiting[1].done()
    gate.set()
    await asyncio.gather(*waiting[1:])
    assert gate.is_set()
    assert waiting[0].cancelled()


async def test_the_inbox_gives_messages_in_order_to_one_who_waits() -> None:
    inbox = Inbox()
    waiting = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    assert inbox.empty()
    for code in (1, 2, 3):
        inbox.put_nowait({"type": "websocket.disconnect", "code": code})
    assert [(await waiting)["code"], (await inbox.get())["code"]] == [1, 2]  # type: ignore[typeddict-item]
    assert not inbox.empty()
    assert (await inbox.get())["code"] == 3  # type: ignore[typeddict-item]
    cancelled = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.wait([cancelled])
    inbox.put_nowait({"type": "websocket.disconnect", "code": 4})
    assert (await inbox.get())["code"] == 4  # type: ignore[typeddict-item]
