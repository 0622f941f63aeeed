"""The token: asked for once for everybody."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from chat.agents import AgentError
from chat.agents import auth as auth_module
from chat.agents.auth import TokenSource, token_source
from tests.agent_server import (
    CLIENT_SECRET,
    AgentServer,
    Step,
    before_headers,
    cut,
    drop,
    page,
    part,
    pause,
    redirect,
    refuse,
    whole,
)


@pytest.fixture
def source(agent_server: AgentServer) -> TokenSource:
    return TokenSource(agent_server.config())


def test_the_token_is_fetched_once_and_kept(agent_server: AgentServer, source: TokenSource) -> None:
    assert [source.get_blocking() for _ in range(5)] == ["test-token-1"] * 5
    assert len(agent_server.token_calls) == 1


async def test_coroutines_and_threads_at_once_make_one_call(
    agent_server: AgentServer, source: TokenSource
) -> None:
    agent_server.token_delay = 0.1
    tokens: list[str] = []
    threads = [threading.Thread(target=lambda: tokens.append(source.get_blocking())) for _ in range(5)]
    for thread in threads:
        thread.start()
    tokens += await asyncio.gather(*(source.get() for _ in range(20)))
    await asyncio.to_thread(lambda: [thread.join() for thread in threads])
    assert tokens == ["test-token-1"] * 25
    assert len(agent_server.token_calls) == 1


async def test_a_wave_of_refused_tokens_renews_once(agent_server: AgentServer, source: TokenSource) -> None:
    agent_server.token_delay = 0.05
    old = await source.get()
    renewed = await asyncio.gather(*(source.get(refused=old) for _ in range(4)))
    assert set(renewed) == {"test-token-2"}
    assert await source.get(refused=old) == "test-token-2", "a late one of the wave takes the new token"
    assert len(agent_server.token_calls) == 2


@pytest.mark.parametrize("lifetime", [1, 60, 0, "30"])
def test_a_token_within_the_margin_is_fetched_again(
    agent_server: AgentServer, source: TokenSource, lifetime: object
) -> None:
    agent_server.token_lifetime = lifetime
    assert [source.get_blocking(), source.get_blocking()] == ["test-token-1", "test-token-2"]


@pytest.mark.parametrize("lifetime", [None, 1199, "1199", -5, "junk"])
def test_a_token_without_a_lifetime_lives_twenty_minutes(
    agent_server: AgentServer, source: TokenSource, lifetime: object
) -> None:
    agent_server.token_lifetime = lifetime
    before = time.monotonic()
    source.get_blocking()
    assert source._token is not None
    assert before + 1139 <= source._token.renew_at <= time.monotonic() + 1139


@pytest.mark.parametrize(("step", "code"), [
    (refuse(401, {"error": "invalid_client"}), "credentials"),
    (refuse(400, {"error": "unauthorized_client"}), "credentials"),
    (refuse(403), "credentials"),
    (refuse(429), "busy"),
    (refuse(503), "agent_unavailable"),
    (page("<h1>Login</h1>"), "credentials"),
    (whole({"token": "x"}), "credentials"),
    (whole({"access_token": None}), "credentials"),
    (whole({"access_token": "a\r\nb"}), "credentials"),
    (whole([1]), "credentials"),
    (whole("{"), "credentials"),
    (redirect("http://127.0.0.1:9/"), "agent_misconfigured"),
])  # fmt: skip
def test_a_refused_renewal_has_a_code_and_no_secret(
    agent_server: AgentServer, source: TokenSource, step: object, code: str
) -> None:
    agent_server.answer_token(step)  # type: ignore[arg-type]
    with pytest.raises(AgentError) as caught:
        source.get_blocking()
    assert caught.value.code == code
    assert CLIENT_SECRET not in f"{caught.value!s} {caught.value.detail} {caught.value.__cause__!r}"


@pytest.mark.parametrize("end", [cut(), drop(), pause(1.0)])
def test_half_a_token_response_is_no_token_and_has_a_code(
    agent_server: AgentServer, source: TokenSource, end: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth_module, "READ_TIMEOUT", 0.3)
    agent_server.answer_token(part(b'{"access_', of=100), end)
    with pytest.raises(AgentError) as caught:
        source.get_blocking()
    assert caught.value.code == "unreachable"


def test_an_identity_server_that_echoes_the_secret_does_not_leak_it(
    agent_server: AgentServer, source: TokenSource
) -> None:
    agent_server.answer_token(refuse(401, {"error": f"wrong: {CLIENT_SECRET}"}))
    with pytest.raises(AgentError) as caught:
        source.get_blocking()
    assert caught.value.detail == "identity server: wrong: [hidden]"


def test_an_identity_server_that_is_not_there_is_unreachable(agent_server: AgentServer) -> None:
    config = agent_server.config(token_url="http://127.0.0.1:9/token")
    with pytest.raises(AgentError) as caught:
        TokenSource(config).get_blocking()
    assert caught.value.code == "unreachable"


def test_an_identity_server_that_hangs_up_is_unreachable(
    agent_server: AgentServer, source: TokenSource
) -> None:
    async def hang_up(stream: object) -> None:
        stream.reset()  # type: ignore[attr-defined]

    agent_server.answer_token(hang_up)  # type: ignore[arg-type]
    with pytest.raises(AgentError) as caught:
        source.get_blocking()
    assert caught.value.code == "unreachable"


def test_a_failed_renewal_is_remembered_and_then_tried_again(
    agent_server: AgentServer, source: TokenSource
) -> None:
    agent_server.answer_token(refuse(401))
    for _ in range(5):
        with pytest.raises(AgentError, match="credentials"):
            source.get_blocking()
    assert len(agent_server.token_calls) == 1
    # As after five seconds.
    assert source._failure is not None
    source._failure = (source._failure[0] - auth_module.FAILURE_REMEMBERED, source._failure[1])
    assert source.get_blocking() == "test-token-2"


async def test_one_who_stops_waiting_leaves_the_renewal_to_the_others(
    agent_server: AgentServer, source: TokenSource
) -> None:
    agent_server.answer_token(before_headers(0.2), whole({"access_token": "t", "expires_in": 1199}))
    impatient = asyncio.create_task(source.get())
    patient = asyncio.create_task(source.get())
    await asyncio.sleep(0)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    assert await patient == "t"
    assert len(agent_server.token_calls) == 1


def test_one_credential_has_one_source(agent_server: AgentServer) -> None:
    config = agent_server.config()
    assert token_source(config) is token_source(agent_server.config(agent_id="other"))
    assert token_source(config) is not token_source(agent_server.config(client_id="other"))
