"""uvicorn's HTTP connection, but that endless streams end with the server, and that one which waits for its
next request holds nothing of the last.

A browser keeps a connection open beside its socket for as long as the page is: what uvicorn leaves there
of the request that was answered, headers, scope and event, counts for each page. Nothing here knows what
is asked.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from stkweb.endless import end_all
from stkweb.sockets import Gate


class _Answered:
    """Stands for every request that was answered, in all that uvicorn asks of one."""

    response_complete = True
    scope: Any = None

    @property
    def message_event(self) -> _Answered:
        return self

    def set(self) -> None: ...


_ANSWERED: Any = _Answered()


class _Pipeline(list[Any]):
    """Requests that wait for the one before them: nearly always none, for which a deque has room for 64."""

    __slots__ = ()

    def appendleft(self, request: Any) -> None:
        self.insert(0, request)


class Connection(HttpToolsProtocol):
    """One browser's connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pipeline = _Pipeline()  # type: ignore[assignment]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow._is_writable_event = Gate()  # type: ignore[assignment]

    def handle_websocket_upgrade(self) -> None:
        super().handle_websocket_upgrade()
        # The parser refers back: all of it would wait for the collector.
        self.parser = None  # type: ignore[assignment]

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.cycle.response_complete:
            return  # of the next request, which has come already
        if self.cycle.scope is self.scope:  # else they are those of one that is just being read
            self.headers = []
            self.scope = {}  # type: ignore[typeddict-item]
        self.cycle = _ANSWERED

    def shutdown(self) -> None:
        end_all()
        super().shutdown()
