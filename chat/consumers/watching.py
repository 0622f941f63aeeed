"""One subscription: join, then read, then follow, with no gap and no repeat.

While the rows are read, frames are held back; those the snapshot already contains are dropped. A
gap in the numbers afterwards (another process's frames may be lost) has the rows read again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chat.models import Conversation
from chat.models.branches import PAGE, read_branch
from chat.protocol import frames
from chat.protocol.items import Item
from chat.turns import items, runtime


@dataclass(frozen=True, slots=True)
class Reading:
    """What the rows said of the conversation with the key `conversation_pk`."""

    conversation_pk: int
    seq: int
    items: list[Item]
    complete: bool


def read(conversation: Conversation, after: int | None) -> Reading:
    """The shown branch, or what changed of it after the number `after`. Blocks."""
    if after is not None and after < conversation.branch_seq:
        after = None
    branch = read_branch(conversation, after_seq=after)
    seq = max([conversation.seq, *(message.seq for message in branch.messages)])
    number_unknown = after is not None and after > seq  # of a process that died before it saved
    too_much = after is not None and branch.earlier and len(branch.messages) == PAGE  # a hole before it
    if number_unknown or too_much:
        return read(conversation, None)
    return Reading(conversation.pk, seq, items.of_branch(conversation, branch), complete=after is None)


def remember(user_pk: int, thread_id: str, after: int | None) -> Reading | None:
    """The same without the rows, where a turn that runs here knows all of it; else None."""
    turn = runtime.current().turn_of(thread_id, user_pk)
    found = turn.since(after) if turn is not None else None
    if turn is None or found is None:
        return None
    return Reading(turn.spec.conversation_pk, turn.seq, found, complete=after is None)


class Watching:
    """A watcher of one conversation on one socket."""

    __slots__ = ("_held", "_on_gap", "_put", "conversation_pk", "seq", "thread_id")

    def __init__(self, thread_id: str, put: Callable[[str], None], on_gap: Callable[[], None]) -> None:
        self.conversation_pk = 0
        self.thread_id = thread_id
        self.seq = -1
        self._put = put
        self._on_gap = on_gap
        self._held: list[tuple[int, str]] | None = []

    def hold(self) -> None:
        """Keep frames back until the next snapshot."""
        if self._held is None:
            self._held = []

    def deliver(self, topic: str, seq: int, frame: str) -> None:
        """A frame of this conversation; part of the hub's Watcher."""
        if self._held is not None:
            self._held.append((seq, frame))
        elif seq == self.seq + 1:
            self.seq = seq
            self._put(frame)
        elif seq > self.seq:
            self.hold()
            self._on_gap()

    def show(self, reading: Reading) -> None:
        """Send the snapshot, the running turn's memory laid over the rows, and go on from there."""
        self.conversation_pk = reading.conversation_pk
        seq, shown = reading.seq, reading.items
        turn = runtime.current().turns.get(self.conversation_pk)
        if turn is not None and turn.seq >= seq:
            live = turn.snapshot()
            ids = {item["id"] for item in live}
            seq, shown = turn.seq, [*(item for item in shown if item["id"] not in ids), *live]
        self._put(frames.snapshot(self.thread_id, seq, shown, complete=reading.complete))
        self.seq = seq
        held, self._held = self._held or [], None
        for number, frame in held:
            self.deliver("", number, frame)
