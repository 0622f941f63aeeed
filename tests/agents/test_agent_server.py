"""The server other tests rely on does what its scripts say."""

from __future__ import annotations

import socket
import time

import pytest
import requests

from tests.agent_server import (
    AGENT_ID,
    API_KEY,
    CLIENT_SECRET,
    AgentServer,
    cut,
    drop,
    gate,
    pause,
    pieces,
    raw,
    refuse,
    say,
    usage,
)


def token_of(server: AgentServer) -> str:
    form = {"grant_type": "client_credentials", "client_id": server.client_id, "client_secret": CLIENT_SECRET}
    answer = requests.post(f"{server.url}/oidc/oauth/token", data=form, timeout=5)
    token: str = answer.json()["access_token"]
    return token


def chat(server: AgentServer, token: str | None = None) -> requests.Response:
    headers = {"Authorization": f"Bearer {token or token_of(server)}"}
    url = f"{server.url}/v1/agent/{AGENT_ID}/chat"
    return requests.post(url, json={"user_prompt": "x"}, headers=headers, timeout=5)


def test_it_issues_tokens_and_counts_them(agent_server: AgentServer) -> None:
    assert (token_of(agent_server), token_of(agent_server)) == ("test-token-1", "test-token-2")
    assert len(agent_server.token_calls) == 2
    assert chat(agent_server, "test-token-1").status_code == 200
    agent_server.expire_tokens()
    assert chat(agent_server, "test-token-1").status_code == 401


def test_it_follows_its_scripts_in_order_and_then_the_default(agent_server: AgentServer) -> None:
    agent_server.answer(raw(b"first"))
    agent_server.answer(refuse(429, Retry_After="3"))
    agent_server.always(raw(b"always"))
    token = token_of(agent_server)
    answers = [chat(agent_server, token) for _ in range(4)]
    assert [a.status_code for a in answers] == [200, 429, 200, 200]
    assert answers[1].headers["Retry-After"] == "3"
    assert [a.text for a in (answers[0], *answers[2:])] == ["first", "always", "always"]


def test_it_speaks_both_dialects_and_sums_the_usage_it_reported(agent_server: AgentServer) -> None:
    agent_server.always(say("Olá"), usage(user=3, enrichment=1, output=2))
    native = chat(agent_server)
    openai = requests.post(
        f"{agent_server.url}/v1/chat/completions",
        json={},
        headers={"Authorization": f"Bearer {API_KEY}"},
        timeout=5,
    )
    assert '"message": "Olá"' in native.content.decode()
    assert '"content": "Olá"' in openai.content.decode()
    assert openai.content.endswith(b"data: [DONE]\n\n")
    assert agent_server.usage_total == (6, 2, 4)
    assert agent_server.chats[0].json == {"user_prompt": "x"}


def test_it_notices_when_and_that_a_client_leaves(agent_server: AgentServer) -> None:
    agent_server.answer(say("a"), gate("never"))
    token = token_of(agent_server)
    request = f"POST /v1/agent/{AGENT_ID}/chat HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\r\n"
    before = time.monotonic()
    with socket.create_connection(("127.0.0.1", agent_server.port)) as client:
        client.sendall(request.encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")
    connection = agent_server.chats[0].connection
    agent_server.wait(lambda: connection.closed_at)
    assert connection.closed_by == "client"
    assert connection.closed_at is not None and connection.closed_at > before


def test_a_gate_holds_the_answer_until_it_is_opened(agent_server: AgentServer) -> None:
    agent_server.answer(gate("go"), raw(b"gone"))
    agent_server.open("go")
    assert chat(agent_server).text == "gone"


@pytest.mark.parametrize("step", [drop(), cut()])
def test_it_breaks_connections(agent_server: AgentServer, step: object) -> None:
    agent_server.answer(raw(b"abc"), step)  # type: ignore[arg-type]
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        chat(agent_server)
    agent_server.wait(lambda: agent_server.chats[0].connection.closed_by == "server")


def test_it_writes_exact_pieces_and_keeps_its_pauses(agent_server: AgentServer) -> None:
    agent_server.answer(pieces(b"abcdef", 2), pause(0.1), raw(b"g"))
    before = time.monotonic()
    assert chat(agent_server).text == "abcdefg"
    assert time.monotonic() - before >= 0.1
