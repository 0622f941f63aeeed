"""Places of an allowance: who may begin now, and who waits where.

Fair, a person at a time: everybody's first waiting question comes before anybody's second. Nothing
here waits.
"""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from chat.agents import AgentConfig
from chat.models import new_id

#: Seconds of the window that requests are counted in.
WINDOW = 60.0
#: Seconds for which a refused credential's queue pauses at most: who asks for more is not waited for.
LONGEST_PAUSE = 120.0
#: Seconds an answer takes, as long as nobody has seen one.
USUAL_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Rule:
    """What a credential may do; None is no limit."""

    per_minute: int | None = None
    at_once: int | None = None

    @property
    def limits(self) -> bool:
        return self.per_minute is not None or self.at_once is not None


@dataclass(frozen=True, slots=True)
class Place:
    """Where one waits: how many are before, and about how many seconds it takes."""

    before: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Ticket:
    """One question's wish to begin. `key` names the credential."""

    key: str
    person: str
    rule: Rule
    id: str = field(default_factory=new_id)


def key_of(config: AgentConfig) -> str:
    """The name of a credential, from which it cannot be read."""
    parts = (config.kind, config.base_url, config.client_id, config.client_secret)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


class Places(Protocol):
    """Where places are held. Methods may block for a moment, and may be called from any thread."""

    def ask(self, ticket: Ticket) -> Place | None:
        """Joins the queue, or asks again: None when it may begin now."""
        ...

    def renew(self, ticket: Ticket) -> None:
        """It still runs."""
        ...

    def leave(self, ticket: Ticket, seconds: float | None = None) -> None:
        """It ended after `seconds`, or waits no longer."""
        ...

    def pause(self, key: str, seconds: float) -> None:
        """Nobody with this credential begins within the next `seconds`."""
        ...


class MemoryPlaces:
    """Places of one process. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._books: dict[str, _Book] = {}

    def ask(self, ticket: Ticket) -> Place | None:
        with self._lock:
            return self._books.setdefault(ticket.key, _Book()).ask(ticket, self._clock())

    def renew(self, ticket: Ticket) -> None:
        """Nothing to do: they end with the process."""

    def leave(self, ticket: Ticket, seconds: float | None = None) -> None:
        with self._lock:
            book = self._books.get(ticket.key)
            if book is not None:
                book.leave(ticket, seconds)

    def pause(self, key: str, seconds: float) -> None:
        with self._lock:
            book = self._books.setdefault(key, _Book())
            book.paused = max(book.paused, self._clock() + seconds)


class _Book:
    """One credential's places. `places_redis` says the same in Lua."""

    def __init__(self) -> None:
        self.waiting: dict[str, tuple[int, int]] = {}
        self.rounds: dict[str, int] = {}
        self.running: set[str] = set()
        self.starts: list[float] = []
        self.round = 0
        self.arrivals = 0
        self.usual = USUAL_SECONDS
        self.paused = -math.inf

    def ask(self, ticket: Ticket, now: float) -> Place | None:
        self.starts = [start for start in self.starts if start > now - WINDOW]
        if ticket.id not in self.waiting:
            self.arrivals += 1
            self.rounds[ticket.person] = max(self.round, self.rounds.get(ticket.person, -1)) + 1
            self.waiting[ticket.id] = (self.rounds[ticket.person], self.arrivals)
        mine = self.waiting[ticket.id]
        before = sum(other < mine for other in self.waiting.values())
        rule = ticket.rule
        room = rule.per_minute is None or len(self.starts) + before < rule.per_minute
        free = rule.at_once is None or len(self.running) + before < rule.at_once
        if room and free and self.paused <= now:
            self.round = max(self.round, mine[0] - 1)
            del self.waiting[ticket.id]
            self.running.add(ticket.id)
            self.starts.append(now)
            if not self.waiting:
                self.rounds.clear()
                self.round = 0
            return None
        started = len(self.starts)
        over = over_of(rule, before, started)
        # A request that has not begun yet is taken to begin now.
        index = over % (rule.per_minute or 1)
        frees = (self.starts[index] if index < started else now) + WINDOW - now
        seconds = estimate(rule, before, started, frees, len(self.running), self.usual)
        return Place(before, max(seconds, math.ceil(self.paused - now) if self.paused > now else 0))

    def leave(self, ticket: Ticket, seconds: float | None) -> None:
        self.waiting.pop(ticket.id, None)
        if ticket.id in self.running:
            self.running.discard(ticket.id)
            if seconds is not None:
                self.usual += (seconds - self.usual) / 5


def over_of(rule: Rule, before: int, started: int) -> int:
    """How many of the window's requests too many there are for who has `before` others before."""
    return -1 if rule.per_minute is None else started + before - rule.per_minute


def estimate(rule: Rule, before: int, started: int, frees: float, running: int, usual: float) -> int:
    """About how many seconds one waits who has `before` others before; at least 1.

    `started` requests are in the window, and the one whose place is taken over leaves it in `frees`
    seconds; `running` answers take `usual` seconds each.
    """
    wait = 0.0
    over = over_of(rule, before, started)
    if rule.per_minute is not None and over >= 0:
        wait = frees + WINDOW * (over // rule.per_minute)
    if rule.at_once is not None and running + before >= rule.at_once:
        wait = max(wait, usual * ((running + before) // rule.at_once))
    return max(1, round(wait))
