"""uvicorn's WebSocket connection, but that one which takes nothing any more is cut off.

uvicorn closes politely: its closing frame waits behind what the reader did not take, so a reader
that never reads would keep its connection and up to 128 KB of it for as long as it likes. Nothing
here knows what is sent.
"""

from __future__ import annotations

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

#: Seconds that a reader has to take the closing frame.
GRACE = 10.0


class Connection(WebSocketsSansIOProtocol):
    """One browser's connection."""

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "websocket.close":
            self._cut_later()
        await super().send(message)

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._cut_later()

    def _cut_later(self) -> None:
        self.loop.call_later(GRACE, self.transport.abort)  # does nothing to one that is gone
