"""One running turn in memory: what has come, what was shown, what is still to be saved.

It belongs to the event loop's thread and does no I/O: the runner feeds it, the store reads it,
the hub shows it. Everything that is published gets the next number of its conversation.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.conf import settings
from django.utils import timezone

from chat import metrics
from chat.agents import (
    AgentConfig,
    AgentEvent,
    AgentRequest,
    Done,
    ReasoningDelta,
    SourcesFound,
    TextDelta,
    ToolsCalled,
    Usage,
)
from chat.models import LedgerEntry, Message, State
from chat.protocol import events, frames
from chat.protocol.deltas import text_deltas
from chat.protocol.items import Item
from chat.turns import items, storable
from chat.turns.hub import Hub, thread_topic
from chat.turns.places import Place, Rule

#: Frames that may go out at once before the rate of STKWEB_FRAMES_PER_SECOND holds.
BURST = 8
#: Seconds between two frames of reasoning, each of which carries all of it.
REASONING_INTERVAL = 0.25


@dataclass(frozen=True, slots=True)
class Rules:
    """What the agent's administrator decided. `continue_times` is how often at most an answer that
    was cut by its length goes on by itself, `allowance` what its credential may do."""

    continue_times: int = 0
    allowance: Rule = Rule()
    #: A stopped call is read to its end, unseen, for its exact tokens.
    drain: bool = False


@dataclass(slots=True)
class TurnSpec:
    """What a verb hands to the runner. `answer` is the saved row; the runner alone changes it now."""

    answer: Message
    thread_id: str
    conversation_pk: int
    user_pk: int
    username: str
    agent: AgentConfig
    request: AgentRequest
    parent: str | None
    siblings: Sequence[str]
    rules: Rules = Rules()
    #: For the ledger: what the first call is for, and the answer that it tries again.
    purpose: str = LedgerEntry.Purpose.ANSWER
    retry_of: str = ""
    opening: list[tuple[int, str]] = field(default_factory=list)
    #: The question that opened the turn, its number, and whether the two are the whole branch.
    question: Item | None = None
    question_seq: int = 0
    whole_branch: bool = False


class Turn:
    """A turn that runs in this process. `on_shown` is called when text came out without a batch."""

    # A dict for the same cost every running turn 1.3 KB.
    __slots__ = (
        "_came", "_frame_of", "_hub", "_joined", "_rate", "_refilled", "_sign", "_text", "_thought_shown",
        "_thoughts", "_timer", "_tokens", "_topic", "_waiting", "answer", "begun", "call_started",
        "call_started_at", "call_text", "cancelled", "counts", "done", "early", "ending", "estimated",
        "first_delta_ms", "key", "lost", "on_shown", "place", "request", "saved_seq", "seq", "spec", "spent",
        "started", "stopping", "task", "unsaved_bytes",
    )  # fmt: skip

    def __init__(self, spec: TurnSpec, hub: Hub) -> None:
        self.spec = spec
        self.answer = spec.answer
        self.key: int = spec.answer.pk
        self.seq = spec.answer.seq
        self.done: Done | None = None
        #: What the last call asks, and the length of what had come before it.
        self.request = spec.request
        #: Ends the answer of a stopped call that is still read; true when it was ours to end.
        self.early: asyncio.Task[bool] | None = None
        self.call_text = 0
        self.stopping = False
        self.lost = False
        self.begun = False
        self.ending = False
        self.cancelled = False
        #: Whether a call to the agent was made that is not in the ledger yet.
        self.started = time.monotonic()
        self.call_started = self.started
        self.call_started_at = timezone.now()
        self.first_delta_ms: int | None = None
        #: Known at the end; whoever looks between the end and the turn's removal sees it too.
        self.counts: items.Counts | None = None
        self.estimated: int | None = None
        self.spent: list[Usage | None] = []
        self.place: Place | None = None
        self.task: asyncio.Task[None] | None = None
        self.saved_seq = self.seq
        self.unsaved_bytes = 0
        self.on_shown: Callable[[], None] | None = None
        self._hub = hub
        self._topic = thread_topic(spec.thread_id)
        self._frame_of = text_deltas(spec.thread_id, spec.answer.public_id)
        self._came = self._joined = 0
        # As it is stored: one character above U+00FF doubles all others of a string, and a string that SQLite
        # has seen keeps a second copy of itself.
        self._text = bytearray()
        self._waiting: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        self._sign: asyncio.TimerHandle | None = None
        self._rate = settings.LIMIT_FRAMES
        self._tokens = float(BURST)
        self._refilled = self.started
        self._thoughts: list[str] = []
        self._thought_shown = 0.0

    def cancel(self) -> None:
        """End the call to the agent. A task that has not begun finds `cancelled`; one that already
        writes its end is left to it."""
        self.cancelled = True
        if self.begun and not self.ending and self.task is not None:
            self.task.cancel()

    # -- what comes from the agent ---------------------------------------------------------------

    def begin_call(self) -> None:
        """Another call to the agent begins; what came before stays."""
        self.done = None
        self.first_delta_ms = None
        self.call_started, self.call_started_at = time.monotonic(), timezone.now()
        self._sign_later()

    def take_end(self, batch: Sequence[AgentEvent]) -> None:
        """Of a stopped answer nothing is wanted but its end."""
        self.done = next((event for event in batch if isinstance(event, Done)), self.done)

    def take(self, batch: Sequence[AgentEvent]) -> None:
        """Everything that one network read brought; at most one frame of text comes of it."""
        came = 0
        for event in batch:
            if type(event) is TextDelta:
                self._waiting.append(event.text)
                came += 1
            elif isinstance(event, ReasoningDelta):
                self._thoughts.append(storable.text(event.text))
            elif isinstance(event, SourcesFound):
                self._add_sources(event)
            elif isinstance(event, ToolsCalled):
                self.answer.tool_calls = [storable.tool_call(call) for call in event.calls]
            elif isinstance(event, Done):
                self.done = event
        if came:
            self._came += came
            if self.first_delta_ms is None:
                self.first_delta_ms = int((time.monotonic() - self.call_started) * 1000)
        if self._thoughts and not self._waiting and not self._text:
            self._show_reasoning()
        if self._waiting and self._timer is None:
            self._show_or_wait()

    def _add_sources(self, found: SourcesFound) -> None:
        known = {source["id"]: source for source in self.answer.sources}
        for source in found.sources:
            entry = {"id": source.id, "title": source.title, "url": source.url}
            known[source.id] = storable.json_value(entry) or {"id": "", "title": "", "url": None}
        self.answer.sources = list(known.values())

    # -- what goes to the watchers ---------------------------------------------------------------

    def show_place(self, place: Place | None) -> None:
        """It waits for a place of the agent's allowance, or no longer."""
        self.place = place
        self.publish(events.place(self.answer.public_id, _place_json(place)))

    @property
    def waited(self) -> int | None:
        """Seconds since the agent was asked, as long as nothing of the answer has come; else None."""
        if self._text or self.answer.reasoning or self.place or self.ending:
            return None
        return int(time.monotonic() - self.call_started)

    def _sign_later(self) -> None:
        if self._sign is not None:
            self._sign.cancel()
        loop = asyncio.get_running_loop()
        self._sign = loop.call_later(settings.LIMIT_SIGN_OF_LIFE, self._give_sign)

    def _give_sign(self) -> None:
        """A sign of life for those who wait; it ends with the first byte."""
        waited = self.waited
        if waited is not None:
            self.publish(events.waiting(self.answer.public_id, waited))
            self._sign_later()
            if self.on_shown is not None:
                self.on_shown()  # its number is saved too

    def publish(self, event: events.Event) -> None:
        """Number `event` and show it."""
        self.seq += 1
        self._hub.publish(self._topic, self.seq, frames.event(self.spec.thread_id, self.seq, event))

    def _show_or_wait(self) -> None:
        """Show the waiting text now, or when the rate allows it: a burst is joined, not dropped."""
        now = time.monotonic()
        tokens = self._tokens + (now - self._refilled) * self._rate
        self._refilled = now
        if tokens >= 1:
            self._tokens = (tokens if tokens < BURST else BURST) - 1
            self._show_text()
        else:
            self._tokens = tokens
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later((1 - self._tokens) / self._rate, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._show_or_wait()
        if self.on_shown is not None:
            self.on_shown()

    def _show_text(self) -> None:
        if not self._text:
            metrics.FIRST_DELTA_SECONDS.observe(self._elapsed_ms() / 1000)
            self.answer.state = State.STREAMING
            self._end_reasoning()
        waiting = self._waiting
        if len(waiting) == 1:
            delta = waiting[0]
        else:
            self._joined += len(waiting) - 1
            delta = "".join(waiting)
        if not delta.isascii() or "\0" in delta:
            delta = storable.text(delta)
        waiting.clear()
        self._text += delta.encode()
        self.unsaved_bytes += len(delta)
        self.seq += 1
        self._hub.publish(self._topic, self.seq, self._frame_of(self.seq, delta))

    def _show_reasoning(self) -> None:
        now = time.monotonic()
        if now - self._thought_shown < REASONING_INTERVAL:
            return
        first = not self.answer.reasoning
        self._thought_shown = now
        self.answer.state = State.STREAMING
        self._join_thoughts()
        if first:
            self.publish(events.item_added(items.reasoning(self.answer, self.spec.thread_id)))
        else:
            self.publish(events.reasoning_updated(self.answer.public_id, self.answer.reasoning))

    def _join_thoughts(self) -> None:
        text = "".join(self._thoughts)
        self._thoughts.clear()
        self.unsaved_bytes += len(text)
        self.answer.reasoning += text

    def _end_reasoning(self) -> None:
        if self._thoughts or (self.answer.reasoning and self.answer.reasoning_ms is None):
            self._join_thoughts()
            self.answer.reasoning_ms = self._elapsed_ms()
            self.publish(events.item_done(items.reasoning(self.answer, self.spec.thread_id)))

    # -- what is kept ----------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """The text that was published, up to `seq`."""
        return self._text.decode()

    @property
    def encoded(self) -> bytes:
        """The same in UTF-8."""
        return bytes(self._text)

    @property
    def size(self) -> int:
        """Bytes of text and reasoning that a save writes."""
        return len(self._text) + len(self.answer.reasoning)

    @property
    def received(self) -> str:
        """Everything that has come, shown or not."""
        return self.text + storable.text("".join(self._waiting))

    def finish_text(self) -> None:
        """Show what still waits, without regard to the rate; nothing more will come."""
        self.abandon()
        if self._waiting:
            self._show_text()
        self.count()
        self._end_reasoning()

    def count(self) -> None:
        """Add up for /metrics what has come since the last time: once a save, not once a delta."""
        metrics.DELTAS.inc(self._came)
        metrics.FRAMES_JOINED.inc(self._joined)
        self._came = self._joined = 0

    def abandon(self) -> None:
        """Show nothing more by itself: the row is somebody else's now, or the end has come."""
        for timer in (self._timer, self._sign):
            if timer is not None:
                timer.cancel()
        self._timer = self._sign = None

    def snapshot(self) -> list[Item]:
        """The running answer's items at `seq`."""
        found = [items.reasoning(self.answer, self.spec.thread_id)] if self.answer.reasoning else []
        return [*found, self.item(), *self.calls()]

    def visible_to(self, user_pk: int) -> bool:
        """The rule of the rows, for what is only in memory yet: a person's own, not deleted (a deletion
        stops the turn first)."""
        return self.spec.user_pk == user_pk and not self.stopping

    def since(self, after: int | None) -> list[Item] | None:
        """All that changed in the conversation after the number `after`, or all of it for None.

        None where the rows have to be asked: 200 questions at the same instant need not read back at
        once what they just wrote.
        """
        spec = self.spec
        enough = spec.whole_branch if after is None else after >= spec.question_seq - 1
        if spec.question is None or not enough:
            return None
        known = after is not None and after >= spec.question_seq
        return [*([] if known else [spec.question]), *self.snapshot()]

    def take_counts(self, usage: Usage | None, *, estimated: bool) -> None:
        """What is shown of all its calls, as the ledger adds it up; `usage` is the last one's."""
        self.counts = items.counts_of([*self.spent, None if estimated else usage])
        self.estimated = usage.total if estimated and usage else None

    def calls(self) -> list[Item]:
        """The items of the tools it called; they are shown with its end."""
        return [] if self.answer.is_running else items.tool_calls(self.answer, self.spec.thread_id)

    def item(self) -> Item:
        """The answer's item."""
        return items.answer(
            self.answer,
            self.spec.thread_id,
            text=self.text,
            parent=self.spec.parent,
            siblings=self.spec.siblings,
            usage=self.counts,
            estimated=self.estimated,
            place=_place_json(self.place),
            waited=self.waited,
        )

    def _elapsed_ms(self) -> int:
        return int((time.monotonic() - self.started) * 1000)


def _place_json(place: Place | None) -> dict[str, int] | None:
    return {"before": place.before, "seconds": place.seconds} if place else None
