"""The WebSocket consumer: reads frames, watches topics, writes through its outbox.

Handlers return at once: Channels runs one at a time, and a stop must never wait behind a stream.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from contextlib import suppress
from typing import Any

from channels.consumer import get_handler_name
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.http import parse_cookie

from chat import actions, metrics, threads
from chat.consumers import guard
from chat.consumers.outbox import Outbox
from chat.consumers.session import Person, person_of
from chat.consumers.watching import Reading, Watching, read, remember
from chat.models import Conversation
from chat.models.conversations import Position
from chat.protocol import BadFrame, Ping, Stop, Subscribe, Unsubscribe, frames, parse
from chat.protocol.frames import ABUSE, NOT_SIGNED_IN, TOO_LARGE
from chat.turns import runtime
from chat.turns.hub import feed_topic, thread_topic
from chat.version import VERSION

log = logging.getLogger(__name__)

#: Conversations one socket may watch; frames a second it may send, and how many at once.
MAX_WATCHED, FRAMES_A_SECOND, FRAMES_AT_ONCE = 50, 20, 100
#: Unreadable frames before the socket is closed.
MAX_BAD_FRAMES = 5
#: Seconds before the rows are read again after a gap: one save of another process, and a margin.
GAP_WAIT = 0.4


class ChatConsumer(AsyncWebsocketConsumer):
    """One browser tab."""

    # No channel of its own: frames come through the hub, and one channel a socket costs Redis dear.
    channel_layer_alias = "none"

    # With what Channels sets: a socket is there for hours, and a dict of the same is larger.
    __slots__ = (
        "_allowance", "_bad_frames", "_counted", "_hub", "_leaving", "_tasks", "_watching", "base_send",
        "channel_layer", "outbox", "person", "scope",
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.person: Person | None = None
        self._watching: dict[str, Watching] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._bad_frames = 0
        self._leaving = False
        self._allowance, self._counted = float(FRAMES_AT_ONCE), time.monotonic()

    # -- coming and going ------------------------------------------------------------------------

    async def dispatch(self, message: dict[str, Any]) -> None:
        # Channels would cross to a thread for every frame, to close connections nobody opened here.
        await getattr(self, get_handler_name(message))(message)

    async def connect(self) -> None:
        self.person = await threads.run(person_of, _cookies(self.scope))
        if self.person is None:
            await self.close()
            return
        await self.accept()
        now = self.scope.get("extensions", {}).get("stkweb.send_now", {})
        self.scope.clear()  # of no more use, and a page is open for hours
        self.outbox = Outbox(self.base_send, self._close_soon, now.get("send"))
        self.outbox.put(frames.hello(VERSION, self.person.user.get_username()))
        self._hub = runtime.current().hub
        await self._hub.watch(feed_topic(self.person.user.pk), self)
        guard.guard(self)
        metrics.SOCKETS.inc()

    async def disconnect(self, code: int) -> None:
        guard.release(self)
        if self.person is None:
            return
        metrics.SOCKETS.dec()
        self.outbox.shut()
        self._hub.unwatch(feed_topic(self.person.user.pk), self)
        for thread_id in tuple(self._watching):
            self._unwatch(thread_id)
        for task in tuple(self._tasks):
            task.cancel()

    def sign_off(self) -> None:
        """Signed out, deactivated or with a new password: nothing more goes to this socket."""
        self._close_soon(NOT_SIGNED_IN)

    def watched(self) -> list[int]:
        """Keys of the conversations this socket watches."""
        return [w.conversation_pk for w in self._watching.values() if w.conversation_pk]

    def check(self, asked: set[int], positions: dict[int, Position]) -> None:
        """Leave conversations that are not the person's any more; read again what lags behind; say what
        was seen here though the process that ran its turn had nobody watching.

        What was subscribed to since the question was asked, and is not in `asked`, waits for the next.
        """
        assert self.person is not None
        running = runtime.current().turns
        for thread_id, watching in tuple(self._watching.items()):
            if watching.conversation_pk not in asked:
                continue
            found = positions.get(watching.conversation_pk)
            if found is None or found.owner != self.person.user.pk:
                self._unwatch(thread_id)
                self.outbox.put(frames.error("not_found", thread_id))
            elif 0 <= watching.seq < found.seq and watching.conversation_pk not in running:
                watching.hold()
                self._spawn(self._read_again(watching))
            elif found.unread and watching.seq >= 0:
                self._spawn(threads.run(self._seen, thread_id))

    def _close_soon(self, code: int) -> None:
        self.outbox.shut()
        self._spawn(self._leave(code))

    async def _leave(self, code: int) -> None:
        """Close the socket, once; what is still under way to or from it counts no more."""
        if self._leaving:
            return
        self._leaving = True
        self.outbox.shut()
        with suppress(OSError):  # the reader was gone first
            await self.close(code)

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- frames from the browser -----------------------------------------------------------------

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self._leaving:
            return
        if text_data is None or not self._may_receive():
            await self._leave(ABUSE)
        elif len(text_data) > settings.LIMIT_FRAME_BYTES:
            await self._leave(TOO_LARGE)
        else:
            await self._receive(text_data)

    async def _receive(self, text: str) -> None:
        try:
            frame = parse(text)
        except BadFrame:
            await self._refuse_frame()
            return
        if isinstance(frame, Ping):
            self.outbox.put(frames.pong())
        elif isinstance(frame, Subscribe):
            await self._subscribe(frame)
        elif isinstance(frame, Unsubscribe):
            self._unwatch(frame.thread_id)
        elif isinstance(frame, Stop):
            await self._stop(frame)

    def _may_receive(self) -> bool:
        now = time.monotonic()
        self._allowance += (now - self._counted) * FRAMES_A_SECOND
        self._allowance = min(self._allowance, FRAMES_AT_ONCE) - 1
        self._counted = now
        return self._allowance >= 0

    async def _refuse_frame(self) -> None:
        self._bad_frames += 1
        if self._bad_frames > MAX_BAD_FRAMES:
            await self._leave(ABUSE)
        else:
            self.outbox.put(frames.error("bad_frame"))

    async def _stop(self, frame: Stop) -> None:
        assert self.person is not None
        try:
            await threads.run(actions.stop, self.person.user, conversation=frame.thread_id)
        except actions.Refused as refused:
            self.outbox.put(frames.error(refused.code, frame.thread_id))

    # -- watching --------------------------------------------------------------------------------

    def deliver(self, topic: str, seq: int, frame: str) -> None:
        """A frame of the person's feed."""
        self.outbox.put(frame)

    async def _subscribe(self, frame: Subscribe) -> None:
        assert self.person is not None
        thread_id = frame.thread_id
        self._unwatch(thread_id)
        if len(self._watching) >= MAX_WATCHED:
            await self._leave(ABUSE)
            return
        # Joining needs no leave: nothing is let through before the rows were read as this person.
        watching = Watching(thread_id, self.outbox.put, lambda: self._spawn(self._after_gap(watching)))
        self._watching[thread_id] = watching
        await self._hub.watch(thread_topic(thread_id), watching)
        remembered = remember(self.person.user.pk, thread_id, frame.after)
        if remembered is not None:
            watching.show(remembered)
        else:
            await self._show(watching, frame.after)

    async def _show(self, watching: Watching, after: int | None) -> None:
        reading = await threads.run(self._read, watching.thread_id, after)
        if self._watching.get(watching.thread_id) is not watching:
            return
        if reading is None:
            self._unwatch(watching.thread_id)
            self.outbox.put(frames.error("not_found", watching.thread_id))
            return
        watching.show(reading)

    def _read(self, thread_id: str, after: int | None) -> Reading | None:
        assert self.person is not None
        user = self.person.user
        conversation = Conversation.objects.visible_to(user).named(thread_id).first()
        if conversation is None:
            return None
        actions.mark_read(user, conversation)
        return read(conversation, after)

    def _seen(self, thread_id: str) -> None:
        assert self.person is not None
        conversation = Conversation.objects.visible_to(self.person.user).named(thread_id).first()
        if conversation is not None:
            actions.mark_read(self.person.user, conversation)

    async def _after_gap(self, watching: Watching) -> None:
        if watching.conversation_pk not in runtime.current().turns:
            await asyncio.sleep(GAP_WAIT)
        await self._read_again(watching)

    async def _read_again(self, watching: Watching) -> None:
        if self._watching.get(watching.thread_id) is watching:
            await self._show(watching, None)

    def _unwatch(self, thread_id: str) -> None:
        watching = self._watching.pop(thread_id, None)
        if watching is not None:
            self._hub.unwatch(thread_topic(thread_id), watching)


def _cookies(scope: dict[str, Any]) -> dict[str, str]:
    # Django's own reading: another application's odd cookie on this host does not hide ours.
    header = b"; ".join(value for name, value in scope["headers"] if name == b"cookie").decode("latin-1")
    return parse_cookie(header)
