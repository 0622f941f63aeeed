"""Streams without an end of their own (server-sent events) end when the server stops.

uvicorn tells each connection that it stops, and then waits for every answer that is still going out:
one page that reads along would keep the server for all of STKWEB_SHUTDOWN_SECONDS, and the turns are
saved only after that. A browser takes the end of such a stream for a pause and comes back by itself.
"""

from __future__ import annotations

import asyncio

_open: set[asyncio.Future[None]] = set()


def until_the_stop() -> asyncio.Future[None]:
    """Is done when the server stops; to be cancelled by who does not wait any more. On the loop."""
    stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    _open.add(stop)
    stop.add_done_callback(_open.discard)
    return stop


def end_all() -> None:
    """The server stops now. On the loop."""
    for stop in tuple(_open):
        if not stop.done():
            stop.set_result(None)
