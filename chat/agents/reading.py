"""One streamed call with requests: what `streaming` does with aiohttp, for threads."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import requests
import urllib3

from . import openai, options, stackspot
from .answer import AnswerReader
from .errors import AgentError
from .http import Vet, reason
from .refusals import BODY_BYTES, refusal_of_response
from .retry import RetryPolicy
from .sessions import session
from .streaming import END_GRACE, ERROR_BODY_SECONDS, Endpoint, check_form, encode
from .values import AgentConfig, AgentEvent, AgentRequest, Attempt, Done, Limits

READ_BYTES: Final = 65_536
_NETWORK_ERRORS: Final = (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)


class Stop(Protocol):
    """What may end a call from outside; `Cancellation` of `blocking`."""

    @property
    def cancelled(self) -> bool: ...

    def sleep(self, seconds: float) -> bool: ...

    def add(self, wake: Callable[[], None]) -> None: ...

    def remove(self, wake: Callable[[], None]) -> None: ...


@dataclass(frozen=True, slots=True)
class BlockingCall:
    """How a call is made, whatever is asked."""

    config: AgentConfig
    limits: Limits
    policy: RetryPolicy
    stop: Stop
    vet: Vet | None = None


def read_answer(call: BlockingCall, request: AgentRequest) -> Iterator[list[AgentEvent]]:
    """The events of one answer. Raises AgentError; just ends when it was stopped."""
    endpoint, payload, cumulative = _prepare(call, request)
    total_at = time.monotonic() + call.limits.total
    response = _open(call, endpoint, encode(payload), total_at, request.attempts)
    if response is None:
        return
    wake = _waker(response)
    call.stop.add(wake)
    try:
        reader = AnswerReader(call.limits, cumulative=cumulative)
        yield from _read(call, response, reader, total_at)
        if call.stop.cancelled and not reader.stopped:
            return
        events = reader.finish()
        if events and isinstance(events[-1], Done):
            ours = payload.get("conversation_id")
            theirs = events[-1].conversation_id
            # An agent that remembers nothing must not seem to.
            events[-1] = replace(events[-1], conversation_id=(theirs or ours) if ours else None)
        if events:
            yield events
        if reader.fault is not None:
            raise reader.fault
    finally:
        call.stop.remove(wake)
        response.close()


def _prepare(call: BlockingCall, request: AgentRequest) -> tuple[Endpoint, dict[str, Any], bool]:
    config = call.config
    if config.kind == "stackspot":
        cumulative = {**config.options, **request.options}.get("cumulative", False)
        return (
            stackspot.StackSpotEndpoint(config, call.vet),
            stackspot.payload_of(config, request),
            options.boolean("cumulative", cumulative),
        )
    if config.kind == "openai":
        return openai.OpenAIEndpoint(config), openai.payload_of(config, request), False
    raise AgentError("agent_misconfigured", detail=f"no agent of kind {config.kind!r}")


def _open(
    call: BlockingCall, endpoint: Endpoint, body: bytes, total_at: float, attempts: list[Attempt]
) -> requests.Response | None:
    """A response with status 200; None when it was stopped."""
    refused = None
    attempt = 1
    while not call.stop.cancelled:
        headers = endpoint.headers_blocking(refused)
        attempts.append(Attempt())
        response = _post(call, endpoint.url, body, headers, total_at)
        if response.status_code == 200:
            try:
                check_form(response.headers)
            except AgentError:
                response.close()
                raise
            return response
        refusal = _refusal(response, endpoint.secrets)
        if refusal.code == "credentials" and refused is None and endpoint.renewable:
            refused = headers
            attempts[-1].refused(refusal.code)
            continue
        wait = call.policy.delay(refusal, attempt)
        if wait is None or time.monotonic() + wait > total_at:
            raise refusal
        attempts[-1].refused(refusal.code)
        attempt += 1
        call.stop.sleep(wait)
    return None


def _post(call: BlockingCall, url: str, body: bytes, headers: Any, total_at: float) -> requests.Response:
    config, limits = call.config, call.limits
    left = total_at - time.monotonic()
    if left <= 0:
        raise AgentError("too_long")
    try:
        return session(call.vet).post(
            url,
            data=body,
            headers={"Content-Type": "application/json", "Accept": "text/event-stream", **headers},
            timeout=(limits.connect, min(limits.first_byte, left)),
            proxies={"http": config.proxy, "https": config.proxy} if config.proxy else None,
            verify=config.ca_bundle or True,
            allow_redirects=False,
            stream=True,
        )
    except requests.ReadTimeout as error:
        raise AgentError("no_answer" if limits.first_byte < left else "too_long") from error
    except (requests.RequestException, OSError) as error:
        raise request_error(error) from error


def request_error(error: Exception) -> AgentError:
    """The error for an exception of requests that is not about a slow answer."""
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
        return AgentError("agent_misconfigured", detail="the URL is not usable")
    if isinstance(error, requests.ConnectionError):
        cause = error.args[0] if error.args else None
        lost = isinstance(cause, urllib3.exceptions.ProtocolError)
        return AgentError("connection_lost" if lost else "unreachable", detail=reason(error))
    if isinstance(error, requests.RequestException):
        return AgentError("protocol", detail=reason(error))
    return AgentError("agent_misconfigured", detail=reason(error))  # a CA bundle that is not there


def _read(
    call: BlockingCall, response: requests.Response, reader: AnswerReader, total_at: float
) -> Iterator[list[AgentEvent]]:
    silence, code = call.limits.first_byte, "no_answer"
    ending = False
    while not (reader.closed or call.stop.cancelled):
        left = total_at - time.monotonic()
        if left <= silence:
            silence, code = left, "too_long"
        try:
            _limit(response, silence)
            chunk = response.raw.read1(READ_BYTES)
        except _NETWORK_ERRORS as error:
            if reader.stopped or call.stop.cancelled:
                return
            raise _read_error(error, code, reader) from error
        if not chunk:
            return
        events = reader.feed(chunk)
        if events:
            yield events
        silence, code = call.limits.idle, "stalled"
        if reader.text_ended and not ending:
            ending, total_at = True, min(total_at, time.monotonic() + END_GRACE)


def _read_error(error: Exception, code: str, reader: AnswerReader) -> AgentError:
    if isinstance(error, urllib3.exceptions.ReadTimeoutError | TimeoutError):
        return AgentError(code, usage=reader.usage)
    if isinstance(error, urllib3.exceptions.InvalidChunkLength):
        return AgentError("protocol", detail=reason(error), usage=reader.usage)
    return AgentError("connection_lost", detail=reason(error), usage=reader.usage)


def _limit(response: requests.Response, seconds: float) -> None:
    """Sets how long the next read may wait: requests takes one number for headers and body."""
    if seconds <= 0:
        raise TimeoutError
    connection = response.raw.connection
    sock = getattr(connection, "sock", None)
    if sock is None:  # given up by http.client when the server said `Connection: close`
        reader = getattr(response.raw, "_original_response", None)
        sock = getattr(getattr(getattr(reader, "fp", None), "raw", None), "_sock", None)
    if sock is not None:
        sock.settimeout(seconds)


def _waker(response: requests.Response) -> Callable[[], None]:
    def wake() -> None:
        # A thread that waits in read1 gets the end of the body; or it is over already.
        with suppress(OSError, ValueError):
            response.raw.shutdown()

    return wake


def _refusal(response: requests.Response, secrets: tuple[str, ...]) -> AgentError:
    body = b""
    try:
        _limit(response, ERROR_BODY_SECONDS)
        while len(body) < BODY_BYTES and (chunk := response.raw.read1(BODY_BYTES)):
            body += chunk
    except _NETWORK_ERRORS:
        pass  # the status says enough
    finally:
        response.close()
    return refusal_of_response(response.status_code, response.headers, body, secrets=secrets)
