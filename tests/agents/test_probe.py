"""The probe names the step that fails and says what to do, and never shows a secret."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chat.agents import Limits
from chat.agents.probe import STEPS, Step, probe
from chat.agents.values import AgentConfig
from tests.agent_server import (
    CLIENT_SECRET,
    AgentServer,
    cut,
    end,
    hang,
    page,
    pause,
    refuse,
    say,
    whole,
)
from tests.real_server import free_port

LIMITS = Limits(connect=2, first_byte=0.5, idle=0.5, total=10)


async def steps_of(config: AgentConfig, limits: Limits = LIMITS) -> list[Step]:
    steps = [step async for step in probe(config, limits)]
    for step in steps:
        assert CLIENT_SECRET not in step.detail + step.advice
    return steps


def outcome(steps: list[Step]) -> list[tuple[str, bool | None]]:
    return [(step.name, step.ok) for step in steps]


async def test_it_says_every_step_of_an_agent_that_works(agent_server: AgentServer) -> None:
    steps = await steps_of(agent_server.config())
    assert outcome(steps) == [(name, True) for name in STEPS]
    assert steps[-1].detail == "user 10, enrichment not reported, output 5"
    assert len(agent_server.chats) == 1


@pytest.mark.parametrize("slow", ["token", "first byte", "last byte"])
async def test_it_measures_each_step_by_itself(agent_server: AgentServer, slow: str) -> None:
    waits = {slow: 1.0}
    agent_server.token_delay = waits.get("token", 0)
    agent_server.answer(
        pause(waits.get("first byte", 0)), say("ready"), pause(waits.get("last byte", 0)), end()
    )
    patient = replace(LIMITS, first_byte=10, idle=10)
    ms = {step.name: step.ms for step in await steps_of(agent_server.config(), patient)}
    assert ms.pop(slow) > 900
    assert max(ms.values()) < 900, "no other step took the time"


async def test_it_tells_when_no_usage_was_reported(agent_server: AgentServer) -> None:
    agent_server.answer(say("ready"), end())
    last = (await steps_of(agent_server.config()))[-1]
    assert (last.name, last.ok, last.detail) == ("usage", None, "not reported")


async def test_it_names_a_host_that_does_not_resolve(agent_server: AgentServer) -> None:
    steps = await steps_of(agent_server.config(base_url="https://no-such-host.invalid"))
    assert outcome(steps) == [("name", False)]
    assert "no-such-host.invalid" in steps[0].advice
    assert agent_server.connections == []


async def test_it_says_when_nobody_listens(agent_server: AgentServer) -> None:
    steps = await steps_of(agent_server.config(base_url=f"http://127.0.0.1:{free_port()}"))
    assert outcome(steps) == [("name", True), ("TLS", False)]
    assert "Nobody answers" in steps[-1].advice


async def test_it_says_that_the_identity_server_refuses_the_secret(agent_server: AgentServer) -> None:
    agent_server.answer_token(refuse(401, {"error": f"bad secret {CLIENT_SECRET}"}))
    steps = await steps_of(agent_server.config())
    assert outcome(steps)[-1] == ("token", False)
    assert "agent secret" in steps[-1].advice


@pytest.mark.parametrize(
    ("script", "step", "said"),
    [
        ((refuse(403),), "agent", "may not use the agent"),
        ((refuse(404),), "agent", "agent id"),
        ((refuse(500),), "agent", "may pass"),
        ((page("<h1>Proxy</h1>"),), "first byte", "base URL"),
        ((hang(),), "first byte", "STKWEB_FIRST_BYTE_SECONDS"),
        ((say("a"), hang()), "last byte", "silent in the middle"),
        ((say("a"), cut()), "last byte", "cut"),
        ((whole({"message": ""}),), "last byte", ""),
    ],
)  # fmt: skip
async def test_it_names_the_step_that_fails(
    agent_server: AgentServer, script: tuple, step: str, said: str
) -> None:
    agent_server.answer(*script)
    last = (await steps_of(agent_server.config()))[-1]
    assert last.ok is False
    assert said in last.advice
    if said:
        assert last.name == step


async def test_it_needs_no_network_for_the_demo_agent() -> None:
    steps = await steps_of(AgentConfig(kind="demo", name="Demo"), Limits())
    assert outcome(steps) == [("agent", True), ("first byte", True), ("last byte", True), ("usage", True)]


# -- TLS -------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that nobody trusts, with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[AgentServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with AgentServer(tls=context) as server:
        yield server


async def test_it_says_that_a_certificate_is_not_trusted(tls_server: AgentServer) -> None:
    steps = await steps_of(tls_server.config())
    assert outcome(steps) == [("name", True), ("TLS", False)]
    assert "--ca-bundle" in steps[-1].advice
    assert tls_server.token_calls == []


async def test_it_trusts_the_given_certificates(tls_server: AgentServer, certificate: Path) -> None:
    steps = await steps_of(replace(tls_server.config(), ca_bundle=str(certificate)))
    assert outcome(steps) == [(name, True) for name in STEPS]
    assert "TLSv1.3" in steps[1].detail
