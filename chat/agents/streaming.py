"""One streamed call: connect, wait, read, retry what may be retried, never outlive a limit.

The same for every agent that speaks HTTP; what differs (address, headers, body) is an `Endpoint`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

import aiohttp
import orjson

from .answer import AnswerReader
from .errors import AgentError
from .http import NETWORK_ERRORS, HttpSession, network_error
from .refusals import BODY_BYTES, refusal_of_response
from .retry import RetryPolicy
from .values import AgentConfig, AgentEvent, AgentRequest, Attempt, Done, Limits

log = logging.getLogger(__name__)

# After a proper end only its token counts and the end of the body can still come.
END_GRACE: Final = 5.0
# An error's body is a courtesy; nobody waits for it long.
ERROR_BODY_SECONDS: Final = 5.0


class Endpoint(Protocol):
    """Where a call goes and how it proves who it is."""

    @property
    def url(self) -> str: ...

    @property
    def renewable(self) -> bool:
        """Whether `headers` may give others after a 401."""
        ...

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not appear in any error."""
        ...

    async def headers(self, refused: Mapping[str, str] | None) -> Mapping[str, str]:
        """Headers with the credential; `refused` are those that were answered with 401."""
        ...

    def headers_blocking(self, refused: Mapping[str, str] | None) -> Mapping[str, str]:
        """As `headers`, for threads."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """Everything one streamed call needs."""

    http: HttpSession
    config: AgentConfig
    limits: Limits
    endpoint: Endpoint
    payload: Mapping[str, Any]
    conversation_id: str | None = None
    cumulative: bool = False
    policy: RetryPolicy = RetryPolicy()
    attempts: list[Attempt] = field(default_factory=list)


class StreamingClient:
    """Streams answers of one agent over HTTP. Safe for any number of streams at once."""

    def __init__(
        self, config: AgentConfig, http: HttpSession, limits: Limits, policy: RetryPolicy | None = None
    ) -> None:
        self._config = config
        self._http = http
        self._limits = limits
        self._policy = policy or RetryPolicy()
        self._open: set[aiohttp.ClientResponse] = set()

    def _call(self, request: AgentRequest) -> Call:
        """What is to be asked, and where. Raises AgentError for what cannot be asked."""
        raise NotImplementedError

    async def stream(self, request: AgentRequest) -> AsyncGenerator[list[AgentEvent], None]:
        """The events of one answer, those of each network read in one list.

        Ends after exactly one `Done`, or raises AgentError; what came before stands. Closing the
        generator closes the upstream connection at once. `Done.conversation_id` is the id to send with
        the next question of the branch; None where the upstream remembers nothing.
        """
        call = self._call(request)
        total_at = time.monotonic() + call.limits.total
        response, first_at = await _open(call, total_at)
        self._open.add(response)
        try:
            reader = AnswerReader(call.limits, cumulative=call.cumulative)
            with closing(_Body(response, reader, call.limits.idle, first_at, total_at)) as body:
                while not reader.closed and (chunk := await body.read()):
                    events = reader.feed(chunk)
                    if reader.text_ended:
                        body.ends_soon()
                    if events:
                        yield events
            events = reader.finish()
            if events and isinstance(events[-1], Done):
                ours, theirs = call.conversation_id, events[-1].conversation_id
                events[-1] = replace(events[-1], conversation_id=(theirs or ours) if ours else None)
            if events:
                yield events
            if reader.fault is not None:
                raise reader.fault
        finally:
            self._close(response)

    def _close(self, response: aiohttp.ClientResponse) -> None:
        """Closes the connection at once unless the whole body was read."""
        self._open.discard(response)
        response.close()

    async def aclose(self) -> None:
        """Closes the upstream connection of every stream at once."""
        for response in list(self._open):
            self._close(response)


async def _open(call: Call, total_at: float) -> tuple[aiohttp.ClientResponse, float]:
    """A response with status 200, and the moment by which its first byte is due."""
    body = encode(call.payload)
    refused: Mapping[str, str] | None = None
    attempt = 1
    while True:
        first_at = min(time.monotonic() + call.limits.first_byte, total_at)
        async with _until(first_at, "too_long" if first_at == total_at else "no_answer"):
            headers = await call.endpoint.headers(refused)
            call.attempts.append(Attempt())
            try:
                response = await call.http.post(
                    call.endpoint.url,
                    body=body,
                    headers={"Accept": "text/event-stream", **headers},
                    config=call.config,
                    limits=call.limits,
                )
            except NETWORK_ERRORS as error:
                raise network_error(error) from error
        if response.status == 200:
            try:
                check_form(response.headers)
            except AgentError:
                response.close()
                raise
            return response, first_at
        refusal = await _refusal(response, call.endpoint.secrets)
        if refusal.code == "credentials" and refused is None and call.endpoint.renewable:
            refused = headers  # renewed once; a second 401 is the answer
            call.attempts[-1].refused(refusal.code)
            continue
        wait = call.policy.delay(refusal, attempt)
        if wait is None or time.monotonic() + wait > total_at:
            raise refusal
        call.attempts[-1].refused(refusal.code)
        log.info("Agent %r answered %s; asking again in %.1f s", call.config.name, response.status, wait)
        attempt += 1
        await asyncio.sleep(wait)


def encode(payload: Mapping[str, Any]) -> bytes:
    """`payload` as JSON."""
    try:
        return orjson.dumps(payload)
    except TypeError:  # a lone surrogate, which JSON can carry when it is escaped
        return json.dumps(payload).encode()


class _until:
    """Like asyncio.timeout_at on the monotonic clock, but raises AgentError(code)."""

    __slots__ = ("_code", "_timeout")

    def __init__(self, moment: float, code: str) -> None:
        self._timeout = asyncio.timeout(max(moment - time.monotonic(), 0))
        self._code = code

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            raise AgentError(self._code) from None


def check_form(headers: Mapping[str, str]) -> None:
    """Raises AgentError for what cannot be an answer, before its body is read."""
    encoding = headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        # It was asked not to; unpacking would let a small body grow without end.
        raise AgentError("protocol", status=200, detail=f"compressed answer: {encoding}")
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml"):
        raise AgentError("protocol", status=200, detail="a web page instead of an answer")


async def _refusal(response: aiohttp.ClientResponse, secrets: tuple[str, ...]) -> AgentError:
    body = b""
    try:
        async with asyncio.timeout(ERROR_BODY_SECONDS):
            while len(body) < BODY_BYTES and (chunk := await response.content.read(BODY_BYTES)):
                body += chunk
    except NETWORK_ERRORS:
        pass  # the status says enough
    finally:
        response.close()
    return refusal_of_response(response.status, response.headers, body, secrets=secrets)


class _Body:
    """The reads of a body, each within its time. Close it when done with it.

    One timer watches over all reads: asyncio.timeout for each of them was a tenth of a delta's cost.
    """

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        reader: AnswerReader,
        idle: float,
        first_at: float,
        total_at: float,
    ) -> None:
        self._content = response.content
        self._reader = reader
        self._idle = idle
        self._total_at = total_at
        self._error: AgentError | None = None
        self._ending = False
        self._taken = 0
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._looks_at = 0.0
        self._watch(first_at, "no_answer" if first_at < total_at else "too_long")

    async def read(self) -> bytes:
        """The next read; b"" at the end. Any byte is a sign of life, a comment too.

        Raises AgentError, unless the answer had ended properly: then it is the end all the same.
        """
        try:
            chunk = await self._read()
        except AgentError as error:
            if self._reader.stopped:
                return b""
            error.usage = self._reader.usage
            raise
        self._taken += len(chunk)
        due = time.monotonic() + self._idle
        if due < self._total_at:
            self._watch(due, "stalled")
        else:
            self._watch(self._total_at, "too_long")
        return chunk

    async def _read(self) -> bytes:
        if self._error is not None:
            raise self._error
        try:
            return await self._content.readany()
        except (*NETWORK_ERRORS, RuntimeError) as error:
            # RuntimeError: aiohttp met broken framing and hung up without telling the reader.
            self._error = network_error(error)
            # aiohttp reports the cut before it gives what had arrived in front of it.
            rest: bytes = self._content._read_nowait(-1)
            if rest:
                return rest
            raise self._error from error

    def ends_soon(self) -> None:
        """Says that only little can still come, however often the server shows that it lives."""
        if not self._ending:
            self._ending = True
            self._total_at = min(self._total_at, time.monotonic() + END_GRACE)
        if self._total_at < self._due:
            self._watch(self._total_at, self._code)

    def close(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch(self, due: float, code: str) -> None:
        """Expect the next read by `due`, monotonic. A later moment than before needs no new timer: the
        one that runs looks again."""
        self._due, self._code = due, code
        if self._timer is None or due < self._looks_at:
            self.close()
            self._looks_at = due
            self._timer = self._loop.call_later(max(due - time.monotonic(), 0), self._look)

    def _look(self) -> None:
        self._timer = None
        if self._due > time.monotonic():
            self._watch(self._due, self._code)
        elif self._content.total_bytes <= self._taken:  # else the next read is here already
            self._content.set_exception(AgentError(self._code))
