"""Values kept in memory, bounded by the bytes they take: the one cache of the process's drawn texts.

What it must not do: know what it keeps, or for how long that is true. Whoever asks looks first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

V = TypeVar("V")


class Kept(Generic[V]):
    """Values by key; what was not used longest goes first. Safe to use from threads."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.size = max_bytes, 0
        self._values: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable) -> V | None:
        """What is kept under `key`, now the most recently used; None for nothing."""
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            self._values.move_to_end(key)
            return found[0]

    def put(self, key: Hashable, value: V, size: int) -> None:
        """Keep `value`, which takes `size` bytes, in place of what was there; not if it is too large."""
        with self._lock:
            _, before = self._values.pop(key, (None, 0))
            self.size -= before
            if size > self.max_bytes:
                return
            self._values[key] = (value, size)
            self.size += size
            while self.size > self.max_bytes:
                self.size -= self._values.popitem(last=False)[1][1]
