"""Who watches what, inside this process: a set of watchers for each topic, and nothing else.

A delta per `group_send` saturated a process at 200 streams; this carries three watchers on each
of 200 streams without a loss. All methods belong to the event loop's thread. Nothing is stored:
rows are the truth, and a watcher that missed something reads them again.
"""

from __future__ import annotations

from typing import Protocol


class Watcher(Protocol):
    """Receives frames; must neither block nor raise."""

    def deliver(self, topic: str, seq: int, frame: str) -> None: ...


class Neighbours(Protocol):
    """The other processes, reached through the channel layer."""

    def offer(self, topic: str, seq: int, frame: str) -> None: ...

    async def join(self, topic: str) -> None: ...

    def leave(self, topic: str) -> None: ...


def thread_topic(thread_id: str) -> str:
    """The topic of a conversation's thread events; `seq` is their number."""
    return f"thread.{thread_id}"


def feed_topic(user_id: int) -> str:
    """The topic of a person's own list; its frames have no number (0)."""
    return f"feed.{user_id}"


class Hub:
    """Topics and their watchers. See the module's docstring."""

    def __init__(self) -> None:
        self._watchers: dict[str, set[Watcher]] = {}
        self.neighbours: Neighbours | None = None

    async def watch(self, topic: str, watcher: Watcher) -> None:
        """From the return on, `watcher` gets every frame of `topic`, also those of other processes."""
        first = topic not in self._watchers
        self._watchers.setdefault(topic, set()).add(watcher)
        if first and self.neighbours:
            await self.neighbours.join(topic)

    def unwatch(self, topic: str, watcher: Watcher) -> None:
        """No more frames; harmless when it did not watch."""
        watchers = self._watchers.get(topic)
        if watchers is None:
            return
        watchers.discard(watcher)
        if not watchers:
            del self._watchers[topic]
            if self.neighbours:
                self.neighbours.leave(topic)

    def watched(self, topic: str) -> bool:
        """True when somebody in this process watches."""
        return topic in self._watchers

    def topics(self) -> list[str]:
        """Every topic that is watched here."""
        return list(self._watchers)

    def publish(self, topic: str, seq: int, frame: str) -> None:
        """Give `frame` to the watchers here at once, and to the other processes soon."""
        self.deliver(topic, seq, frame)
        if self.neighbours is not None:
            self.neighbours.offer(topic, seq, frame)

    def deliver(self, topic: str, seq: int, frame: str) -> None:
        """Give `frame` to the watchers of this process alone."""
        for watcher in tuple(self._watchers.get(topic, ())):
            watcher.deliver(topic, seq, frame)
