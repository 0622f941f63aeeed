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
from typing import NamedTuple

from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone, translation

from chat import threads
from chat.actions import share_reading as reading
from chat.actions.sharing import ends_at, topic_of
from chat.models import Share
from chat.models.shares import token_hash
from chat.sessions import signed_in
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
    """Server-sent events: `show` {"order": [keys], "items": {key: html}}, then `end` when it is over.

    HEAD tells whether there is a stream (404: no more) to a page that lost its own.
    """
    if request.method not in ("GET", "HEAD"):
        return sealed(request, HttpResponseNotAllowed(["GET", "HEAD"]))
    reader = reader_of(request)
    known = tickets.share_of(request, request.GET.get("ticket", ""))
    share = reading.find_again(known, reader) if known is not None else None
    if share is None or not share.live or share.token_hash != token_hash(token):
        return sealed(request, HttpResponse(status=404))
    if sum(len(room.seats) for room in _rooms.values()) >= MAX_READERS:
        return sealed(request, HttpResponse(status=503))
    if request.method == "HEAD":
        return sealed(request, HttpResponse())
    seat = Seat(share.pk, reader, request.session.session_key if reader.user else None)
    place = Place(share.pk, share.conversation.public_id, translation.get_language() or "en")
    stream = _stream(place, seat)
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
        """Something to show; `order` None ends the stream. Nobody changes `items` afterwards."""
        self.order = order
        if self.items:  # else all who are in step hold the same, and it is written once for them
            items = {key: html for key, html in {**self.items, **items}.items() if key in (order or ())}
        self.items = items
        self.news.set()

    def may_stay(self) -> bool:
        """Whether this colleague may still read; asks the database. Blocks."""
        user = signed_in(self.session_key or "")
        if user is None or self.reader.user is None or user.pk != self.reader.user.pk:
            return False
        return reading.find_again(self.share_pk, self.reader) is not None


class Place(NamedTuple):
    """A link, its conversation's id, and a language: what makes a room."""

    share_pk: int
    thread_id: str
    language: str


class View(NamedTuple):
    """What a room shows: keys in order (None when the link is over) and the HTML of each; and whether
    readers without a name may see it."""

    order: list[str] | None
    items: dict[str, str]
    nameless: bool


class Room:
    """The readers of one live link in one language."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.seats: set[Seat] = set()
        self.view = View([], {}, True)
        self.ready = asyncio.Event()
        self._bell = asyncio.Event()
        self._frames: list[tuple[dict[str, str], list[str], bytes]] = []
        self._topics = (thread_topic(place.thread_id), topic_of(place.share_pk))
        self._task = asyncio.create_task(self._run(), context=contextvars.Context())

    def deliver(self, topic: str, seq: int, frame: str) -> None:
        """The hub's bell; what the frame says is not looked at."""
        self._bell.set()

    def leave(self, seat: Seat) -> None:
        """The last one to leave closes the room."""
        self.seats.discard(seat)
        if not self.seats:
            self._task.cancel()
            if _rooms.get(self.place) is self:
                del _rooms[self.place]

    def frame(self, order: list[str], items: dict[str, str]) -> bytes:
        """The event that shows `items`; written once for all who are shown the very same."""
        for known, known_order, frame in self._frames:
            if known is items and known_order is order:
                return frame
        data = json.dumps({"order": order, "items": items}, ensure_ascii=False)
        self._frames = [*self._frames[-1:], (items, order, f"event: show\ndata: {data}\n\n".encode())]
        return self._frames[-1][2]

    async def _run(self) -> None:
        hub = runtime.current().hub
        for topic in self._topics:
            await hub.watch(topic, self)
        try:
            while self.view.order is not None:
                self._bell.clear()
                await self._refresh()
                pause = PACE + sum(map(len, list(self.view.items.values())[-1:])) / BYTES_A_SECOND
                await asyncio.sleep(pause)
                await _until(self._bell, LOOK)
        finally:
            for topic in self._topics:
                hub.unwatch(topic, self)

    async def _refresh(self) -> None:
        before = self.view
        try:
            view = self.view = await threads.run_reader(_read, self.place.share_pk, self.place.language)
        except (DatabaseError, InterfaceError):
            return
        changed = {key: html for key, html in view.items.items() if before.items.get(key) != html}
        for seat in self.seats:
            if not view.nameless and seat.reader.user is None:
                seat.put(None, {})
            elif changed or view.order != before.order:
                seat.put(view.order, changed)
        self.ready.set()


_rooms: dict[Place, Room] = {}


def _read(share_pk: int, language: str) -> View:
    """What a room shows now. Blocks."""
    share = (
        Share.objects.select_related("conversation__owner")
        .filter(pk=share_pk, revoked_at=None, conversation__deleted_at=None).first()
    )  # fmt: skip
    if share is None or ends_at(share) <= timezone.now():
        return View(None, {}, False)
    opened = reading.opened(share)
    author = opened.content.get("author", "")
    with translation.override(language):
        items = {
            key: message_html(message, author, key)
            for key, message in zip(opened.keys, opened.content["messages"], strict=True)
        }
    nameless = reading.find_again(share_pk, reading.Reader(None, "")) is not None
    return View(list(opened.keys), items, nameless)


async def _stream(place: Place, seat: Seat) -> AsyncIterator[bytes]:
    room = _rooms.get(place)
    if room is None:
        room = _rooms[place] = Room(place)
    room.seats.add(seat)
    looked = time.monotonic()
    try:
        yield b": stkweb\n\n"
        await _until(room.ready, 10.0)
        if seat.reader.user is not None or room.view.nameless:
            seat.put(room.view.order, room.view.items)
        while True:
            await _until(seat.news, LOOK)
            if time.monotonic() - looked >= LOOK:
                if seat.reader.user is not None and not await threads.run_reader(seat.may_stay):
                    seat.put(None, {})
                looked = time.monotonic()
                yield b": still here\n\n"
            if not seat.news.is_set():
                continue
            seat.news.clear()
            if seat.order is None:
                yield b"event: end\ndata: {}\n\n"
                return
            frame = room.frame(seat.order, seat.items)
            seat.items = {}
            yield frame
    finally:
        room.leave(seat)


async def _until(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
