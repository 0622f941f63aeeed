"""Live share links: a room a link, which reads the rows again when the conversation rings.

What goes out is built by the same allow-list as a frozen text; thread events are only the bell and
never pass through. A room belongs to the event loop; reading and rendering happen in the threads.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

from django.contrib.auth import get_user
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone, translation

from chat import threads
from chat.actions import share_reading as reading
from chat.actions.sharing import ends_at, topic_of
from chat.models import Share
from chat.models.shares import token_hash
from chat.sessions import SessionStore
from chat.turns import runtime
from chat.turns.hub import thread_topic
from chat.views import share_tickets as tickets
from chat.views.share_rendering import message_html
from chat.views.shared import reader_of, sealed

#: Seconds between two readings of one room, and more for long texts: bytes that are sent in a second.
PACE, BYTES_A_SECOND = 0.3, 100_000
#: Seconds between two looks whether a reader still may read; the promise is 5.
LOOK = 2.5
#: Readers of one process.
MAX_READERS = 500


def live(request: HttpRequest, token: str) -> HttpResponseBase:
    """Server-sent events: `show` {"order": [keys], "items": {key: html}}, then `end` when it is over."""
    if request.method != "GET":
        return sealed(request, HttpResponse(status=405))
    reader = reader_of(request)
    known = tickets.share_of(request, request.GET.get("ticket", ""))
    share = reading.find_again(known, reader) if known is not None else None
    if share is None or not share.live or share.token_hash != token_hash(token):
        return sealed(request, HttpResponse(status=404))
    if sum(len(room.seats) for room in _rooms.values()) >= MAX_READERS:
        return sealed(request, HttpResponse(status=503))
    seat = Seat(share.pk, reader, request.session.session_key if reader.user else None)
    stream = _stream(share, seat, translation.get_language() or "en")
    response = StreamingHttpResponse(stream, content_type="text/event-stream; charset=utf-8")
    response["X-Accel-Buffering"] = "no"
    return sealed(request, response)


class Seat:
    """One open page. What it has not taken yet is joined: a slow reader costs one copy of the page."""

    def __init__(self, share_pk: int, reader: reading.Reader, session_key: str | None) -> None:
        self.share_pk, self.reader, self.session_key = share_pk, reader, session_key
        self.order: list[str] | None = None
        self.items: dict[str, str] = {}
        self.news = asyncio.Event()

    def put(self, order: list[str] | None, items: dict[str, str]) -> None:
        """Something to show; `order` None ends the stream."""
        self.order = order
        self.items = {key: html for key, html in {**self.items, **items}.items() if key in (order or ())}
        self.news.set()

    def may_stay(self) -> bool:
        """Whether this person may still read; asks the database. Blocks."""
        if self.reader.user is not None:
            asking: Any = SimpleNamespace(session=SessionStore(self.session_key))
            user = get_user(asking)
            if not user.is_authenticated or user.pk != self.reader.user.pk:
                return False
        return reading.find_again(self.share_pk, self.reader) is not None


class Room:
    """The readers of one live link in one language."""

    def __init__(self, share: Share, language: str) -> None:
        self.share, self.language = share, language
        self.seats: set[Seat] = set()
        self.order: list[str] | None = []
        self.items: dict[str, str] = {}
        self.ready = asyncio.Event()
        self._bell = asyncio.Event()
        self._topics = (thread_topic(share.conversation.public_id), topic_of(share))
        self._task = asyncio.create_task(self._run(), context=contextvars.Context())

    def deliver(self, topic: str, seq: int, frame: str) -> None:
        """The hub's bell; what the frame says is not looked at."""
        self._bell.set()

    def leave(self, seat: Seat) -> None:
        """The last one to leave closes the room."""
        self.seats.discard(seat)
        if not self.seats:
            self._task.cancel()
            if _rooms.get((self.share.pk, self.language)) is self:
                del _rooms[self.share.pk, self.language]

    async def _run(self) -> None:
        hub = runtime.current().hub
        for topic in self._topics:
            await hub.watch(topic, self)
        try:
            while self.order is not None:
                self._bell.clear()
                await self._refresh()
                pause = PACE + sum(map(len, list(self.items.values())[-1:])) / BYTES_A_SECOND
                await asyncio.sleep(pause)
                await _until(self._bell, LOOK)
        finally:
            for topic in self._topics:
                hub.unwatch(topic, self)

    async def _refresh(self) -> None:
        try:
            order, items = await threads.run(_read, self.share.pk, self.language)
        except (DatabaseError, InterfaceError):
            return
        changed = {key: html for key, html in items.items() if self.items.get(key) != html}
        if changed or order != self.order:
            for seat in self.seats:
                seat.put(order, changed)
        self.order, self.items = order, items
        self.ready.set()


_rooms: dict[tuple[int, str], Room] = {}


def _read(share_pk: int, language: str) -> tuple[list[str] | None, dict[str, str]]:
    """Keys in order and the HTML of each; None for a link that is over. Blocks."""
    share = (
        Share.objects.select_related("conversation__owner")
        .filter(pk=share_pk, revoked_at=None, conversation__deleted_at=None).first()
    )  # fmt: skip
    if share is None or ends_at(share) <= timezone.now():
        return None, {}
    opened = reading.opened(share)
    author = opened.content.get("author", "")
    with translation.override(language):
        items = {
            key: message_html(message, author, key)
            for key, message in zip(opened.keys, opened.content["messages"], strict=True)
        }
    return list(opened.keys), items


async def _stream(share: Share, seat: Seat, language: str) -> AsyncIterator[bytes]:
    room = _rooms.get((share.pk, language))
    if room is None:
        room = _rooms[share.pk, language] = Room(share, language)
    room.seats.add(seat)
    looked = time.monotonic()
    try:
        yield b": stkweb\n\n"
        await _until(room.ready, 10.0)
        seat.put(room.order, room.items)
        while True:
            await _until(seat.news, LOOK)
            if time.monotonic() - looked >= LOOK:
                if not await threads.run(seat.may_stay):
                    seat.put(None, {})
                looked = time.monotonic()
                yield b": still here\n\n"
            if not seat.news.is_set():
                continue
            seat.news.clear()
            if seat.order is None:
                yield b"event: end\ndata: {}\n\n"
                return
            data = json.dumps({"order": seat.order, "items": seat.items}, ensure_ascii=False)
            seat.items = {}
            yield f"event: show\ndata: {data}\n\n".encode()
    finally:
        room.leave(seat)


async def _until(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
