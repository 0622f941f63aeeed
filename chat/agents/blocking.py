"""One-shot and batch calls for commands and scripts, in threads, with requests.

The stream is used underneath, since a gateway cuts a blocking request at about two minutes. The
rules are those of `streaming`: same limits, same codes, same retries.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, cast

from .continuing import GoesOn, in_calls, never
from .demo import DemoClient
from .errors import AgentError
from .handlers import HandlerError, ResultHandler, apply, raw
from .http import Vet
from .reading import BlockingCall, read_answer
from .retry import RetryPolicy
from .values import (
    AgentConfig,
    AgentEvent,
    AgentRequest,
    Done,
    Limits,
    ReasoningDelta,
    Source,
    SourcesFound,
    TextDelta,
    ToolCall,
    ToolsCalled,
    Usage,
)


class Status(StrEnum):
    """How a call ended."""

    SUCCESS = "SUCCESS"
    ERROR = "ERROR"
    TIMEOUT = "TIMEOUT"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class AgentResponse:
    """A whole answer, or what there is of it.

    `text` is kept however it ended; `result` is what the handler made of it, None unless SUCCESS.
    `usage` None is "not reported".
    """

    request: AgentRequest
    status: Status
    text: str = ""
    result: Any = None
    reasoning: str = ""
    stop_reason: str | None = None
    usage: Usage | None = None
    conversation_id: str | None = None
    message_id: str | None = None
    sources: tuple[Source, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    continued: int = 0
    error: AgentError | HandlerError | None = None


class Cancellation:
    """Ends calls from another thread: at once when the answer has begun, else when it would begin."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._wake: set[Callable[[], None]] = set()

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()

    def cancel(self) -> None:
        """Calls that run end with what they have; those that wait do not begin."""
        with self._lock:
            self._event.set()
            wake = list(self._wake)
        for call in wake:
            call()

    def sleep(self, seconds: float) -> bool:
        """Waits; True when it was cut short."""
        return self._event.wait(seconds)

    def add(self, wake: Callable[[], None]) -> None:
        with self._lock:
            self._wake.add(wake)
            late = self._event.is_set()
        if late:
            wake()

    def remove(self, wake: Callable[[], None]) -> None:
        with self._lock:
            self._wake.discard(wake)


# Told after each response: how many are done, of how many, the index of this one, and itself.
Progress = Callable[[int, int, int, AgentResponse], None]


class BlockingClient:
    """Talks to one agent from threads. Safe to share between them."""

    def __init__(
        self,
        config: AgentConfig,
        limits: Limits | None = None,
        *,
        policy: RetryPolicy | None = None,
        vet: Vet | None = None,
        goes_on: GoesOn = never,
    ) -> None:
        self._vet = vet
        self._goes_on = goes_on
        self._config = config
        self._limits = limits or Limits()
        self._policy = policy or RetryPolicy()

    def stream(
        self, request: AgentRequest, cancellation: Cancellation | None = None
    ) -> Iterator[list[AgentEvent]]:
        """The events of one answer, those of each network read in one list.

        Ends after one `Done`; raises AgentError; just ends when it was cancelled. All calls of an
        answer that goes on share the time of one.
        """
        ended = cancellation or Cancellation()
        return in_calls(
            request, lambda asked, limits: self.call(asked, ended, limits), self._limits, self._goes_on
        )

    def call(
        self, request: AgentRequest, cancellation: Cancellation, limits: Limits
    ) -> Iterator[list[AgentEvent]]:
        """The events of one call to the agent, as `stream` gives them."""
        if self._config.kind == "demo":
            yield from self._stream_demo(request, cancellation)
        else:
            call = BlockingCall(self._config, limits, self._policy, cancellation, self._vet)
            yield from read_answer(call, request)

    def _stream_demo(self, request: AgentRequest, cancellation: Cancellation) -> Iterator[list[AgentEvent]]:
        with asyncio.Runner() as runner:
            answer = DemoClient(self._config, self._limits).stream(request)
            loop = runner.get_loop()
            try:
                while not cancellation.cancelled:
                    events = loop.run_until_complete(_next(answer, cancellation))
                    if not events:
                        return
                    yield events
            finally:
                loop.run_until_complete(answer.aclose())

    def chat(
        self,
        request: AgentRequest,
        handler: ResultHandler = raw,
        cancellation: Cancellation | None = None,
    ) -> AgentResponse:
        """One whole answer. What goes wrong with the agent or the handler is in the response."""
        answer = _Collected()
        error: AgentError | None = None
        try:
            # An interrupt, too, ends the stream here and not when somebody collects it.
            with closing(
                cast(Generator[list[AgentEvent], None, None], self.stream(request, cancellation))
            ) as stream:
                for events in stream:
                    answer.add(events)
        except AgentError as failure:
            error = failure
        return answer.response(request, error, handler)

    def chat_many(
        self,
        requests: Sequence[AgentRequest],
        handler: ResultHandler = raw,
        *,
        workers: int = 8,
        on_progress: Progress | None = None,
        cancellation: Cancellation | None = None,
    ) -> list[AgentResponse]:
        """The responses in the order of `requests`, at most `workers` calls at a time.

        A failure is in its own response and touches no other. `on_progress` is called in this
        thread, so an interrupt loses nothing it was told; what it raises cancels the rest.
        """
        if workers < 1:
            raise ValueError("workers must be at least 1")
        cancellation = cancellation or Cancellation()
        found: list[AgentResponse] = [AgentResponse(r, Status.CANCELLED) for r in requests]
        with ThreadPoolExecutor(workers, thread_name_prefix="agent-batch") as pool:
            running = {pool.submit(self.chat, r, handler, cancellation): n for n, r in enumerate(requests)}
            try:
                for number, future in enumerate(as_completed(running), start=1):
                    index = running[future]
                    found[index] = future.result()
                    if on_progress is not None:
                        on_progress(number, len(found), index, found[index])
            except BaseException:
                cancellation.cancel()
                raise
        return found


async def _next(
    answer: AsyncGenerator[list[AgentEvent], None], cancellation: Cancellation
) -> list[AgentEvent]:
    """The next events; none at the end, or as soon as it is cancelled."""
    events = asyncio.ensure_future(_or_none(answer))
    loop = asyncio.get_running_loop()

    def wake() -> None:
        loop.call_soon_threadsafe(events.cancel)

    cancellation.add(wake)
    try:
        return await events
    except asyncio.CancelledError:
        if cancellation.cancelled:
            return []
        raise
    finally:
        cancellation.remove(wake)


async def _or_none(answer: AsyncGenerator[list[AgentEvent], None]) -> list[AgentEvent]:
    return await anext(answer, [])


class _Collected:
    """The events of one answer, put together."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._reasoning: list[str] = []
        self._sources: dict[str, Source] = {}
        self._calls: tuple[ToolCall, ...] = ()
        self._done: Done | None = None

    def add(self, events: list[AgentEvent]) -> None:
        for event in events:
            match event:
                case TextDelta(text):
                    self._texts.append(text)
                case ReasoningDelta(text):
                    self._reasoning.append(text)
                case SourcesFound(found):
                    self._sources |= {source.id: source for source in found}
                case ToolsCalled(calls):
                    self._calls = calls
                case Done():
                    self._done = event

    def response(
        self, request: AgentRequest, error: AgentError | None, handler: ResultHandler
    ) -> AgentResponse:
        response = AgentResponse(
            request,
            Status.CANCELLED,
            text="".join(self._texts),
            reasoning="".join(self._reasoning),
            sources=tuple(self._sources.values()),
            tool_calls=self._calls,
        )
        if error is not None:
            late = error.family == "timeout" or error.status in (408, 504)
            status = Status.TIMEOUT if late else Status.ERROR
            return replace(response, status=status, usage=error.usage, error=error)
        if self._done is None:
            return response
        response = replace(
            response,
            status=Status.SUCCESS,
            stop_reason=self._done.stop_reason,
            usage=self._done.usage,
            conversation_id=self._done.conversation_id,
            message_id=self._done.message_id,
            continued=self._done.continued,
        )
        try:
            return replace(response, result=apply(handler, response.text))
        except HandlerError as failure:
            return replace(response, status=Status.ERROR, error=failure)
