"""Asks an agent one question and says, step by step, what works.

For administrators: each step has its time and, when it fails, what to do. It reads nothing but its
arguments, stores nothing, and never shows a secret. The first failure ends it.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import aiohttp
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from . import AgentRequest, connect
from .auth import token_source
from .blocking import AgentResponse, Status
from .errors import AgentError
from .http import HttpSession, Vet
from .stackspot import DEFAULT_BASE_URL
from .values import AgentConfig, Done, Limits, ReasoningDelta, TextDelta, Usage

QUESTION: Final = "This is a test of the connection. Answer with the single word: ready"

#: Steps in their order; an agent with a key alone has no token, one without a network the last four.
STEPS: Final = ("name", "TLS", "token", "agent", "first byte", "last byte", "usage")


@dataclass(frozen=True, slots=True)
class Step:
    """One step's outcome. `ok` is None for what is neither right nor wrong; `ms` milliseconds."""

    name: str
    ok: bool | None
    ms: int
    detail: str = ""
    advice: str = ""


class _Timed(HttpSession):
    """Remembers when the answer's headers came."""

    answered_at: float | None = None
    status: int | None = None

    async def post(self, url: str, **given: Any) -> aiohttp.ClientResponse:
        response = await super().post(url, **given)
        if response.status == 200:
            self.answered_at = time.monotonic()
        self.status = response.status
        return response


#: Told what came of the question: the response, and after how many ms its first text came.
Told = Callable[[AgentResponse, int | None], None]


async def probe(
    config: AgentConfig,
    limits: Limits,
    question: str = QUESTION,
    vet: Vet | None = None,
    told: Told | None = None,
) -> AsyncGenerator[Step, None]:
    """The steps, each as soon as it is known. Does not raise for anything the agent does.

    `vet` is asked about every address, as in `HttpSession`; `told` once the question was asked.
    """
    if config.kind != "demo":
        async for step in _reach(config, limits, vet):
            yield step
            if step.ok is False:
                return
    async with aclosing(_ask(config, limits, AgentRequest(question), vet, told)) as steps:
        async for step in steps:
            yield step


# -- reaching it -----------------------------------------------------------------------------------


async def _reach(config: AgentConfig, limits: Limits, vet: Vet | None) -> AsyncGenerator[Step, None]:
    stackspot = config.kind == "stackspot"
    urls = [config.token_url, config.base_url or DEFAULT_BASE_URL] if stackspot else [config.base_url]
    places = [urlsplit(url) for url in ([config.proxy] if config.proxy else urls)]
    step = await _each("name", places, lambda place: _resolve(place, vet))
    yield step
    if not step.ok:
        return
    if config.proxy:
        yield Step("TLS", None, 0, "through the proxy: it is checked with the token and the agent")
    else:
        step = await _each("TLS", places, lambda place: _shake_hands(place, config, limits))
        yield step
        if not step.ok:
            return
    if not stackspot:
        return
    started = time.monotonic()
    try:
        await token_source(config, vet).get()
    except AgentError as error:
        yield Step("token", False, _ms(started), str(error), _TOKEN_ADVICE.get(error.code, _LOOK))
        return
    yield Step("token", True, _ms(started), "the identity server accepts client id and secret")


async def _each(name: str, places: list[SplitResult], look: Any) -> Step:
    """One step over several hosts; the first that fails is the step's outcome."""
    started, details = time.monotonic(), []
    for place in places:
        try:
            details.append(await look(place))
        except _Failed as failed:
            return Step(name, False, _ms(started), failed.detail, failed.advice)
    return Step(name, True, _ms(started), "; ".join(dict.fromkeys(details)))


class _Failed(Exception):
    def __init__(self, detail: str, advice: str) -> None:
        super().__init__(detail)
        self.detail, self.advice = detail, advice


def _port(place: SplitResult) -> int:
    return place.port or (443 if place.scheme == "https" else 80)


async def _resolve(place: SplitResult, vet: Vet | None) -> str:
    host = place.hostname or ""
    loop = asyncio.get_running_loop()
    try:
        found = await asyncio.wait_for(loop.getaddrinfo(host, _port(place)), 10)
    except (OSError, UnicodeError, TimeoutError) as error:
        raise _Failed(
            f"{host}: {error or 'no answer'}",
            f"Check the spelling of {host!r} in the agent's addresses, and this machine's DNS."
            " Where a proxy is needed, give it with --proxy.",
        ) from error
    address = str(found[0][4][0])
    if vet is not None and not all(vet(host, str(entry[4][0])) for entry in found):
        raise _Failed(
            f"{host} is {address}, which is not a public address",
            f"Whoever runs the server may allow it: STKWEB_AGENT_HOSTS={host}",
        )
    return f"{host} is {address}"


async def _shake_hands(place: SplitResult, config: AgentConfig, limits: Limits) -> str:
    host, port = place.hostname or "", _port(place)
    context = _context(place, config) if place.scheme == "https" else None
    try:
        reader_writer = asyncio.open_connection(
            host, port, ssl=context, server_hostname=host if context else None
        )
        _, writer = await asyncio.wait_for(reader_writer, limits.connect)
    except ssl.SSLCertVerificationError as error:
        raise _Failed(
            f"{host}: {error.verify_message}",
            "The certificate is not trusted. Where a company looks into TLS, give the path of its"
            " CA certificates with --ca-bundle; else check the host's name.",
        ) from error
    except ssl.SSLError as error:
        raise _Failed(
            f"{host}:{port}: {error.reason}", f"Port {port} of {host} does not speak TLS."
        ) from error
    except (OSError, TimeoutError) as error:
        raise _Failed(
            f"{host}:{port}: {error or 'no answer'}",
            f"Nobody answers at {host}:{port}. Check the address, and that a firewall lets this machine out.",
        ) from error
    session = writer.get_extra_info("ssl_object")
    spoken = session.version() if session else "no TLS (http)"
    writer.close()
    return f"{host} {spoken}"


def _context(place: SplitResult, config: AgentConfig) -> ssl.SSLContext:
    """What the real call will trust: requests has certificates of its own, aiohttp the system's."""
    bundle = config.ca_bundle
    if not bundle and place == urlsplit(config.token_url):
        bundle = DEFAULT_CA_BUNDLE_PATH
    try:
        return ssl.create_default_context(cafile=bundle)
    except (OSError, ssl.SSLError) as error:
        raise _Failed("the CA bundle cannot be read", "Check the path given with --ca-bundle.") from error


# -- asking it -------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Heard:
    """What came of the answer."""

    text: str = ""
    first_at: float | None = None
    done: Done | None = None


async def _ask(
    config: AgentConfig, limits: Limits, request: AgentRequest, vet: Vet | None, told: Told | None
) -> AsyncGenerator[Step, None]:
    http, started, heard = _Timed(vet), time.monotonic(), _Heard()
    error = await _listen(config, http, limits, request, heard)
    ended = time.monotonic()
    if told is not None:
        told(
            _response(request, heard, error), None if heard.first_at is None else _ms(started, heard.first_at)
        )
    answered = http.answered_at or heard.first_at
    if answered is None:
        assert error is not None
        yield _failure("agent", error, started, ended)
        return
    yield Step("agent", True, _ms(started, answered), "takes the question")
    if heard.first_at is None:
        assert error is not None
        yield _failure("first byte", error, answered, ended)
        return
    yield Step("first byte", True, _ms(answered, heard.first_at), "the answer begins")
    if error is not None:
        yield _failure("last byte", error, heard.first_at, ended)
        return
    yield Step("last byte", True, _ms(heard.first_at, ended), f"{len(heard.text)} characters, properly ended")
    yield _usage(heard.done.usage if heard.done else None)


async def _listen(
    config: AgentConfig, http: HttpSession, limits: Limits, request: AgentRequest, heard: _Heard
) -> AgentError | None:
    try:
        client = connect(config, http, replace(limits, total=min(limits.total, 300.0)))
        async with aclosing(client.stream(request)) as stream:
            async for events in stream:
                heard.first_at = heard.first_at or time.monotonic()
                for event in events:
                    if isinstance(event, TextDelta | ReasoningDelta):
                        heard.text += event.text
                    elif isinstance(event, Done):
                        heard.done = event
    except AgentError as error:
        return error
    finally:
        await http.close()
    return None


def _response(request: AgentRequest, heard: _Heard, error: AgentError | None) -> AgentResponse:
    done = heard.done or Done()
    return AgentResponse(
        request, Status.ERROR if error else Status.SUCCESS, text=heard.text, error=error,
        usage=error.usage if error else done.usage, message_id=done.message_id,
    )  # fmt: skip


def _failure(step: str, error: AgentError, since: float, ended: float) -> Step:
    said = f"{error} (HTTP {error.status})" if error.status else str(error)
    return Step(step, False, _ms(since, ended), said, _AGENT_ADVICE.get(error.code, _LOOK))


def _usage(usage: Usage | None) -> Step:
    if usage is None or usage.total is None:
        return Step("usage", None, 0, "not reported", "The ledger will say 'not reported' for this agent.")
    shown: Mapping[str, int | None] = {
        "user": usage.user,
        "enrichment": usage.enrichment,
        "output": usage.output,
    }
    return Step(
        "usage", True, 0, ", ".join(f"{k} {'not reported' if n is None else n}" for k, n in shown.items())
    )


def _ms(since: float, until: float | None = None) -> int:
    return round(((time.monotonic() if until is None else until) - since) * 1000)


_LOOK: Final = "What the other side said is above."
_AGAIN: Final = "This is on the agent's side and may pass: try again in a few minutes."

_TOKEN_ADVICE: Final[Mapping[str, str]] = {
    "credentials": "Check the realm in the token URL and the client id, and give the secret once more:"
    " manage.py agent secret NAME --client-secret-file FILE",
    "unreachable": "Check the token URL, and that a firewall lets this machine out.",
    "agent_misconfigured": "Check the token URL, the proxy and the CA bundle.",
    "agent_unavailable": _AGAIN,
    "busy": _AGAIN,
}

_AGENT_ADVICE: Final[Mapping[str, str]] = {
    "unreachable": "Check the base URL, and that a firewall lets this machine out.",
    "credentials": "The agent does not take the token: check that base URL and token URL belong together.",
    "forbidden": "This client id may not use the agent: share the agent with its account.",
    "agent_not_found": "Check the agent id and the base URL; the agent may have been deleted.",
    "agent_misconfigured": "Check the base URL, the agent id and the options.",
    "rejected": "Check the agent's options; what it objects to is above.",
    "credit": "The account's credit is used up: whoever administers it must add some.",
    "busy": "The account's rate limit is reached: wait a minute.",
    "agent_unavailable": _AGAIN,
    "agent_failed": _AGAIN,
    "no_answer": "It took the question and stayed silent: try again, or raise STKWEB_FIRST_BYTE_SECONDS.",
    "stalled": "It fell silent in the middle: a proxy in between may hold data back (buffering).",
    "too_long": "It took too long: try again, or ask whoever made the agent.",
    "connection_lost": "Something in between cut the connection: look at proxies and their time limits.",
    "ended_early": "The answer ended without its end: a proxy in between may cut long answers.",
    "protocol": "What came is no answer of such an agent: check the base URL and --kind.",
    "empty_answer": "It answered without a word: check the agent's prompt in StackSpot.",
    "filtered": "A content filter withheld the answer.",
}
