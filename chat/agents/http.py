"""The one HTTP session of a process, and what its exceptions mean.

Made for long streams: no limit of connections, no cookies, no redirects, nothing read from the
environment, no decompression (a small body could unfold into memory without end).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.helpers import is_ip_address
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from .errors import AgentError
from .values import AgentConfig, Limits

USER_AGENT: Final = "stkweb"

# What a call may fail with below HTTP; asyncio's timeout is TimeoutError since 3.11.
NETWORK_ERRORS: Final = (aiohttp.ClientError, HttpProcessingError, OSError, TimeoutError)

# Takes a host name and an address it resolved to; False refuses to connect.
Vet = Callable[[str, str], bool]


class AddressRefused(OSError):
    """The address a name resolved to is not one agents may be at."""


class _VettingResolver(AbstractResolver):
    """Looks every address over at the moment of connecting, when a name can lie no more."""

    def __init__(self, vet: Vet) -> None:
        self._vet = vet
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if not all(self._vet(host, result["host"]) for result in found):
            raise AddressRefused(f"{host} is at an address that is not allowed")
        return found

    async def close(self) -> None:
        await self._inner.close()


class HttpSession:
    """A lazily made aiohttp session; one a process, on one event loop.

    `vet`, when given, is asked about every address before it is connected to, for tokens too, and a
    proxy's as well. What is reached through a proxy is the proxy's business.
    """

    def __init__(self, vet: Vet | None = None) -> None:
        self.vet = vet
        self._session: aiohttp.ClientSession | None = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            resolver = _VettingResolver(self.vet) if self.vet is not None else aiohttp.ThreadedResolver()
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, resolver=resolver, use_dns_cache=self.vet is None),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
                auto_decompress=False,
                trust_env=False,
            )
        return self._session

    async def post(
        self, url: str, *, body: bytes, headers: Mapping[str, str], config: AgentConfig, limits: Limits
    ) -> aiohttp.ClientResponse:
        """Sends `body` and returns once the headers are here. The caller closes the response.

        Raises AgentError (unreachable, agent_misconfigured) when no connection came about within
        `limits.connect`; `NETWORK_ERRORS` after that. Waits for the headers without end.
        """
        self._vet_literal(url)
        if config.proxy:
            self._vet_literal(config.proxy)
        try:
            return await self._open().post(
                url,
                data=body,
                headers={"Content-Type": "application/json", **headers},
                allow_redirects=False,
                proxy=config.proxy,
                ssl=_tls(config.ca_bundle) if config.ca_bundle else True,
                timeout=aiohttp.ClientTimeout(
                    total=None, connect=limits.connect, sock_connect=limits.connect, sock_read=None
                ),
            )
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise AgentError("agent_misconfigured", detail="the agent's URL is not usable") from error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise AgentError("unreachable", detail=reason(error)) from error
        except (aiohttp.ClientHttpProxyError, AddressRefused) as error:
            raise AgentError("unreachable", detail=reason(error)) from error

    def _vet_literal(self, url: str) -> None:
        # aiohttp asks no resolver about an address that is written out.
        if self.vet is None:
            return
        host = URL(url).host or ""
        if not is_ip_address(host):
            return
        try:
            allowed = self.vet(host, str(ip_address(host)))
        except ValueError:  # a decimal or padded spelling: aiohttp connects to it all the same
            allowed = False
        if not allowed:
            raise AgentError("unreachable", detail=f"{host} is an address that is not allowed")

    async def close(self) -> None:
        """Closes every connection. Streams that run end with connection_lost."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
            await asyncio.sleep(0)  # transports close in the next turn of the loop


@lru_cache(maxsize=64)
def _tls(ca_bundle: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_bundle)
    except (OSError, ssl.SSLError) as error:
        raise AgentError("agent_misconfigured", detail="the CA bundle cannot be read") from error


def reason(error: BaseException) -> str:
    """A network error in words, for administrators."""
    return f"{type(error).__name__}: {error}".rstrip(": ")


def network_error(error: BaseException) -> AgentError:
    """The error for an exception of `NETWORK_ERRORS` after the connection had come about."""
    if isinstance(error, HttpProcessingError | aiohttp.ClientResponseError | RuntimeError):
        return AgentError("protocol", detail=reason(error))
    return AgentError("connection_lost", detail=reason(error))
