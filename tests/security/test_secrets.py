"""S23, S24: an agent's secret is nowhere but in its row, sealed; without the key nothing is in the clear."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from cryptography.fernet import Fernet

from tests.agent_server import CLIENT_SECRET, AgentServer, failure, refuse, say
from tests.real_server import Server, wait_for
from tests.security.test_logs import agent_at, ended

TOKEN = "metrics-token-77"


def everything_stored(server: Server) -> str:
    """The whole database as text, and every file of the data folder but the key itself."""
    if server.database_url:
        names = server.rows("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        found = [str(server.rows(f'SELECT * FROM "{name}"')) for (name,) in names]
    else:
        found = [path.read_bytes().decode("latin-1") for path in server.data.glob("*.sqlite3*")]
    found += [path.read_text(errors="replace") for path in server.data.glob("*.log")]
    assert any("Architect" in text for text in found), "the agent is there"
    return "".join(found)


def everything_shown(server: Server, conversation: str) -> str:
    admin, alice = server.sign_in("admin"), server.sign_in("alice")
    (key,) = server.rows("SELECT id FROM chat_agent WHERE name = 'Architect'")[0]
    paths = [f"/admin/{p}" for p in ("", "chat/agent/", f"chat/agent/{key}/change/", "chat/ledgerentry/")]
    pages = [admin.get(server.base_url + path, timeout=20) for path in paths]
    pages += [
        alice.get(server.base_url + path, timeout=20) for path in ("/", f"/c/{conversation}/", "/no-page")
    ]
    json = {"Accept": "application/json"}
    pages += [alice.get(f"{server.base_url}/c/{conversation}/", headers=json, timeout=20)]
    token = {"Authorization": f"Bearer {TOKEN}"}
    pages += [requests.get(f"{server.base_url}/metrics", headers=token, timeout=20)]
    return "".join(page.text for page in pages)


def test_a_secret_is_found_nowhere(make_server: Callable[..., Server], agent_server: AgentServer) -> None:
    server = make_server(STKWEB_METRICS_TOKEN=TOKEN, STKWEB_LOG_LEVEL="DEBUG")
    agent = agent_at(server, agent_server)
    alice = server.sign_in("alice")
    echo = f"client_secret={CLIENT_SECRET} Authorization: Bearer {CLIENT_SECRET}"
    for script in (
        (refuse(400, {"message": echo}),),
        (say("a"), failure({"error": echo})),
        (refuse(500, echo),),
    ):
        agent_server.answer(*script)
        asked = server.post(alice, "/c/", {"text": "hello", "agent": agent}).json()
        ended(server, asked["answer"])
    agent_server.answer_token(refuse(401, {"error": echo}))
    listed = server.manage("agent", "list")
    tested = server.manage("agent", "test", "Architect")
    shown = everything_shown(server, asked["conversation"])
    server.stop()
    for place, text in {
        "database or log": everything_stored(server),
        "pages": shown,
        "commands": listed.stdout + listed.stderr + tested.stdout + tested.stderr,
    }.items():
        assert CLIENT_SECRET not in text, place


def keys_file(server: Server) -> Path:
    return server.data / "secrets" / "encryption_keys"


def test_it_does_not_start_without_a_key(server: Server) -> None:
    server.stop()
    keys_file(server).unlink()
    server.start(wait=False)
    assert server.process is not None
    assert server.process.wait(60) != 0
    assert "stkweb.E001" in server.log


@pytest.mark.parametrize("key", ["too-short", "x" * 44])
def test_it_does_not_start_with_what_is_no_key(server: Server, key: str) -> None:
    server.stop()
    keys_file(server).write_text(key)
    server.start(wait=False)
    assert server.process is not None
    assert server.process.wait(60) != 0
    assert "stkweb.E002" in server.log
    assert key not in server.log


def test_with_another_key_the_agent_is_unusable_and_the_rest_works(
    server: Server, agent_server: AgentServer
) -> None:
    agent = agent_at(server, agent_server)
    server.stop()
    right = keys_file(server).read_text()
    keys_file(server).write_text(Fernet.generate_key().decode())
    server.start()
    alice = server.sign_in("alice")
    refused = server.post(alice, "/c/", {"text": "hello", "agent": agent})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "agent_unusable")
    assert agent_server.requests == agent_server.token_calls == []
    demo = server.rows("SELECT public_id FROM chat_agent WHERE kind = 'demo'")[0][0]
    asked = server.post(alice, "/c/", {"text": "/fast hello", "agent": demo}).json()
    assert ended(server, asked["answer"])[0] == "completed"
    assert "stkweb.W002" in server.log
    assert "unreadable" in server.manage("agent", "list").stdout

    # A new key in front of the right one: everything works, and after `reseal` the old key may go.
    new = Fernet.generate_key().decode()
    keys_file(server).write_text(f"{new}\n{right}")
    assert server.manage("agent", "reseal").returncode == 0
    keys_file(server).write_text(new)
    server.restart()
    answer = server.post(server.sign_in("alice"), "/c/", {"text": "hello", "agent": agent}).json()["answer"]
    wait_for(lambda: ended(server, answer)[0] == "completed")


def test_the_keys_are_readable_for_the_owner_alone(server: Server) -> None:
    folder = server.data / "secrets"
    assert folder.stat().st_mode & 0o077 == 0
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path.name
