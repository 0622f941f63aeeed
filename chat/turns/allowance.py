"""A shared allowance: requests a minute and answers at once for one credential, in all processes.

Waits for a place, tells where one waits, and keeps the place as long as the answer lasts. Knows
neither rows nor agents' clients.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from typing import Any

from chat.agents import AgentError
from chat.turns.places import LONGEST_PAUSE, MemoryPlaces, Place, Places, Ticket
from chat.turns.places_redis import RUNNING_LEASE, RedisPlaces

#: Seconds between two looks at whether it is one's turn.
POLL = 0.25

Told = Callable[[Place | None], None]


class Allowance:
    """Waits for a place and keeps it, for coroutines and for threads."""

    def __init__(self, places: Places, *, blocking: bool) -> None:
        self._places = places
        # Memory answers at once. Redis is asked in one thread, so that leaving comes after asking.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="stkweb-allowance") if blocking else None

    def place(self, ticket: Ticket, told: Told, longest: float) -> AbstractAsyncContextManager[None]:
        """A place for as long as the block lasts. `told` is called with where one waits whenever that
        changes, and with None when the waiting is over; not at all when there was none.

        Raises AgentError (busy) after `longest` seconds of waiting.
        """
        return self._held(ticket, told, longest) if ticket.rule.limits else nullcontext()

    @asynccontextmanager
    async def _held(self, ticket: Ticket, told: Told, longest: float) -> AsyncIterator[None]:
        began: float | None = None
        try:
            await self._wait(ticket, told, longest)
            began = time.monotonic()
            renewing = asyncio.create_task(self._keep(ticket))
            try:
                yield
            finally:
                renewing.cancel()
        finally:
            seconds = None if began is None else time.monotonic() - began
            # The one who waits may have been cancelled: leaving is not.
            await asyncio.shield(self._call(self._places.leave, ticket, seconds))

    @contextmanager
    def hold(self, ticket: Ticket, sleep: Callable[[float], object] = time.sleep) -> Iterator[None]:
        """The same for a thread. `sleep` returns a true value to wait no longer: then the block runs
        without a place, and is to end at once."""
        if not ticket.rule.limits:
            yield
            return
        began: float | None = None
        try:
            while self._places.ask(ticket) is not None and not sleep(POLL):
                pass
            began = time.monotonic()
            with self._renewed(ticket):
                yield
        finally:
            self._places.leave(ticket, None if began is None else time.monotonic() - began)

    def pause(self, key: str, seconds: float) -> None:
        """The upstream refused this credential for so long: nobody begins before. Never blocks."""
        if seconds > LONGEST_PAUSE:
            return
        if self._thread is None:
            self._places.pause(key, seconds)
        else:
            self._thread.submit(self._places.pause, key, seconds)

    @contextmanager
    def _renewed(self, ticket: Ticket) -> Iterator[None]:
        over = threading.Event()

        def renew() -> None:
            while not over.wait(RUNNING_LEASE / 3):
                self._places.renew(ticket)

        thread = threading.Thread(target=renew, name="stkweb-renewing", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    async def _wait(self, ticket: Ticket, told: Told, longest: float) -> None:
        known: Place | None = None
        until = time.monotonic() + longest
        while (place := await self._call(self._places.ask, ticket)) is not None:
            if known is None or place.before != known.before or abs(place.seconds - known.seconds) >= 5:
                known = place
                told(place)
            if time.monotonic() > until:
                raise AgentError("busy", detail="no place came free in time")
            await asyncio.sleep(POLL)
        if known is not None:
            told(None)

    async def _keep(self, ticket: Ticket) -> None:
        while True:
            await asyncio.sleep(RUNNING_LEASE / 3)
            await self._call(self._places.renew, ticket)

    async def _call(self, function: Callable[..., Any], *values: Any) -> Any:
        if self._thread is None:
            return function(*values)
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *values)

    def close(self) -> None:
        """Places that were not left end with their leases."""
        if self._thread is not None:
            self._thread.shutdown(wait=True)


def open_allowance(redis_url: str) -> Allowance:
    """In Redis when there is one, else in memory."""
    if redis_url:
        return Allowance(RedisPlaces(redis_url), blocking=True)
    return Allowance(MemoryPlaces(), blocking=False)
