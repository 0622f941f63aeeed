"""Calling an agent in tests: the whole answer, or how it failed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from chat.agents import (
    AgentConfig,
    AgentError,
    AgentEvent,
    AgentRequest,
    Done,
    HttpSession,
    Limits,
    ReasoningDelta,
    TextDelta,
    connect,
)


class Answer:
    """What came, in order, and the error that ended it."""

    def __init__(self) -> None:
        self.events: list[AgentEvent] = []
        self.reads: list[list[AgentEvent]] = []
        self.error: AgentError | None = None

    @property
    def text(self) -> str:
        return "".join(e.text for e in self.events if isinstance(e, TextDelta))

    @property
    def reasoning(self) -> str:
        return "".join(e.text for e in self.events if isinstance(e, ReasoningDelta))

    @property
    def done(self) -> Done:
        (done,) = [e for e in self.events if isinstance(e, Done)]
        assert self.events[-1] is done
        return done

    @property
    def code(self) -> str | None:
        return self.error.code if self.error else None


async def collect(stream: AsyncGenerator[list[AgentEvent], None]) -> Answer:
    answer = Answer()
    async with aclosing(stream):
        try:
            async for events in stream:
                assert events, "an item without an event"
                answer.reads.append(events)
                answer.events += events
        except AgentError as error:
            answer.error = error
    if answer.error is None:
        assert answer.done
    else:
        assert not any(isinstance(e, Done) for e in answer.events)
    return answer


async def ask(
    http: HttpSession,
    config: AgentConfig,
    prompt: str = "Hi",
    *,
    limits: Limits | None = None,
    **request: object,
) -> Answer:
    return await collect(connect(config, http, limits).stream(AgentRequest(prompt, **request)))  # type: ignore[arg-type]


async def until(condition: Callable[[], object], timeout: float = 5.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        await asyncio.sleep(0.005)
