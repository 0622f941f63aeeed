"""Django's request handler on the process's own few threads.

Django's ASGI handler makes a thread, and with it a database connection, for every request, and
crosses threads twice for each middleware. Here the whole synchronous chain runs in one call in
one of the threads of chat/threads.py. What it must not do: decide anything about a request, but in
which threads it is answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.base import BaseHandler
from django.core.signals import request_started
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from chat import threads
from stkweb import endless

#: Pages that people without an account may read: they must not take the threads of those who work.
READERS = "/s/"


class PooledHandler(ASGIHandler):
    """An ASGI application for `http` scopes; views are synchronous, streams may be async iterators."""

    def __init__(self) -> None:
        BaseHandler.__init__(self)
        self.load_middleware(is_async=False)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        run = threads.run_reader if scope["path"].startswith(READERS) else threads.run
        with closing(body):
            response = await run(self._respond, scope, body)
        if not response.streaming:
            await self.send_response(response, send)
            return
        try:
            await self._stream(response, receive, send)
        finally:
            await threads.run(response.close)

    def _respond(self, scope: Any, body: Any) -> HttpResponseBase:
        set_script_prefix(get_script_prefix(scope))
        request_started.send(sender=self.__class__, scope=scope)
        request, refusal = self.create_request(scope, body)
        if request is None:
            assert refusal is not None
            return refusal
        response: HttpResponseBase = self.get_response(request)
        response._handler_class = self.__class__  # type: ignore[attr-defined]
        if finished := getattr(response, "finished", None):  # a view wants its answer as it goes out
            finished(response)
        if isinstance(response, StreamingHttpResponse) and not response.is_async:
            response = _in_threads(response)
        if not response.streaming:
            # Its content is in memory; closing it here saves crossing to a thread a second time.
            response.close()
        return response

    async def _stream(self, response: HttpResponseBase, receive: Any, send: Any) -> None:
        """Send an async stream until it ends, its reader leaves or, without an end, the server stops."""
        sending: asyncio.Future[None] = asyncio.ensure_future(self.send_response(response, send))
        leaving: asyncio.Future[None] = asyncio.ensure_future(self.listen_for_disconnect(receive))
        waiting = [sending, leaving]
        if response.headers.get("Content-Type", "").startswith("text/event-stream"):
            waiting.append(endless.until_the_stop())
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            stopped = waiting[-1].done() and not leaving.done() and not sending.done()
        finally:
            for task in waiting:
                task.cancel()
            results = await asyncio.gather(*waiting, return_exceptions=True)
        if isinstance(results[0], Exception):
            raise results[0]
        if stopped:
            await send({"type": "http.response.body", "body": b""})


#: Files up to this size are read whole in the thread that already holds them.
_WHOLE = 512 * 1024


def _in_threads(response: StreamingHttpResponse) -> HttpResponseBase:
    """A stream read from a synchronous source (a static file, a download), made safe for the loop."""
    length = response.headers.get("Content-Length", "")
    parts: Iterator[bytes] = iter(response)
    if length.isdigit() and int(length) <= _WHOLE:
        whole = HttpResponse(b"".join(parts), status=response.status_code, headers=response.headers)
        whole.cookies = response.cookies
        response.close()
        return whole

    async def read() -> Any:
        while part := await threads.run(next, parts, b""):
            yield part

    response.streaming_content = read()
    return response
