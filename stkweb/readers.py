"""Shared pages that are ready go out here, before Django's middleware, which would be most of their cost.

It only carries: who may read, and what is counted, is decided in chat/views/share_ready.py.
"""

from __future__ import annotations

import asyncio

from chat import threads
from chat.views import share_ready
from stkweb.edge import App, Receive, Scope, Send

#: Seconds between two pages of a crowd: below what any crowd of people asks for, and most of the core stays
#: with those who work, whatever comes (`python -m benchmarks.sharing`, "beside without a pause").
REST = 0.002


class Readers:
    """Wraps the application of `http` scopes. A crowd that asks for pages waits here for its turn, one
    after the other; the loop does everything else in between."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._turn = asyncio.Lock()
        self._free = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "GET" or not scope["path"].startswith("/s/"):
            await self.app(scope, receive, send)
            return
        address = (scope.get("client") or ("",))[0]
        question = share_ready.question_of(scope["path"], scope["query_string"], scope["headers"], address)
        answer = None if question is None else await self._answer_to(question)
        if answer is None:
            await self.app(scope, receive, send)
            return
        # Not within the turn: a connection that takes nothing holds up nobody else.
        await send({"type": "http.response.start", "status": 200, "headers": list(answer.headers)})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer_to(self, question: share_ready.Question) -> share_ready.Answer | None:
        time = asyncio.get_running_loop().time
        async with self._turn:
            if (pause := self._free - time()) > 0:
                await asyncio.sleep(pause)
            try:
                return await threads.run_reader(share_ready.answer_to, question)
            finally:
                self._free = time() + REST
