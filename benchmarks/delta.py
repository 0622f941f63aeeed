"""What one delta costs inside the process: from the read of the agent's chunk to the write to a viewer.

The product's own parts between two transports that do nothing, so that no system call and no neighbour
is in it: the least of many rounds, with warm caches. In a server that runs, a delta costs several times as
much; this is for comparing two versions of the same path. Prints microseconds a delta, stage by stage.
Run: ``python -m benchmarks.delta`` with STKWEB_DATA_DIR naming a folder of its own.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import uvloop
from aiohttp.client_proto import ResponseHandler

from benchmarks.fake_agent import HEAD, _chunked, native_event

ROUNDS, DELTAS = 100, 99
WORDS = ("uma", "ação", "the")


class Nowhere(asyncio.Transport):
    """Takes everything and keeps nothing."""

    protocol: Any = None

    def write(self, data: Any) -> None: ...

    def is_closing(self) -> bool:
        return False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Response:
    """A response as the reader of its body sees it."""

    def __init__(self, handler: ResponseHandler, content: Any) -> None:
        self.content = content
        self.connection = self
        self.protocol, self.transport = handler, handler.transport


def least(function: Callable[[Any], object], values: Sequence[Any], before: Callable[[], None]) -> float:
    """Microseconds a value in the fastest round."""
    best = float("inf")
    for _ in range(ROUNDS):
        before()
        began = time.perf_counter()
        for value in values:
            function(value)
        best = min(best, time.perf_counter() - began)
    return best / len(values) * 1e6


async def main() -> None:
    """Build the path, measure it, print."""
    import uvicorn
    from uvicorn.server import ServerState
    from websockets.protocol import OPEN

    from chat.agents import AgentConfig, AgentRequest, Limits
    from chat.agents.answer import AnswerReader
    from chat.agents.body import Body
    from chat.agents.streaming import _read
    from chat.consumers.outbox import Outbox
    from chat.consumers.watching import Watching
    from chat.models import Message, new_id
    from chat.turns.hub import Hub, thread_topic
    from chat.turns.runner import Runner
    from chat.turns.store import Store
    from chat.turns.turn import Turn, TurnSpec
    from stkweb.sockets import Connection

    loop, hub, config = asyncio.get_running_loop(), Hub(), uvicorn.Config("stkweb.asgi:application")
    config.ws_per_message_deflate = False
    config.load()
    socket = Connection(config, ServerState(), {}, loop)
    socket.transport, socket.handshake_complete, socket.conn.state = Nowhere(), True, OPEN
    outbox = Outbox(socket.send, lambda code: None, socket.send_now)

    answer = Message(pk=1, public_id=new_id(), state="queued", seq=0)
    agent, request = AgentConfig(kind="demo", name="delta"), AgentRequest("delta")
    turn = Turn(TurnSpec(answer, new_id(), 1, 1, "alice", agent, request, None, ()), hub)
    turn._rate = 1e9  # every delta a frame of its own
    watching = Watching(turn.spec.thread_id, outbox.put, lambda: None)
    watching.seq, watching._held = 0, None
    await hub.watch(thread_topic(turn.spec.thread_id), watching)
    unused: Any = None
    take = partial(Runner("delta", hub, Store("delta"), unused, unused)._take, turn)

    handler, limits = ResponseHandler(loop), Limits(answer_bytes=1 << 40)
    handler.connection_made(Nowhere())
    handler.set_response_params(auto_decompress=False)
    handler.data_received(HEAD)
    response: Any = Response(handler, (await handler.read())[1])
    now = time.monotonic()
    reading = asyncio.create_task(_read(Body(response, 60, now + 60, now + 900), AnswerReader(limits), take))
    await asyncio.sleep(0)

    texts = [f"@{time.monotonic_ns()}| {number} {WORDS[number % 3]} " for number in range(DELTAS)]
    events = [native_event(text) for text in texts]
    reader = AnswerReader(limits)
    batches = [reader.feed(event) for event in events]

    def afresh() -> None:
        turn._text.clear()

    reads = [_chunked(event) for event in events]
    whole = least(response.transport.protocol.data_received, reads, afresh)
    parsing, showing = least(reader.feed, events, afresh), least(take, batches, afresh)
    sending = least(outbox.put, ["x" * 265] * DELTAS, afresh)
    reading.cancel()
    print(
        f"a delta {whole:.2f} us: reading {parsing:.2f}, turn and hub {showing - sending:.2f}, "
        f"socket {sending:.2f}, HTTP and the rest {whole - parsing - showing:.2f}"
    )


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stkweb.settings")
    import django

    django.setup(set_prefix=False)
    uvloop.run(main())
