"""Ends the turns of processes that are gone, keeping their text.

Each process raises a counter in its Worker row. The others watch the counters by their own
monotonic clocks: one that has not moved for the lease's length is gone. No wall clock takes part,
so a clock that jumps reaps nobody and makes nobody immortal.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from chat.models import Conversation, LedgerEntry, Message, PendingCall, State, Worker, new_id
from chat.models.messages import RUNNING
from chat.threads import write_transaction
from chat.turns import spending
from chat.turns.endings import REAPED_JUMP, Ending, write_ending

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reaped:
    """A turn that was ended for its owner."""

    answer: Message
    thread_id: str
    user_pk: int


class Reaper:
    """See the module's docstring. All methods block and belong to one thread at a time."""

    def __init__(self, worker_id: str) -> None:
        self._worker_id = worker_id
        self._seen: dict[str, tuple[int, float]] = {}

    def register(self) -> None:
        """Make this process known."""
        Worker.objects.create(public_id=self._worker_id, started_at=timezone.now())

    def unregister(self) -> None:
        """Leave; turns that still run here may be reaped at once."""
        Worker.objects.filter(public_id=self._worker_id).delete()

    def beat(self) -> bool:
        """Show a sign of life; False when the others took this process for gone."""
        return bool(Worker.objects.filter(public_id=self._worker_id).update(beat=F("beat") + 1))

    def reap(self, *, alone: bool = False) -> list[Reaped]:
        """End the turns of every process that is gone; with `alone`, of every process but this one."""
        gone = self._gone(alone)
        if gone:
            Worker.objects.filter(public_id__in=gone).delete()
        living = Worker.objects.values("public_id")
        lost = Message.objects.running().exclude(owner__in=living).exclude(owner=self._worker_id)
        reaped = [found for answer in lost if (found := _interrupt(answer))]
        for call in PendingCall.objects.exclude(owner__in=living).exclude(owner=self._worker_id):
            _enter(call)
        return reaped

    def _gone(self, alone: bool) -> list[str]:
        now = time.monotonic()
        beats = dict(Worker.objects.exclude(public_id=self._worker_id).values_list("public_id", "beat"))
        if alone:
            return list(beats)
        for worker_id, beat in beats.items():
            if self._seen.get(worker_id, (-1, 0.0))[0] != beat:
                self._seen[worker_id] = (beat, now)
        for worker_id in set(self._seen) - set(beats):
            del self._seen[worker_id]
        return [
            worker_id for worker_id, (_, since) in self._seen.items() if now - since >= settings.LIMIT_LEASE
        ]


def _milliseconds(since: timedelta) -> int:
    """When the process died is not known: no turn is longer than a turn may be, however long ago."""
    return int(min(max(since.total_seconds(), 0.0), settings.LIMIT_TURN) * 1000)


def _enter(call: PendingCall) -> None:
    """Enter what was estimated of a call that nobody reads any more."""
    with write_transaction():
        if PendingCall.objects.filter(pk=call.pk).delete()[0]:
            spending.enter(call.taken_up(), [call.message_id])


def _interrupt(answer: Message) -> Reaped | None:
    with write_transaction():
        conversation = Conversation.objects.select_for_update().get(pk=answer.conversation_id)
        row = Message.objects.select_for_update().filter(pk=answer.pk, state__in=RUNNING).first()
        if row is None:
            return None
        row.seq = max(conversation.seq, row.seq) + REAPED_JUMP
        now = timezone.now()
        ending = Ending(
            state=State.INTERRUPTED,
            error_code="interrupted_restart",
            error_id=new_id(),
            upstream_conversation=row.upstream_conversation,
            duration_ms=_milliseconds(now - row.created_at),
            ended_at=now,
        )
        owner = conversation.owner
        ledger: list[LedgerEntry] = []
        written = write_ending(
            row, ending, owner=row.owner, thread_id=conversation.public_id,
            user=(owner.pk, owner.get_username()), agent=row.agent, unread=True, ledger=ledger,
        )  # fmt: skip
        spending.enter(ledger, [row.public_id])
    if not written:
        return None
    log.warning("turn %s was interrupted: its process is gone, error %s", row.public_id, ending.error_id)
    return Reaped(row, conversation.public_id, owner.pk)
