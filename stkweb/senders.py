"""Questions that our own pages send go in here, before Django's middleware, which would cost as much again.

It only carries: whose question it is and whether it is taken is decided in chat/views/send_ready.py.
"""

from __future__ import annotations

from chat import threads
from chat.views import send_ready
from stkweb.edge import App, Message, Receive, Scope, Send, replay


class Senders:
    """Wraps the application of `http` scopes. Whatever is not simply taken is answered by Django."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        question = None
        if scope["method"] == "POST" and not scope.get("root_path"):
            address = (scope.get("client") or ("",))[0]
            question = send_ready.question_of(
                scope["path"], scope["query_string"], scope["headers"], scope["scheme"], address
            )
        if question is None:
            await self.app(scope, receive, send)
            return
        messages = await _body(receive)
        body = b"".join(message.get("body", b"") for message in messages)
        answer = None
        if messages[-1]["type"] == "http.request":
            answer = await threads.run(send_ready.answer_to, question, body)
        if answer is None:
            await self.app(scope, replay(messages, receive), send)
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


async def _body(receive: Receive) -> list[Message]:
    """All messages of the body; the last one says so, or that its sender is gone."""
    messages = [await receive()]
    while messages[-1]["type"] == "http.request" and messages[-1].get("more_body"):
        messages.append(await receive())
    return messages
