"""Where an agent may be."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from chat.agents import AgentError, AgentRequest, HttpSession
from chat.agents.addresses import check_agent_url, is_public, vetting
from chat.agents.auth import TokenSource
from chat.agents.blocking import BlockingClient
from chat.agents.retry import RetryPolicy
from chat.agents.uploads import Upload, UploadClient
from tests.agent_server import AgentServer

from .calls import ask


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.9.9.9",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "240.0.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "::1",
        "::",
        "fe80::1%eth0",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:db8::1",
        "fd00:ec2::254",
        "0x7f.1",
        "2130706433",
        "127.1",
        "",
        "localhost",
    ],
)
def test_every_other_address_is_not(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://agent.example",
        "ftp://agent.example",
        "file:///etc/passwd",
        "gopher://agent.example",
        "https://u:p@h.example",
        "https://127.0.0.1",
        "https://[::1]",
        "https://[::ffff:127.0.0.1]/v1",
        "https://0x7f.1",
        "https://2130706433",
        "https://169.254.169.254/latest",
        "https://10.1.2.3:8443",
        "//agent.example",
        "",
        "https://h.example#x",
        "https://h.example\\@127.0.0.1",
    ],
)
def test_an_address_that_is_not_allowed_is_refused_when_it_is_saved(url: str) -> None:
    with pytest.raises(AgentError, match="agent_misconfigured"):
        check_agent_url(url, "base URL", ["listed.example"])


def test_a_listed_host_may_be_anywhere_and_without_tls() -> None:
    hosts = ["LocalHost", "10.1.2.3"]
    assert check_agent_url("http://localhost:11434/v1/", "base URL", hosts) == "http://localhost:11434/v1"
    assert check_agent_url("http://10.1.2.3", "base URL", hosts) == "http://10.1.2.3"
    assert vetting(hosts)("localhost", "127.0.0.1")
    assert not vetting(hosts)("other", "127.0.0.1")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "[::1]", "[::ffff:127.0.0.1]", "localhost."],
)
async def test_nothing_reaches_a_listener_that_is_not_allowed(agent_server: AgentServer, host: str) -> None:
    session = HttpSession(vetting([]))
    try:
        config = agent_server.config("openai", base_url=f"http://{host}:{agent_server.port}")
        assert (await ask(session, config)).code == "unreachable"
    finally:
        await session.close()
    assert agent_server.connections == []


async def test_a_name_that_was_rebound_to_a_private_address_leads_nowhere(
    agent_server: AgentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S20: what a name meant when it was saved says nothing about the moment of connecting."""
    url = f"https://rebound.example:{agent_server.port}"
    assert check_agent_url(url, "base URL", []) == url
    looked_up: list[str] = []
    known = socket.getaddrinfo

    def rebound(host: Any, *values: Any, **named: Any) -> Any:
        if host in ("rebound.example", b"rebound.example"):
            looked_up.append(str(host))
            host = "127.0.0.1"
        return known(host, *values, **named)

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    config = agent_server.config("openai", base_url=url)
    session = HttpSession(vetting([]))
    try:
        assert (await ask(session, config)).code == "unreachable"
    finally:
        await session.close()
    error = BlockingClient(config, vet=vetting([])).chat(AgentRequest("Hi")).error
    assert isinstance(error, AgentError) and error.code == "unreachable"
    assert len(looked_up) >= 2 and agent_server.connections == []


async def test_a_listed_host_is_reached(agent_server: AgentServer) -> None:
    session = HttpSession(vetting(["localhost"]))
    try:
        config = agent_server.config("openai", base_url=f"http://localhost:{agent_server.port}/v1")
        assert (await ask(session, config)).code is None
    finally:
        await session.close()


HOSTS = ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1"]


@pytest.mark.parametrize("host", HOSTS)
def test_the_secret_is_not_taken_to_an_address_that_is_not_allowed(
    agent_server: AgentServer, host: str
) -> None:
    config = agent_server.config(token_url=f"http://{host}:{agent_server.port}/oidc/oauth/token")
    with pytest.raises(AgentError, match="unreachable"):
        TokenSource(config, vetting([])).get_blocking()
    assert agent_server.connections == []


@pytest.mark.parametrize("host", HOSTS)
def test_blocking_calls_and_uploads_go_only_where_they_may(agent_server: AgentServer, host: str) -> None:
    url = f"http://{host}:{agent_server.port}"
    config = agent_server.config("openai", base_url=url)
    error = BlockingClient(config, vet=vetting([])).chat(AgentRequest("Hi")).error
    assert isinstance(error, AgentError) and error.code == "unreachable"
    config = agent_server.config(options={"upload_base_url": url})
    policy = RetryPolicy(max_retries=0)
    with pytest.raises(AgentError, match="unreachable"):
        UploadClient(config, policy=policy, vet=vetting([])).upload(Upload("a.txt", b"x"))
    assert agent_server.connections == []


async def test_everything_reaches_a_listed_host(agent_server: AgentServer) -> None:
    url = f"http://localhost:{agent_server.port}"
    vet = vetting(["localhost"])
    config = agent_server.config(
        base_url=url, token_url=f"{url}/oidc/oauth/token", options={"upload_base_url": url}
    )
    session = HttpSession(vet)
    try:
        assert (await ask(session, config)).code is None
    finally:
        await session.close()
    response = await asyncio.to_thread(BlockingClient(config, vet=vet).chat, AgentRequest("Hi"))
    assert response.error is None


async def test_a_proxy_is_looked_at_too(agent_server: AgentServer) -> None:
    config = agent_server.config("openai", base_url="http://agents.example/v1", proxy=agent_server.url)
    for hosts, reached in (([], 0), (["127.0.0.1"], 2)):
        session = HttpSession(vetting(hosts))
        try:
            await ask(session, config)
        finally:
            await session.close()
        BlockingClient(config, vet=vetting(hosts)).chat(AgentRequest("Hi"))
        assert len(agent_server.requests) == reached
