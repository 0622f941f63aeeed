"""Certificates and proxies: never ignored, and settings of the agent rather than of the environment."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chat.agents import AgentConfig, AgentError, AgentRequest, HttpSession, Limits
from chat.agents.blocking import BlockingClient
from tests.agent_server import AgentServer

from .calls import ask

LIMITS = Limits(connect=2, first_byte=2)


@contextmanager
def tls_server(folder: Path, *, host: str = "127.0.0.1", days: int = 1) -> Iterator[tuple[AgentServer, str]]:
    """A server with a certificate for `host` that ends in `days`, and the path of that certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "agent")])
    now = datetime.datetime.now(datetime.UTC)
    entry = x509.IPAddress(ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=9))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([entry]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*paths)
    with AgentServer(tls=context) as server:
        yield server, str(paths[0])


async def codes(http: HttpSession, config: AgentConfig) -> tuple[str | None, str | None]:
    """How a streamed and a blocking call end."""
    streamed = await ask(http, config, limits=LIMITS)
    client = BlockingClient(config, LIMITS)
    error = (await asyncio.to_thread(client.chat, AgentRequest("Hi"))).error
    assert error is None or isinstance(error, AgentError)
    return streamed.code, error.code if error else None


async def test_a_ca_bundle_of_the_agent_is_trusted(http: HttpSession, tmp_path: Path) -> None:
    with tls_server(tmp_path) as (server, ca_bundle):
        assert await codes(http, server.config(ca_bundle=ca_bundle)) == (None, None)
        assert server.token_calls and len(server.chats) == 2


async def test_a_certificate_nobody_signed_is_refused(http: HttpSession, tmp_path: Path) -> None:
    with tls_server(tmp_path) as (server, _), AgentServer() as identity:
        token_url = f"{identity.url}/oidc/oauth/token"
        config = server.config(token_url=token_url, client_id=identity.client_id)
        assert await codes(http, config) == ("unreachable", "unreachable")
        assert server.requests == []


@pytest.mark.parametrize("wrong", [{"days": -1}, {"host": "other.example"}])
async def test_an_expired_certificate_or_one_for_another_host_is_refused(
    http: HttpSession, tmp_path: Path, wrong: dict[str, object]
) -> None:
    with tls_server(tmp_path, **wrong) as (server, ca_bundle), AgentServer() as identity:  # type: ignore[arg-type]
        config = server.config(ca_bundle=ca_bundle, token_url=f"{identity.url}/oidc/oauth/token")
        config = replace(config, client_id=identity.client_id)
        assert await codes(http, config) == ("unreachable", "unreachable")
        assert server.requests == []


async def test_an_identity_server_with_a_wrong_certificate_never_sees_the_secret(
    http: HttpSession, tmp_path: Path
) -> None:
    with tls_server(tmp_path) as (server, _):
        assert await codes(http, server.config()) == ("unreachable", "unreachable")
        assert server.requests == []


async def test_a_proxy_of_the_agent_is_used_and_those_of_the_environment_are_not(
    agent_server: AgentServer, http: HttpSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert await codes(http, agent_server.config()) == (None, None)
    assert await codes(http, agent_server.config(proxy="http://127.0.0.1:9")) == (
        "unreachable",
        "unreachable",
    )
    # As a proxy the server sees whole URLs.
    proxied = agent_server.config(
        base_url="http://agent.invalid", token_url="http://id.invalid/oidc/oauth/token"
    )
    await codes(http, replace(proxied, proxy=agent_server.url))
    assert agent_server.requests[-1].path == "http://id.invalid/oidc/oauth/token"
