"""The tap on a response's body: the same bytes as aiohttp alone would give, however they were cut."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp.client_proto import ResponseHandler
from hypothesis import given
from hypothesis import strategies as st

from chat.agents import AgentError, AgentRequest, Done, HttpSession, TextDelta, connect
from chat.agents.body import Body, held_by_chunks
from tests.agent_server import AgentServer, gate, hang, say, usage, wire
from tests.agents.calls import ask, until

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Pipe(asyncio.Transport):
    """The receiving end of a connection, fed by hand."""

    def __init__(self, handler: ResponseHandler) -> None:
        super().__init__()
        self.protocol: Any = handler
        self.closed = False
        handler.connection_made(self)
        handler.set_response_params(auto_decompress=False)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def alone(reads: list[bytes]) -> tuple[bytes, bool, bool]:
    """What aiohttp makes of it: the body, whether it ended, whether the framing was broken."""
    handler = ResponseHandler(asyncio.get_running_loop())
    pipe = Pipe(handler)
    handler.data_received(HEAD)
    _, content = await handler.read()
    for data in reads:
        if not pipe.closed:
            handler.data_received(data)
    return content._read_nowait(-1), content.is_eof(), pipe.closed


async def tapped(reads: list[bytes]) -> tuple[bytes, bool, bool]:
    handler = ResponseHandler(asyncio.get_running_loop())
    pipe = Pipe(handler)
    handler.data_received(HEAD)
    _, content = await handler.read()
    response: Any = SimpleNamespace(
        content=content, connection=SimpleNamespace(protocol=handler, transport=pipe)
    )
    now, given = time.monotonic(), bytearray()
    task = asyncio.create_task(Body(response, 60, now + 60, now + 900).read(given.extend))
    await asyncio.sleep(0)
    for data in reads:
        if not pipe.closed:
            pipe.protocol.data_received(data)
    ended = content.is_eof()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert task.done() == ended
    task.cancel()
    await asyncio.wait([task])
    return bytes(given), ended, pipe.closed


# Bodies that look like framing, so that a parser that is out of step would be believed.
BODIES = st.one_of(
    st.binary(min_size=1, max_size=40),
    st.text("0123456789abcdef\r\n", min_size=1, max_size=20).map(str.encode),
    st.sampled_from([b"data: {}\n\n", b"5\r\n5\r\n5", b"2\r\nab\r\n", b"x" * 300]),
)
SIZES = st.sampled_from([b"%x", b"%X", b"0%x", b"000%x", b"%x;name=value", b"0x%x", b" %x", b"+%x", b"%x "])


@st.composite
def readings(draw: st.DrawFn) -> list[bytes]:
    """A chunked body, mostly well formed, in reads that mostly end where a chunk does."""
    reads = []
    for body in draw(st.lists(BODIES, max_size=12)):
        form = draw(SIZES) if draw(st.integers(0, 9)) == 0 else b"%x"
        reads.append(form % len(body) + b"\r\n" + body + b"\r\n")
    if draw(st.booleans()):
        reads.append(b"0\r\n\r\n")
    whole, cuts = b"".join(reads), set()
    at = 0
    for read in reads:
        at += len(read)
        if draw(st.integers(0, 4)):
            cuts.add(at)
    cuts |= draw(st.sets(st.integers(0, len(whole)), max_size=3))
    places = sorted({0, *cuts, len(whole)})
    return [whole[start:end] for start, end in zip(places, places[1:], strict=False)]


LOOKS_WHOLE = b"5\r\nabcde\r\n"


@pytest.mark.parametrize(
    "reads",
    [
        # One chunk, whose inside looks like chunks.
        [b"28\r\n", *[LOOKS_WHOLE] * 4, b"\r\n", b"3\r\nabc\r\n"],
        [b"a\r\n5\r\nabcde\r\n\r\n", LOOKS_WHOLE, b"28\r\n" + LOOKS_WHOLE, *[LOOKS_WHOLE] * 3, b"\r\n"],
        # The first digit of a size came before the rest of it.
        [b"1", *[LOOKS_WHOLE] * 4, b"2\r\nab\r\n"],
        # What would be the chunk is what comes out of the middle of another.
        [b"9\r\n", b"3\r\n3\r\n\r\n", LOOKS_WHOLE, b"ab\r\n" + LOOKS_WHOLE, LOOKS_WHOLE],
    ],
)
async def test_what_only_looks_like_a_whole_chunk_is_not_taken_for_one(reads: list[bytes]) -> None:
    assert await tapped(reads) == await alone(reads)


@given(readings())
def test_the_body_is_the_one_that_aiohttp_reads(reads: list[bytes]) -> None:
    assert asyncio.run(tapped(reads)) == asyncio.run(alone(reads))


@pytest.mark.parametrize(
    "data",
    [
        b"0\r\n\r\n", b"5\r\nabcd\r\n", b"5\r\nabcdef\r\n", b"5\r\nabcde\r", b"5\r\nabcdexx",
        b"5;a=b\r\nabcde\r\n",
        b"0x5\r\nabcde\r\n", b"+5\r\nabcde\r\n", b"5\nabcde\n", b"g\r\nabcde\r\n", b"5\r\nabcde\r\n5\r\nabc",
        b"5\r\nabcde\r\n0\r\n\r\n", b"\r\n", b"5",
    ],
)  # fmt: skip
def test_only_whole_chunks_are_taken_for_whole_chunks(data: bytes) -> None:
    assert held_by_chunks(data) is None


def test_chunks_in_one_read_are_joined() -> None:
    assert held_by_chunks(b"2\r\nab\r\nA\r\n0123456789\r\n1\r\n\r\r\n") == b"ab0123456789\r"


async def test_a_connection_that_streamed_is_used_again(agent_server: AgentServer, http: HttpSession) -> None:
    for _ in range(3):
        agent_server.answer(*[say("x")] * 20, usage(user=1, output=2))
        assert (await ask(http, agent_server.config())).text == "x" * 20
    assert len({id(chat.connection) for chat in agent_server.chats}) == 1


async def test_broken_framing_behind_whole_chunks_is_told(
    agent_server: AgentServer, http: HttpSession
) -> None:
    agent_server.answer(*[say("x")] * 5, gate("go"), wire(b"zz\r\n"), hang())
    taken: list[Any] = []

    def take(events: list[Any]) -> None:
        taken.extend(events)
        if len(taken) == 5:
            agent_server.open("go")

    with pytest.raises(AgentError) as caught:
        await connect(agent_server.config(), http).answer(AgentRequest("Hi"), take)
    assert (taken, caught.value.code) == ([TextDelta("x")] * 5, "protocol")


async def test_what_the_taker_raises_ends_the_answer_and_closes_the_upstream(
    agent_server: AgentServer, http: HttpSession
) -> None:
    agent_server.answer(say("x"), gate("go"), say("x"), hang())
    taken: list[Any] = []

    def take(events: list[Any]) -> None:
        taken.extend(events)
        agent_server.open("go")
        if len(taken) == 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await connect(agent_server.config(), http).answer(AgentRequest("Hi"), take)
    assert taken == [TextDelta("x")] * 2
    await until(lambda: agent_server.chats[0].connection.closed_by == "client")


async def test_nothing_is_taken_after_a_cancellation(agent_server: AgentServer, http: HttpSession) -> None:
    agent_server.answer(say("x"), hang())
    taken: list[Any] = []
    first = asyncio.Event()

    def take(events: list[Any]) -> None:
        taken.extend(events)
        first.set()

    task = asyncio.create_task(connect(agent_server.config(), http).answer(AgentRequest("Hi"), take))
    await asyncio.wait_for(first.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert taken == [TextDelta("x")]


async def test_a_body_that_comes_with_its_headers_is_read(
    agent_server: AgentServer, http: HttpSession
) -> None:
    agent_server.answer(say("x"), usage(user=1, output=2))
    taken: list[Any] = []
    await connect(agent_server.config(), http).answer(AgentRequest("Hi"), taken.extend)
    assert taken[0] == TextDelta("x") and isinstance(taken[-1], Done)
