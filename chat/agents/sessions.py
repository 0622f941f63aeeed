"""Sessions of requests for this room: nothing from the environment, addresses looked over.

What `http.HttpSession` does for the stream: no proxies or passwords of the environment, no
decompression, and, when there is a `vet`, a look at every address before it is connected to. The
connection then goes to the very address that was looked at.
"""

from __future__ import annotations

import socket
import threading
from typing import Any, Final

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError
from urllib3.util.connection import create_connection

from .http import USER_AGENT, Vet

_local: Final = threading.local()


def session(vet: Vet | None = None) -> requests.Session:
    """This thread's session for `vet`: requests does not promise that one may be shared."""
    sessions: dict[Vet | None, requests.Session] = _local.__dict__.setdefault("sessions", {})
    found = sessions.get(vet)
    if found is None:
        found = sessions[vet] = new_session(vet)
    return found


def new_session(vet: Vet | None = None) -> requests.Session:
    """A session of one's own, to be closed."""
    made = requests.Session()
    made.trust_env = False
    made.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
    if vet is not None:
        made.mount("http://", _VettingAdapter(vet))
        made.mount("https://", _VettingAdapter(vet))
    return made


def read_body(response: requests.Response, most: int) -> bytes:
    """At most `most` bytes of a streamed response's body, never unpacked.

    Raises requests.ReadTimeout, and requests.ConnectionError for a body that was cut off.
    """
    try:
        body: bytes = response.raw.read(most, decode_content=False)
    except urllib3.exceptions.ReadTimeoutError as error:
        raise requests.ReadTimeout(error) from error
    except urllib3.exceptions.HTTPError as error:
        raise requests.ConnectionError(error) from error
    left = response.raw.length_remaining
    if left and len(body) < most:
        raise requests.ConnectionError(
            urllib3.exceptions.ProtocolError(f"{left} bytes of the body are missing")
        )
    return body


class _VettingAdapter(HTTPAdapter):
    def __init__(self, vet: Vet) -> None:
        self._vet = vet
        super().__init__()

    def init_poolmanager(self, *values: Any, **named: Any) -> None:
        super().init_poolmanager(*values, **named)
        self.poolmanager.pool_classes_by_scheme = _pools(self._vet)

    def proxy_manager_for(self, proxy: str, **named: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **named)
        manager.pool_classes_by_scheme = _pools(self._vet)
        return manager


def _pools(vet: Vet) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, vet)

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, vet)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def _connect(connection: HTTPConnection, vet: Vet) -> socket.socket:
    """As urllib3 does it, but to an address that was looked at. The name stays for the certificate."""
    host, problem = connection.host, "no address"
    try:
        found = socket.getaddrinfo(host.strip("[]"), connection.port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        if not all(vet(host, address) for address in addresses):
            raise NewConnectionError(connection, f"{host} is at an address that is not allowed")
        for address in addresses:
            try:
                return create_connection(
                    (address, connection.port), connection.timeout, socket_options=connection.socket_options
                )
            except OSError as error:
                problem = str(error)
    except socket.gaierror as error:
        problem = str(error)
    raise NewConnectionError(connection, f"{host}: {problem}")
