"""The client-credentials token: asked for once for everybody, renewed before it expires.

One `TokenSource` a credential, shared by every coroutine and thread of the process. The request is
blocking (requests) and runs in threads of its own, so that a slow identity server holds up neither
the event loop nor the default executor. Nothing here is logged: the form carries the secret.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import requests

from .errors import AgentError, without
from .http import Vet
from .refusals import refusal_of_response
from .sessions import new_session, read_body
from .values import AgentConfig, count

MARGIN: Final = 60.0
# What the identity server gives when it does not say: 20 minutes less a second.
DEFAULT_LIFETIME: Final = 1199.0
# Nobody waits for a secret that was refused a moment ago, and nobody posts it in a loop.
FAILURE_REMEMBERED: Final = 5.0
READ_TIMEOUT: Final = 30.0
CONNECT_TIMEOUT: Final = 5.0
LARGEST_BODY: Final = 64 * 1024
MOST_SOURCES: Final = 256

_threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="agent-token")


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, and the monotonic moment from which it is renewed."""

    value: str
    renew_at: float

    def __repr__(self) -> str:
        return f"Token(renew_at={self.renew_at:.0f})"


class TokenSource:
    """The token of one credential. Safe to use from any thread and any event loop."""

    def __init__(self, config: AgentConfig, vet: Vet | None = None) -> None:
        self._config = config
        self._vet = vet
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._pending: Future[Token] | None = None
        self._failure: tuple[float, AgentError] | None = None

    async def get(self, refused: str | None = None) -> str:
        """A valid token; raises AgentError (credentials, unreachable, ...).

        `refused` is a token that was answered with 401: it is renewed, once for all who were
        refused with it. Cancelling a waiter leaves the request to the others.
        """
        answer = self._ask(refused)
        if isinstance(answer, Token):
            return answer.value
        try:
            return (await asyncio.shield(asyncio.wrap_future(answer))).value
        except AgentError as error:
            raise _again(error) from error

    def get_blocking(self, refused: str | None = None) -> str:
        """As `get`, for threads."""
        answer = self._ask(refused)
        if isinstance(answer, Token):
            return answer.value
        try:
            return answer.result().value
        except AgentError as error:
            raise _again(error) from error

    def _ask(self, refused: str | None) -> Token | Future[Token]:
        with self._lock:
            token, now = self._token, time.monotonic()
            if token is not None and token.value != refused and now < token.renew_at:
                return token
            if self._pending is not None:
                return self._pending
            if self._failure is not None and now < self._failure[0]:
                raise _again(self._failure[1])
            self._token = None
            self._pending = pending = _threads.submit(self._fetch)
        # Outside the lock: a request that is already done calls back at once, in this thread.
        pending.add_done_callback(self._keep)
        return pending

    def _keep(self, pending: Future[Token]) -> None:
        with self._lock:
            self._pending = None
            error = pending.exception()
            if error is None:
                self._token, self._failure = pending.result(), None
            elif isinstance(error, AgentError):
                self._failure = (time.monotonic() + FAILURE_REMEMBERED, error)

    def _fetch(self) -> Token:
        config = self._config
        asked_at = time.monotonic()
        form = {
            "grant_type": "client_credentials",
            "client_id": config.client_id,
            "client_secret": config.client_secret,
        }
        with new_session(self._vet) as session:
            try:
                with session.post(
                    config.token_url,
                    data=form,
                    headers={"Accept": "application/json"},
                    timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
                    proxies={"http": config.proxy, "https": config.proxy} if config.proxy else None,
                    verify=config.ca_bundle or True,
                    allow_redirects=False,
                    stream=True,
                ) as response:
                    body = read_body(response, LARGEST_BODY)
                    status, headers = response.status_code, response.headers
            except requests.Timeout as error:
                raise AgentError("unreachable", detail="the identity server did not answer") from error
            except (requests.RequestException, OSError) as error:
                raise self._unreachable(error) from error
        return self._read(status, headers, body, asked_at)

    def _unreachable(self, error: Exception) -> AgentError:
        if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.MissingSchema):
            return AgentError("agent_misconfigured", detail="the token URL is not usable")
        reason = without([self._config.client_secret], f"{type(error).__name__}: {error}")
        return AgentError("unreachable", detail=f"identity server: {reason}")

    def _read(self, status: int, headers: Mapping[str, str], body: bytes, asked_at: float) -> Token:
        secrets = [self._config.client_secret]
        if status not in (200, 201):
            refused = refusal_of_response(status, headers, body, secrets=secrets)
            # Whatever an identity server objects to in the form is about the credential.
            code = "credentials" if status in (400, 401, 403, 404) else refused.code
            raise AgentError(
                code,
                status=status,
                detail=f"identity server: {refused.detail}",
                retry_after=refused.retry_after,
            )
        try:
            answer = json.loads(body)
            token = answer["access_token"]
            lifetime = count(answer.get("expires_in"))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise AgentError("credentials", status=status, detail="no access token in the answer") from error
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise AgentError("credentials", status=status, detail="no access token in the answer")
        seconds = DEFAULT_LIFETIME if lifetime is None else float(lifetime)
        # A token that lives no longer than the margin is good for the call it was asked for.
        return Token(token, asked_at + max(seconds - MARGIN, 0.0))


def _again(error: AgentError) -> AgentError:
    """A copy: the same exception raised in several tasks would grow one traceback."""
    return AgentError(
        error.code,
        retryable=error.retryable,
        detail=error.detail,
        status=error.status,
        retry_after=error.retry_after,
    )


_sources: dict[tuple[object, ...], TokenSource] = {}
_sources_lock = threading.Lock()


def token_source(config: AgentConfig, vet: Vet | None = None) -> TokenSource:
    """The one `TokenSource` of this process for the credential of `config`."""
    key = (config.token_url, config.client_id, config.client_secret, config.proxy, config.ca_bundle, vet)
    with _sources_lock:
        source = _sources.get(key)
        if source is None:
            while len(_sources) >= MOST_SOURCES:  # credentials that were changed meanwhile
                _sources.pop(next(iter(_sources)))
            source = _sources[key] = TokenSource(config, vet)
        return source
