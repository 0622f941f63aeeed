"""The one runtime of a process: its hub, store, reaper and running turns, on the loop that serves.

`start` is called with the server's start or the first request (Daphne has no lifespan), `stop`
with its end. Verbs hand turns over with `begin` and `stop_turn`, from any thread.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from channels.layers import get_channel_layer
from django.conf import settings
from django.db import DatabaseError, InterfaceError

from chat import agents, limits, metrics, threads
from chat.models import Message, new_id
from chat.protocol import frames
from chat.turns import announcing, sweeper
from chat.turns.allowance import open_allowance
from chat.turns.announcing import publish
from chat.turns.hub import Hub, feed_topic, thread_topic
from chat.turns.neighbours import LayerNeighbours
from chat.turns.places import key_of
from chat.turns.reaper import Reaped, Reaper
from chat.turns.runner import Runner
from chat.turns.store import Store
from chat.turns.turn import Turn, TurnSpec

log = logging.getLogger(__name__)

#: Seconds between two looks at what other processes want stopped, when the doorbell is lost.
STOP_POLL = 1.0

#: What other rooms want done again and again while the process serves: seconds between two times, and
#: work that blocks.
chores: list[tuple[float, Callable[[], object]]] = []


class NotServing(Exception):
    """This process serves nobody, so it can run no turn."""


class Runtime:
    """See the module's docstring."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.worker_id = new_id()
        self.hub = Hub()
        self.turns: dict[int, Turn] = {}
        self._by_thread: dict[str, Turn] = {}
        self.draining = False
        self.http = agents.HttpSession(limits.vet())
        self.allowance = open_allowance(settings.REDIS_URL)
        self.store = Store(self.worker_id)
        self.reaper = Reaper(self.worker_id)
        self.runner = Runner(self.worker_id, self.hub, self.store, self, self.allowance)
        self.neighbours: LayerNeighbours | None = None
        self._clients: dict[int, tuple[agents.AgentConfig, agents.AgentClient]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        """Make the process known, end what a dead one left behind, begin to work."""
        alone = not settings.REDIS_URL
        await threads.run(self.reaper.register)
        self._announce_reaped(await threads.run(self.reaper.reap, alone=alone))
        self.store.start()
        layer = get_channel_layer()
        if settings.REDIS_URL and layer is not None:
            self.neighbours = LayerNeighbours(self.hub, layer, self.worker_id, self._stop_by_message)
            await self.neighbours.start()
            self.hub.neighbours = self.neighbours
        self._spawn(self._every(settings.LIMIT_LEASE / 3, self._beat))
        for pause, chore in [(sweeper.INTERVAL, sweeper.sweep), *chores]:
            self._spawn(self._every(pause, partial(threads.run, chore)))
        if not alone:
            self._spawn(self._every(settings.LIMIT_LEASE / 1.5, self._reap))
            self._spawn(self._every(STOP_POLL, self._look_for_stops))

    async def close(self) -> None:
        """Stop the turns, save everything, leave. Bounded by STKWEB_SHUTDOWN_SECONDS."""
        self.draining = True
        running = [turn.task for turn in self.turns.values() if turn.task]
        for turn in tuple(self.turns.values()):
            turn.cancel()
        deadline = self.loop.time() + settings.LIMIT_SHUTDOWN
        if running:
            _, late = await asyncio.wait(running, timeout=settings.LIMIT_SHUTDOWN)
            for task in late:
                task.cancel()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.store.stop(max(0.5, deadline - self.loop.time()))
        if self.neighbours:
            await self.neighbours.stop()
        await self.http.close()
        self.allowance.close()
        try:
            for _, chore in chores:
                await threads.run(chore)
            await threads.run(self.reaper.unregister)
        except (DatabaseError, InterfaceError) as exc:
            log.warning("the database does not answer: %s", type(exc).__name__)

    # -- turns -----------------------------------------------------------------------------------

    def begin(self, spec: TurnSpec) -> None:
        """Show the question and start its answer. On the loop's thread."""
        topic = thread_topic(spec.thread_id)
        for seq, frame in spec.opening:
            self.hub.publish(topic, seq, frame)
        spec.opening.clear()
        turn = Turn(spec, self.hub)
        turn.on_shown = lambda: self.store.touch(turn)
        self.turns[spec.conversation_pk] = turn
        self._by_thread[spec.thread_id] = turn
        metrics.TURNS_RUNNING.inc()
        # A context of its own: the request's would keep its thread and its connection alive.
        turn.task = asyncio.create_task(self.runner.run(turn), context=contextvars.Context())
        turn.task.add_done_callback(lambda _: self._ended(turn))
        if self.draining:
            turn.cancel()

    def _ended(self, turn: Turn) -> None:
        metrics.TURNS_RUNNING.dec()
        if self.turns.get(turn.spec.conversation_pk) is turn:
            del self.turns[turn.spec.conversation_pk]
            del self._by_thread[turn.spec.thread_id]
        turn.task = turn.on_shown = None  # they refer to the turn

    def turn_of(self, thread_id: str, user_pk: int) -> Turn | None:
        """The turn that runs here in a conversation, if this person may see it."""
        turn = self._by_thread.get(thread_id)
        return turn if turn is not None and turn.visible_to(user_pk) else None

    def stop_turn(self, conversation_pk: int, message_pk: int) -> bool:
        """Stop this very answer's turn; False when it does not run here. On the loop's thread."""
        turn = self.turns.get(conversation_pk)
        if turn is None or turn.answer.pk != message_pk:
            return False
        if not turn.stopping:
            turn.stopping = True
            if not self.runner.drain(turn):
                turn.cancel()
        return True

    def _stop_by_message(self, message_pk: int) -> None:
        for turn in tuple(self.turns.values()):
            if turn.answer.pk == message_pk:
                self.stop_turn(turn.spec.conversation_pk, message_pk)

    def client_of(self, turn: Turn) -> agents.AgentClient:
        """The agent's client; made once for each state of its row. Raises AgentError."""
        config, key = turn.spec.agent, turn.answer.agent_id or 0
        known = self._clients.get(key)
        if known is not None and known[0] == config:
            turn.spec.agent = known[0]  # the same for all its turns: each has one of its own from its row
            return known[1]
        policy = replace(limits.policy(), on_busy=partial(self.allowance.pause, key_of(config)))
        client = agents.connect(config, self.http, limits.of_agents(), policy)
        self._clients[key] = (config, client)
        return client

    # -- watching over the processes --------------------------------------------------------------

    async def _every(self, seconds: float, work: Callable[[], Any]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except (DatabaseError, InterfaceError) as exc:
                log.warning("the database does not answer: %s", type(exc).__name__)

    async def _beat(self) -> None:
        if not await threads.run(self.reaper.beat):
            log.error("this process was taken for gone; its turns were ended by another")
            await threads.run(self.reaper.register)

    async def _reap(self) -> None:
        self._announce_reaped(await threads.run(self.reaper.reap))

    async def _look_for_stops(self) -> None:
        if self.turns:
            for pk in await threads.run(self._wanted_stops):
                self._stop_by_message(pk)

    def _wanted_stops(self) -> list[int]:
        wanted = Message.objects.filter(owner=self.worker_id, stop_requested=True)
        return list(wanted.values_list("pk", flat=True))

    def _announce_reaped(self, reaped: list[Reaped]) -> None:
        """Watchers see a number far above theirs, and read the rows again."""
        metrics.TURNS_REAPED.inc(len(reaped))
        for one in reaped:
            topic = thread_topic(one.thread_id)
            event = {"type": "notice", "level": "warning", "message": "interrupted_restart"}
            self.hub.publish(topic, one.answer.seq, frames.event(one.thread_id, one.answer.seq, event))
            entry = {"id": one.thread_id, "state": "idle", "unread": True, "outcome": "interrupted"}
            self.hub.publish(feed_topic(one.user_pk), 0, frames.feed("finished", entry))

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


_current: Runtime | None = None
_opening: asyncio.Future[None] | None = None


async def start() -> None:
    """Start the process's runtime on the running loop, once; later calls return at once.

    A start that failed is forgotten, and the next call tries again. Raises what it failed with.
    """
    global _opening
    if _opening is None:
        if _current is not None:
            return
        _opening = asyncio.ensure_future(_open())
    await asyncio.shield(_opening)


async def _open() -> None:
    global _current, _opening
    runtime = _current = Runtime()
    announcing.serve(runtime.loop, runtime.hub)
    try:
        await runtime.open()
    except BaseException:
        _current = None
        announcing.rest()
        await runtime.close()
        raise
    finally:
        _opening = None


async def stop() -> None:
    """End the runtime; turns that run are saved and marked as interrupted by the shutdown."""
    global _current
    runtime, _current = _current, None
    announcing.rest()
    if runtime is not None:
        await runtime.close()


def current() -> Runtime:
    """This process's runtime. Raises NotServing."""
    if _current is None or _current.draining:
        raise NotServing
    return _current


def _soon(runtime: Runtime, function: Callable[..., object], *values: Any) -> None:
    # A context of its own: whatever lives on would keep the caller's, and the request in it.
    runtime.loop.call_soon_threadsafe(function, *values, context=contextvars.Context())


def begin(spec: TurnSpec, feed: str) -> None:
    """Start a turn, from any thread, once its rows are committed; `feed` tells the person's lists of it.
    Raises NotServing."""
    runtime = current()

    def begun() -> None:  # waking the loop once instead of twice
        runtime.hub.publish(feed_topic(spec.user_pk), 0, feed)
        runtime.begin(spec)

    _soon(runtime, begun)


def stop_turn(conversation_pk: int, message_pk: int, owner: str) -> None:
    """Stop a running turn wherever it runs, from any thread; its row says so already."""
    runtime = _current
    if runtime is None:
        return

    def ring() -> None:
        if not runtime.stop_turn(conversation_pk, message_pk) and runtime.neighbours:
            runtime.neighbours.ask_to_stop(owner, message_pk)

    _soon(runtime, ring)


__all__ = ["NotServing", "Runtime", "begin", "current", "publish", "start", "stop", "stop_turn"]
