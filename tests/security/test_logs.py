"""S19, S22: whatever an agent says, one record stays one line, and no control character gets through."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stkweb.logs import LineFormatter
from tests.agent_server import CLIENT_SECRET, AgentServer, refuse, say, usage
from tests.real_server import Server, wait_for

HOSTILE = (
    "\x1b[31mred\x1b]52;c;aGk=\x07\r\n2026-01-01 00:00:00 CRITICAL root: forged\u2028more\u202egnol\x9b1m"
)


@given(st.text())
def test_a_record_is_one_line(text: str) -> None:
    record = logging.LogRecord("chat", logging.INFO, "f", 1, "said: %s", (text,), None)
    line = LineFormatter().format(record)
    assert len(line.splitlines()) == 1
    assert all(character.isprintable() or character in "\u00ad" or ord(character) > 127 for character in line)


def test_a_traceback_stays_behind_its_record() -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError as exc:
        record = logging.LogRecord("chat", logging.ERROR, "f", 1, "failed", (), (type(exc), exc, None))
    first, *rest = LineFormatter().format(record).split("\n")
    assert first.endswith("ERROR chat: failed")
    assert all(line.startswith("\t") for line in rest)
    assert not set("\x1b\x07\r\x9b\u2028\u202e") & set("".join(rest))


def agent_at(server: Server, agent_server: AgentServer) -> str:
    """Adds the agent to `server`, as an administrator would; its public id."""
    at = agent_server.config()
    added = server.manage(
        "agent", "add", "Architect", "--agent-id", at.agent_id, "--base-url", at.base_url, "--token-url",
        at.token_url, "--client-id", at.client_id, "--client-secret-file", "-", text=CLIENT_SECRET,
    )  # fmt: skip
    assert added.returncode == 0, added.stderr
    return str(server.rows("SELECT public_id FROM chat_agent WHERE name = 'Architect'")[0][0])


def ended(server: Server, answer: str) -> Any:
    query = "SELECT state, text FROM chat_message WHERE public_id = ?"
    return wait_for(
        lambda: next((r for r in server.rows(query, answer) if r[0] not in ("queued", "streaming")), None)
    )


def test_an_agent_cannot_write_into_the_log(server: Server, agent_server: AgentServer) -> None:
    agent = agent_at(server, agent_server)
    alice = server.sign_in("alice")
    agent_server.answer(refuse(400, {"message": HOSTILE}))
    asked = server.post(alice, "/c/", {"text": "hello", "agent": agent}).json()
    assert ended(server, asked["answer"])[0] == "failed"
    agent_server.answer(say(HOSTILE), usage())
    asked = server.post(alice, "/c/", {"text": f"{HOSTILE} asked", "agent": agent}).json()
    assert ended(server, asked["answer"])[0] == "completed"
    server.stop()
    log = server.log
    assert "rejected" in log, "the failure is there, in one line"
    assert not set("\x1b\x07\r\x9b\u2028\u202e") & set(log)
    assert not [line for line in log.splitlines() if line.startswith("2026-01-01")]
    assert "asked" not in log, "no question is logged"


@pytest.mark.parametrize("status", [400, 401, 403, 500])
def test_what_an_agent_says_about_itself_stays_with_the_administrators(
    make_server: Callable[..., Server], agent_server: AgentServer, status: int
) -> None:
    server = make_server()
    agent = agent_at(server, agent_server)
    alice = server.sign_in("alice")
    said = {"message": f"<b>internal-host</b> secret {CLIENT_SECRET}"}
    agent_server.always(refuse(status, said))
    asked = server.post(alice, "/c/", {"text": "hello", "agent": agent}).json()
    ended(server, asked["answer"])
    shown = alice.get(f"{server.base_url}/c/{asked['conversation']}/", timeout=20).text
    shown += alice.get(
        f"{server.base_url}/c/{asked['conversation']}/", headers={"Accept": "application/json"}, timeout=20
    ).text
    assert "internal-host" not in shown
    assert CLIENT_SECRET not in shown + server.log
