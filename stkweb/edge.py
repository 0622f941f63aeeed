"""The outermost layer: what every answer carries and what no request may do, before Django.

Bodies over the limit are refused by their declared length or, without one, as soon as they pass it, so
they cost neither memory nor a thread. Security headers stand on every response, also on static files,
on errors and on what a library answers by itself. Nothing here knows a conversation.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from django.conf import settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: What no page of ours may use.
POWERS = ("camera", "display-capture", "geolocation", "microphone", "payment", "usb")


def _headers() -> list[tuple[bytes, bytes]]:
    headers = {
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "same-origin",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": ", ".join(f"{name}=()" for name in POWERS),
        "cache-control": "no-store",  # where nothing else is said
        "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    }
    if settings.HTTPS:
        headers["strict-transport-security"] = (
            f"max-age={settings.SECURE_HSTS_SECONDS}; includeSubDomains; preload"
        )
    return [(name.encode(), value.encode()) for name, value in headers.items()]


class Edge:
    """Wraps the ASGI application; see the module's docstring."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.headers = _headers()
        self.limit: int = settings.LIMIT_BODY_BYTES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        send = self._with_headers(send)
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > self.limit:
            await _refuse(send)
            return
        # A body of a declared length is no longer: the server sees to that, and nothing is kept twice.
        if any(name == b"transfer-encoding" for name, _ in scope["headers"]):
            body = await self._body(receive)
            if body is None:
                await _refuse(send)
                return
            receive = replay(body, receive)
        await self.app(scope, receive, send)

    async def _body(self, receive: Receive) -> list[Message] | None:
        """All of the body's messages, or None as soon as they pass the limit."""
        messages, size = [], 0
        while True:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            if size > self.limit:
                return None
            if message["type"] != "http.request" or not message.get("more_body"):
                return messages

    def _with_headers(self, send: Send) -> Send:
        async def wrapped(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(h for h in self.headers if h[0] not in present)]
            await send(message)

        return wrapped


def replay(messages: list[Message], receive: Receive) -> Receive:
    """A `receive` that gives these messages again, and then what comes after them."""
    queue = iter(messages)

    async def replayed() -> Message:
        for message in queue:
            return message
        return await receive()

    return replayed


async def _refuse(send: Send) -> None:
    body = (
        b'{"error": {"code": "body_too_large", "message": "This request is larger than the server accepts."}}'
    )
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class OwnOrigins:
    """Lets a socket in from our own pages alone: the Origin header is one of ours, to the letter.

    Browsers write it in one way only (scheme, host in lower case, port unless it is the scheme's own),
    so nothing is parsed. Whatever else stands there, or nothing, is refused before the socket opens.
    """

    def __init__(self, app: App, origins: Iterable[str]) -> None:
        self.app = app
        self.origins = {_as_sent(origin) for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = [value for name, value in scope["headers"] if name == b"origin"]
        if len(given) == 1 and given[0] in self.origins:
            await self.app(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close"})  # before it opened: HTTP 403


def _as_sent(origin: str) -> bytes:
    own_port = {"http": ":80", "https": ":443"}.get(origin.partition(":")[0].lower(), "")
    return origin.lower().rstrip("/").removesuffix(own_port).encode()
