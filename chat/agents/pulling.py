"""An answer that is given, for whoever would rather ask for it: events from a callback, as a generator."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from .values import AgentEvent

#: Takes all events of one network read, at least one; called on the loop, must not block.
Take = Callable[[list[AgentEvent]], None]


async def pulled(
    answer: Callable[[Take], Coroutine[Any, Any, None]],
) -> AsyncGenerator[list[AgentEvent], None]:
    """What `answer` gives to its taker, in order; raises what it raises, behind what came before.

    Nothing begins before the first item is asked for. Closing the generator, or cancelling the task that
    waits for it, cancels `answer` and waits until it is over.
    """
    batches: deque[list[AgentEvent]] = deque()
    news = asyncio.Event()

    def take(events: list[AgentEvent]) -> None:
        batches.append(events)
        news.set()

    task = asyncio.create_task(answer(take))
    task.add_done_callback(lambda _: news.set())
    try:
        while batches or not task.done():
            if batches:
                yield batches.popleft()
            else:
                news.clear()
                await news.wait()
        await task
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # told above, or nobody listens any more
