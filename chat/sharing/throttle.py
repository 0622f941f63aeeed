"""Counts wrong tries by coarse network, so that guessing is slow. In memory, bounded, per process.

Nobody's account is locked: what is refused is a network's next try at addresses, for a minute. What
it must not do: keep anything about people, or grow with the number of those who try.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

#: Keys that are remembered at once.
KEYS = 10_000


class Throttle:
    """At most `limit` tries of one key in `seconds`. Safe to use from threads."""

    def __init__(self, limit: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit, self.seconds = limit, seconds
        self._clock = clock
        self._tries: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._lock = Lock()

    def note(self, key: str) -> None:
        """One more wrong try."""
        now = self._clock()
        with self._lock:
            since, count = self._tries.pop(key, (now, 0))
            if now - since >= self.seconds:
                since, count = now, 0
            self._tries[key] = (since, count + 1)
            if len(self._tries) > KEYS:
                self._tries.popitem(last=False)

    def over(self, key: str) -> bool:
        """True when the next try of `key` is to be refused."""
        with self._lock:
            since, count = self._tries.get(key, (0.0, 0))
            return count >= self.limit and self._clock() - since < self.seconds
