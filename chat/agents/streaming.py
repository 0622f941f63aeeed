"""One streamed call: connect, wait, read, retry what may be retried, never outlive a limit.

The same for every agent that speaks HTTP; what differs (address, headers, body) is an `Endpoint`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Protocol

import aiohttp
import orjson

from .answer import AnswerReader
from .body import Body
from .errors import AgentError
from .http import NETWORK_ERRORS, HttpSession, network_error
from .pulling import Take, pulled
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

    async def answer(self, request: AgentRequest, take: Take) -> None:
        """Gives the events of one answer to `take`, those of each network read in one list.

        Returns after exactly one `Done`, or raises AgentError; what came before stands. Cancelling it
        closes the upstream connection at once. `Done.conversation_id` is the id to send with the next
        question of the branch; None where the upstream remembers nothing. What `take` raises ends it.
        """
        call = self._call(request)
        total_at = time.monotonic() + call.limits.total
        response, first_at = await _open(call, total_at)
        self._open.add(response)
        try:
            reader = AnswerReader(call.limits, cumulative=call.cumulative)
            body = Body(response, call.limits.idle, first_at, total_at)
            await _read(body, reader, take)
            events = reader.finish()
            if events and isinstance(events[-1], Done):
                ours, theirs = call.conversation_id, events[-1].conversation_id
                events[-1] = replace(events[-1], conversation_id=(theirs or ours) if ours else None)
            if events:
                take(events)
            if reader.fault is not None:
                raise reader.fault
        finally:
            self._close(response)

    def stream(self, request: AgentRequest) -> AsyncGenerator[list[AgentEvent], None]:
        """The same events for whoever asks for them one list after the other."""
        return pulled(partial(self.answer, request))

    def _close(self, response: aiohttp.ClientResponse) -> None:
        """Closes the connection at once unless the whole body was read."""
        self._open.discard(response)
        response.close()

    async def aclose(self) -> None:
        """Closes the upstream connection of every stream at once."""
        for response in list(self._open):
            self._close(response)


async def _read(body: Body, reader: AnswerReader, take: Take) -> None:
    """Every byte of `body` through `reader` to `take`, until one of them has had enough. Raises
    AgentError, unless the answer had ended properly: then that is the end all the same."""

    def feed(chunk: bytes) -> None:
        events = reader.feed(chunk)
        if reader.text_ended:
            body.ends_soon(END_GRACE)
        if events:
            take(events)
        if reader.closed:
            body.finish()

    try:
        await body.read(feed)
    except AgentError as error:
        if not reader.stopped:
            error.usage = reader.usage
            raise


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
