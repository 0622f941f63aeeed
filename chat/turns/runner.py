"""Runs one turn: asks the agent, shows and saves what comes, writes the end, then says so.

The one place with a broad `except`: whatever goes wrong in a turn ends that turn with a code and
keeps its text. It never asks the same thing a second time once text has arrived; an answer that was
cut by its length it may have continued, as the agent's administrator decided.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Protocol

from django.conf import settings

from chat import metrics
from chat.agents import AgentClient, AgentError, AgentRequest, Done, Usage
from chat.models import State, new_id
from chat.models.branches import plus
from chat.protocol import events, frames
from chat.turns.allowance import Allowance
from chat.turns.continuing import LENGTH, continuation
from chat.turns.endings import Ending, write_call, write_ending
from chat.turns.hub import Hub, feed_topic, thread_topic
from chat.turns.items import Counts
from chat.turns.places import Ticket, key_of
from chat.turns.store import UNWRITABLE, Store
from chat.turns.turn import Turn

log = logging.getLogger(__name__)

#: Codes whose answer was cut off rather than refused: the person may continue it.
INTERRUPTING = frozenset({"ended_early", "interrupted_shutdown", "interrupted_restart"})


class Clients(Protocol):
    """Where the runner gets the client of an agent."""

    def client_of(self, turn: Turn) -> AgentClient: ...


class Runner:
    """See the module's docstring."""

    def __init__(
        self, worker_id: str, hub: Hub, store: Store, clients: Clients, allowance: Allowance
    ) -> None:
        self._worker_id = worker_id
        self._hub = hub
        self._store = store
        self._clients = clients
        self._allowance = allowance

    async def run(self, turn: Turn) -> None:
        """One whole turn. Ends normally whatever happens; it is cancelled through `Turn.cancel` alone."""
        turn.begun = True
        ending = self._cut_off(turn) if turn.cancelled else await self._ask(turn)
        turn.ending = True
        if turn.lost:
            turn.abandon()
            return
        turn.finish_text()
        await self._end(turn, ending)

    async def _ask(self, turn: Turn) -> Ending:
        try:
            return await self._answer(turn)
        except AgentError as exc:
            if exc.code == "empty_answer" and turn.answer.continued:
                return self._nothing_more(turn, exc)
            return self._failed(turn, exc)
        except asyncio.CancelledError:
            _forget_cancellation()
            return self._cut_off(turn)
        except Exception:
            error_id = new_id()
            log.exception("turn %s failed, error %s", turn.answer.public_id, error_id)
            return self._ending(turn, State.FAILED, "internal", error_id)

    async def _answer(self, turn: Turn) -> Ending:
        """The whole answer: one call to the agent, and others while its length cuts it off."""
        request = turn.spec.request
        while True:
            await self._call(turn, request)
            ending = self._ending(turn, State.COMPLETED)
            if not self._goes_on(turn):
                return ending
            turn.answer.continued += 1
            if not await self._store.end(turn, self._writer(turn, ending)):
                turn.lost = True
                return ending
            turn.spent.append(ending.usage)
            request = continuation(turn.spec.request, turn.received, turn.done or Done())
            turn.begin_call()

    async def _call(self, turn: Turn, request: AgentRequest) -> None:
        spec = turn.spec
        # The first call's time is limited by its client; what follows shares the turn's.
        left = settings.LIMIT_TURN - (time.monotonic() - turn.started) if turn.answer.continued else None
        ticket = Ticket(key_of(spec.agent), str(spec.user_pk), spec.rules.allowance)
        place = self._allowance.place(ticket, turn.show_place, settings.LIMIT_TURN)
        try:
            async with asyncio.timeout(left), place:
                turn.begin_call()  # waiting is no part of it
                async with aclosing(self._clients.client_of(turn).stream(request)) as stream:
                    async for batch in stream:
                        turn.take(batch)
                        self._store.touch(turn)
        except TimeoutError:
            raise AgentError("too_long") from None

    def _goes_on(self, turn: Turn) -> bool:
        if turn.done is None or turn.done.stop_reason != LENGTH or turn.first_delta_ms is None:
            return False
        return (
            turn.answer.continued < turn.spec.rules.continue_times
            and len(turn.received.encode()) < settings.LIMIT_ANSWER_BYTES
            and time.monotonic() - turn.started < settings.LIMIT_TURN
        )

    def _writer(self, turn: Turn, call: Ending) -> Callable[[], bool]:
        spec = turn.spec
        return lambda: write_call(
            turn.answer, call, owner=self._worker_id, thread_id=spec.thread_id,
            user=(spec.user_pk, spec.username), kind=spec.agent.kind,
        )  # fmt: skip

    def _nothing_more(self, turn: Turn, exc: AgentError) -> Ending:
        """An agent that was asked to go on and has no more to say has answered."""
        ending = self._ending(turn, State.COMPLETED)
        ending.usage, ending.stop_reason, ending.upstream_conversation = exc.usage, LENGTH, ""
        return ending

    def _cut_off(self, turn: Turn) -> Ending:
        if turn.stopping:
            return self._ending(turn, State.STOPPED)
        return self._ending(turn, State.INTERRUPTED, "interrupted_shutdown")

    def _failed(self, turn: Turn, exc: AgentError) -> Ending:
        error_id = new_id()
        log.warning(
            "turn %s: agent %s: %s status=%s error %s",
            turn.answer.public_id, turn.answer.agent_id, exc, exc.status, error_id,
        )  # fmt: skip
        state = State.INTERRUPTED if exc.code in INTERRUPTING else State.FAILED
        ending = self._ending(turn, state, exc.code, error_id)
        ending.error_params = dict(exc.params)
        if exc.retry_after is not None:
            ending.error_params["retry_after"] = int(min(exc.retry_after, 86_400))
        ending.usage = exc.usage
        return ending

    def _ending(self, turn: Turn, state: State, code: str = "", error_id: str = "") -> Ending:
        # An agent that remembers nothing ends without an id: it is told the branch every time.
        done = turn.done or Done(conversation_id=turn.spec.request.conversation_id)
        return Ending(
            state=state,
            error_code=code,
            error_id=error_id or (new_id() if code else ""),
            usage=done.usage,
            stop_reason=done.stop_reason or "",
            upstream_conversation=done.conversation_id or "",
            upstream_message=done.message_id or "",
            first_delta_ms=turn.first_delta_ms,
            duration_ms=int((time.monotonic() - turn.started) * 1000),
            call_started_at=turn.call_started_at,
            call_ms=int((time.monotonic() - turn.call_started) * 1000),
        )

    async def _end(self, turn: Turn, ending: Ending) -> None:
        """Write the end, then announce it: nothing is shown as ended that is not in the rows."""
        turn.answer.text = turn.text
        turn.answer.seq = turn.seq + 1
        unread = not self._hub.watched(thread_topic(turn.spec.thread_id))

        def write() -> bool:
            spec = turn.spec
            return write_ending(
                turn.answer, ending, owner=self._worker_id, thread_id=spec.thread_id,
                user=(spec.user_pk, spec.username), kind=spec.agent.kind, unread=unread,
            )  # fmt: skip

        try:
            written = await self._store.end(turn, write)
        except UNWRITABLE:
            log.exception("the end of turn %s cannot be written as it is", turn.answer.public_id)
            ending = self._ending(turn, State.FAILED, "internal")
            ending.usage = None
            turn.answer.sources = []
            written = await self._store.end(turn, write)
        if written:
            metrics.TURNS.labels(str(ending.state), ending.error_code).inc()
            self._announce(turn, ending, unread)

    def _announce(self, turn: Turn, ending: Ending, unread: bool) -> None:
        ending.apply_to(turn.answer)
        turn.counts = _sum([*turn.spent, ending.usage])
        turn.publish(events.item_done(turn.item()))
        spec = turn.spec
        entry = {
            "id": spec.thread_id,
            "state": "idle",
            "unread": unread,
            "updated_at": ending.ended_at.isoformat(),
            "outcome": str(ending.state),
        }
        self._hub.publish(feed_topic(spec.user_pk), 0, frames.feed("finished", entry))


def _sum(calls: list[Usage | None]) -> Counts | None:
    """What the calls of one answer used together, as the ledger will add it up."""
    found: Counts | None = None
    for usage in calls:
        if usage is not None:
            user, enrichment, output = found or (None, None, None)
            found = (
                plus(user, usage.user), plus(enrichment, usage.enrichment), plus(output, usage.output)
            )  # fmt: skip
    return found


def _forget_cancellation() -> None:
    """The end of a stopped turn is written by the very task that was cancelled."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()


__all__ = ["INTERRUPTING", "Clients", "Runner"]
