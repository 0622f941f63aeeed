"""The reference of every ratio: relays bytes between a client and the fake agent, and does nothing else.

What it costs on a machine is what moving these bytes through one Python process costs there; the product's
figures are read beside it because absolute ones move with the neighbours' load.
Run: ``python -m benchmarks.byte_proxy PORT AGENT_PORT``.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop


class End(asyncio.Protocol):
    """One side of a relayed connection; `other` is the side that its bytes go to."""

    def __init__(self, other: End | None = None) -> None:
        self.other = other
        self.transport: asyncio.Transport | None = None
        self.early = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self.other is not None and self.other.early:
            self.transport.write(bytes(self.other.early))
            self.other.early.clear()

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)
        else:
            self.early += data

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


class Client(End):
    """The side that a client opened; it opens the other one."""

    agent_port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.other = End(self)
        loop = asyncio.get_running_loop()
        other = self.other
        self.connecting = loop.create_task(
            loop.create_connection(lambda: other, "127.0.0.1", self.agent_port)
        )


async def main(port: int, agent_port: int) -> None:
    """Relay 127.0.0.1:`port` to 127.0.0.1:`agent_port` until killed."""
    Client.agent_port = agent_port
    server = await asyncio.get_running_loop().create_server(Client, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
