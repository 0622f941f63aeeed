"""Runs one turn: asks the agent, shows and saves what comes, writes the end, then says so.

The one place with a broad `except`: whatever goes wrong in a turn ends that turn with a code and
keeps its text. It never asks the same thing a second time once text has arrived; an answer that was
cut by its length it may have continued, as the agent's administrator decided.
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import Protocol

from django.conf import settings

from chat import metrics
from chat.agents import AgentClient, AgentError, AgentEvent, AgentRequest, Done
from chat.agents.continuing import LENGTH, continuation
from chat.agents.trimming import shorter
from chat.files.handing import Recipient, with_files
from chat.limits import longest_wait
from chat.models import LedgerEntry, PendingCall, State, new_id
from chat.protocol import events, frames
from chat.turns.allowance import Allowance
from chat.turns.endings import Ending, entries_of, write_call, write_ending
from chat.turns.entries import estimate
from chat.turns.hub import Hub, feed_topic, thread_topic
from chat.turns.items import usage_json
from chat.turns.places import Ticket, key_of
from chat.turns.store import UNWRITABLE, Store, Write
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
        if turn.early is not None:
            await self._settle(turn, ending)
            return
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
        """The whole answer: one call to the agent, a shorter one where that was refused as too long, and
        others while its length cuts it off."""
        spec = turn.spec
        turn.request = spec.request = request = await with_files(
            spec.request, Recipient(turn.answer.agent_id or 0, spec.agent), settings.LIMIT_TURN
        )
        shortened = False
        while True:
            try:
                await self._call(turn, request)
            except AgentError as exc:
                less = None if shortened or turn.answer.continued else shorter(request, exc.params)
                if exc.code != "prompt_too_long" or less is None:
                    raise
                shortened, refused = True, self._failed(turn, exc)
                turn.answer.trimmed += less[1]
                if not await self._goes_into_ledger(turn, refused):
                    return refused
                turn.request = spec.request = request = less[0]
                continue
            ending = self._ending(turn, State.COMPLETED)
            if not self._goes_on(turn):
                return ending
            turn.answer.continued += 1
            if not await self._goes_into_ledger(turn, ending):
                return ending
            turn.call_text = len(turn.received)
            turn.request = request = continuation(turn.spec.request, turn.received, turn.done or Done())
            turn.begin_call()

    async def _goes_into_ledger(self, turn: Turn, call: Ending) -> bool:
        """Enter one call of an answer that goes on; False when its row is another's now."""
        if not await self._store.end(turn, self._writer(turn, call)):
            turn.lost = True
            return False
        turn.spent.append(call.usage)
        return True

    async def _call(self, turn: Turn, request: AgentRequest) -> None:
        spec = turn.spec
        # The first call's time is limited by its client; what follows shares the turn's.
        left = settings.LIMIT_TURN - (time.monotonic() - turn.started) if turn.answer.continued else None
        ticket = Ticket(key_of(spec.agent), str(spec.user_pk), spec.rules.allowance)
        place = self._allowance.place(ticket, turn.show_place, longest_wait(spec.agent.kind))
        try:
            async with asyncio.timeout(left), place:
                client = self._clients.client_of(turn)
                turn.begin_call()  # waiting is no part of it
                await client.answer(request, partial(self._take, turn))
        except TimeoutError:
            raise AgentError("too_long") from None

    def _take(self, turn: Turn, batch: list[AgentEvent]) -> None:
        if turn.early is not None:
            turn.take_end(batch)
        else:
            turn.take(batch)
            self._store.touch(turn)

    def _goes_on(self, turn: Turn) -> bool:
        if turn.done is None or turn.done.stop_reason != LENGTH or turn.first_delta_ms is None:
            return False
        if turn.stopping or turn.answer.tool_calls:
            return False
        return (
            turn.answer.continued < turn.spec.rules.continue_times
            and len(turn.received.encode()) < settings.LIMIT_ANSWER_BYTES
            and time.monotonic() - turn.started < settings.LIMIT_TURN
        )

    def _writer(self, turn: Turn, call: Ending) -> Write:
        spec = turn.spec
        return lambda ledger: write_call(
            turn.answer, call, owner=self._worker_id, thread_id=spec.thread_id,
            user=(spec.user_pk, spec.username), agent=spec.agent, ledger=ledger,
        )  # fmt: skip

    def _nothing_more(self, turn: Turn, exc: AgentError) -> Ending:
        """An agent that was asked to go on and has no more to say has answered."""
        ending = self._ending(turn, State.COMPLETED)
        ending.usage, ending.stop_reason, ending.upstream_conversation = exc.usage, LENGTH, ""
        return ending

    def _cut_off(self, turn: Turn) -> Ending:
        if turn.stopping:
            ending = self._ending(turn, State.STOPPED)
        else:
            ending = self._ending(turn, State.INTERRUPTED, "interrupted_shutdown")
        self._estimate(turn, ending)
        return ending

    def _estimate(self, turn: Turn, ending: Ending) -> None:
        if ending.attempts and ending.usage is None:
            text = turn.received[turn.call_text :]
            ending.usage, ending.estimated = estimate(turn.request, text, turn.answer.reasoning), True

    def _failed(self, turn: Turn, exc: AgentError) -> Ending:
        error_id = new_id()
        log.warning(
            "turn %s: agent %s: %s status=%s error %s",
            turn.answer.public_id, turn.answer.agent_id, exc, exc.status, error_id,
        )  # fmt: skip
        state = State.INTERRUPTED if exc.code in INTERRUPTING else State.FAILED
        if exc.family == "setup" and exc.status is None:
            turn.request.attempts.clear()  # it was seen before anything was sent
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
            attempts=tuple(turn.request.attempts),
            purpose=LedgerEntry.Purpose.CONTINUED if turn.answer.continued else turn.spec.purpose,
            retry_of="" if turn.answer.continued else turn.spec.retry_of,
        )

    # -- a stopped call that is read to its end ----------------------------------------------------

    def drain(self, turn: Turn) -> bool:
        """End a stopped answer now and its call when the agent has told its tokens, or the time for that
        is over; False when there is no call to read. On the loop's thread."""
        if not turn.spec.rules.drain or not turn.request.attempts or turn.done is not None or turn.ending:
            return False
        ending = self._cut_off(turn)
        turn.finish_text()
        turn.early = asyncio.create_task(self._end(turn, ending, early=True))
        asyncio.get_running_loop().call_later(settings.LIMIT_DRAIN, turn.cancel)
        return True

    async def _settle(self, turn: Turn, ended: Ending) -> None:
        """Enter the call of an answer that was ended early, unless another process did."""
        assert turn.early is not None
        await asyncio.wait([turn.early])
        if turn.early.exception() is not None or not turn.early.result():
            return
        call, spec, message_id = self._ending(turn, State.STOPPED), turn.spec, turn.answer.public_id
        call.usage = call.usage or ended.usage
        call.estimated = ended.estimated and call.usage is ended.usage
        self._estimate(turn, call)
        user = (spec.user_pk, spec.username)

        def write(ledger: list[LedgerEntry]) -> bool:
            if not PendingCall.objects.filter(message_id=message_id, owner=self._worker_id).delete()[0]:
                return False
            ledger += entries_of(turn.answer, call, thread_id=spec.thread_id, user=user, agent=spec.agent)
            return True

        if await self._store.end(turn, write):
            self._announce_settled(turn, call)

    def _announce_settled(self, turn: Turn, call: Ending) -> None:
        """Open pages show what we estimated of the stopped answer. Its number is over, others may have
        followed: this goes by the feed, which needs none."""
        turn.take_counts(call.usage, estimated=call.estimated)
        told = {
            "id": turn.spec.thread_id,
            "answer": turn.answer.public_id,
            "usage": usage_json(turn.counts),
            "estimated": turn.estimated,
        }
        self._hub.publish(feed_topic(turn.spec.user_pk), 0, frames.feed("settled", told))

    async def _end(self, turn: Turn, ending: Ending, *, early: bool = False) -> bool:
        """Write the end, then announce it: nothing is shown as ended that is not in the rows. False when
        the row was another's. `early`: its call is put by until it was read to its end."""
        turn.answer.text = turn.text
        turn.answer.seq = turn.seq + 1 + len(turn.answer.tool_calls)
        unread = not self._hub.watched(thread_topic(turn.spec.thread_id))

        def write(ledger: list[LedgerEntry]) -> bool:
            spec = turn.spec
            found: list[LedgerEntry] = []
            written = write_ending(
                turn.answer, ending, owner=self._worker_id, thread_id=spec.thread_id,
                user=(spec.user_pk, spec.username), agent=spec.agent, unread=unread, ledger=found,
            )  # fmt: skip
            if early and found:
                PendingCall.of(turn.answer.public_id, self._worker_id, found).save(force_insert=True)
            else:
                ledger += found
            return written

        try:
            written = await self._store.end(turn, write)
        except UNWRITABLE:
            log.exception("the end of turn %s cannot be written as it is", turn.answer.public_id)
            ending = self._ending(turn, State.FAILED, "internal")
            ending.usage = None
            turn.answer.sources, turn.answer.tool_calls = [], []
            turn.answer.seq = turn.seq + 1
            written = await self._store.end(turn, write)
        if written:
            metrics.TURNS.labels(str(ending.state), ending.error_code).inc()
            self._announce(turn, ending, unread)
        return written

    def _announce(self, turn: Turn, ending: Ending, unread: bool) -> None:
        ending.apply_to(turn.answer)
        turn.take_counts(ending.usage, estimated=ending.estimated)
        for item in (turn.item(), *turn.calls()):
            turn.publish(events.item_done(item))
        spec = turn.spec
        entry = {
            "id": spec.thread_id,
            "state": "idle",
            "unread": unread,
            "updated_at": ending.ended_at.isoformat(),
            "outcome": str(ending.state),
        }
        self._hub.publish(feed_topic(spec.user_pk), 0, frames.feed("finished", entry))


def _forget_cancellation() -> None:
    """The end of a stopped turn is written by the very task that was cancelled."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()


__all__ = ["INTERRUPTING", "Clients", "Runner"]
