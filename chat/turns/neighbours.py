"""The doorbell between processes: coalesced frames with their numbers, over the channel layer.

Redis Pub/Sub with one message per topic and 100 ms held 200 streams at 53/99 ms; one per delta
saturated at the same load. It is at most once: a frame that is lost leaves a gap in the numbers,
and whoever sees the gap reads the rows. A layer that is down costs promptness, never a turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import redis.exceptions
from channels.layers import BaseChannelLayer

from chat.turns.hub import Hub

log = logging.getLogger(__name__)

#: Seconds between two messages to the layer for one topic.
INTERVAL = 0.1

#: Seconds between two attempts to join what could not be joined while Redis was away.
RETRY = 1.0

#: What the layer raises while Redis is away.
LAYER_DOWN = (redis.exceptions.RedisError, OSError, asyncio.TimeoutError)


def worker_group(worker_id: str) -> str:
    """The group through which a process is told to stop a turn."""
    return f"worker.{worker_id}"


class LayerNeighbours:
    """Joins the hub of this process to those of the others."""

    def __init__(
        self, hub: Hub, layer: BaseChannelLayer, worker_id: str, on_stop: Callable[[int], None]
    ) -> None:
        self._hub = hub
        self._layer: Any = layer
        self._worker_id = worker_id
        self._on_stop = on_stop
        self._outbox: dict[str, list[tuple[int, str]]] = {}
        self._news = asyncio.Event()
        self._channel = ""
        self._opening = asyncio.Lock()
        self._not_joined: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Open this process's channel and begin to send and receive; a layer that is away is waited for."""
        self._spawn(self._send())
        await self.join(worker_group(self._worker_id))

    async def _opened(self) -> bool:
        """Whether this process has its channel."""
        async with self._opening:
            if not self._channel:
                try:
                    self._channel = await self._layer.new_channel()
                except LAYER_DOWN as exc:
                    log.warning("the channel layer does not answer: %s", type(exc).__name__)
                    return False
                self._spawn(self._receive())
        return True

    async def _joined(self, topic: str) -> bool:
        return await self._opened() and await self._guarded(self._layer.group_add(topic, self._channel))

    async def stop(self) -> None:
        """Send what is left, then close."""
        await self._flush()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def offer(self, topic: str, seq: int, frame: str) -> None:
        self._outbox.setdefault(topic, []).append((seq, frame))
        self._news.set()

    async def join(self, topic: str) -> None:
        """Hear `topic` from the other processes, with a layer that is away as soon as it is back."""
        if not await self._joined(topic):
            if not self._not_joined:
                self._spawn(self._join_again())
            self._not_joined.add(topic)

    async def _join_again(self) -> None:
        """What was missed meanwhile is in the rows; watchers that lag behind read them."""
        own = worker_group(self._worker_id)
        while self._not_joined:
            await asyncio.sleep(RETRY)
            for topic in tuple(self._not_joined):
                wanted = topic == own or self._hub.watched(topic)
                if wanted and not await self._joined(topic):
                    break
                self._not_joined.discard(topic)

    def leave(self, topic: str) -> None:
        self._spawn(self._leave(topic))

    async def _leave(self, topic: str) -> None:
        # Somebody may have come back before this task began; their joining must not be undone.
        if not self._hub.watched(topic):
            await self._guarded(self._layer.group_discard(topic, self._channel))

    def ask_to_stop(self, worker_id: str, message_pk: int) -> None:
        """Ring the owner of a turn; the row says so as well, should this be lost."""
        message = {"type": "stop", "message": message_pk}
        self._spawn(self._guarded(self._layer.group_send(worker_group(worker_id), message)))

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, call: Any) -> bool:
        """Whether the layer did it."""
        try:
            await call
        except LAYER_DOWN as exc:
            log.warning("the channel layer does not answer: %s", type(exc).__name__)
            return False
        return True

    async def _send(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            await self._flush()
            await asyncio.sleep(INTERVAL)

    async def _flush(self) -> None:
        outbox, self._outbox = self._outbox, {}
        for topic, frames in outbox.items():
            message = {"type": "frames", "origin": self._worker_id, "topic": topic, "frames": frames}
            await self._guarded(self._layer.group_send(topic, message))

    async def _receive(self) -> None:
        while True:
            try:
                message = await self._layer.receive(self._channel)
            except LAYER_DOWN as exc:
                log.warning("the channel layer does not answer: %s", type(exc).__name__)
                await asyncio.sleep(1)
                continue
            if message["type"] == "stop":
                self._on_stop(message["message"])
            elif message["type"] == "frames" and message["origin"] != self._worker_id:
                for seq, frame in message["frames"]:
                    self._hub.deliver(message["topic"], seq, frame)
