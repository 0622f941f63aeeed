"""The ASGI application is server-neutral: what `manage.py serve` does on uvicorn, Daphne does too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from websockets.sync.client import connect

from tests.real_server import DaphneServer, Template, running, wait_for


@pytest.fixture
def daphne(_template: Template, tmp_path: Path) -> Iterator[DaphneServer]:
    data = tmp_path / "data"
    with running(DaphneServer(data, _template.copy_to(data))) as server:
        yield server


def _socket(server: DaphneServer, session):
    cookie = "; ".join(f"{c.name}={c.value}" for c in session.cookies)
    return connect(server.ws_url, additional_headers={"Cookie": cookie}, origin=server.base_url)


@pytest.mark.server
def test_it_streams_an_answer_under_daphne(daphne):
    alice = daphne.sign_in("alice")
    with _socket(daphne, alice) as socket:
        assert json.loads(socket.recv(10))["type"] == "hello"
        sent = daphne.ask(alice, "/fast /echo one two three")
        socket.send(json.dumps({"type": "subscribe", "thread_id": sent["conversation"], "after": None}))
        final = None
        while final is None:
            frame = json.loads(socket.recv(10))
            items = frame.get("items", []) + [frame.get("event", {}).get("item", {})]
            final = next((i for i in items if i.get("stkweb", {}).get("state") == "completed"), None)
    assert final["content"][0]["text"] == "one two three"


@pytest.mark.server
def test_it_keeps_the_text_when_daphne_is_killed(daphne):
    alice = daphne.sign_in("alice")
    sent = daphne.ask(alice, "/slow /long 5")
    rows = "SELECT state, text FROM chat_message WHERE public_id = ?"
    wait_for(lambda: daphne.rows(rows, sent["answer"])[0][1], 15, "text was saved")
    daphne.kill()
    before = daphne.rows(rows, sent["answer"])[0][1]
    daphne.start()
    # The other process's lease has to run out where several may share the rows.
    wait_for(lambda: daphne.rows(rows, sent["answer"])[0][0] == "interrupted", 40, "the answer was reaped")
    assert daphne.rows(rows, sent["answer"])[0][1] == before


@pytest.mark.server
def test_a_start_that_failed_is_tried_again(daphne):
    """R37: a database that was not as it must be, and is again."""
    daphne.stop()
    daphne.rows("ALTER TABLE chat_worker RENAME TO chat_worker_away")
    daphne.start(wait=False)
    wait_for(lambda: _status(daphne, "/livez") == 200, 30, "it listens")
    assert _status(daphne, "/readyz") == 503
    daphne.rows("ALTER TABLE chat_worker_away RENAME TO chat_worker")
    wait_for(lambda: _status(daphne, "/readyz") == 200, 10, "it has taken up work")
    alice = daphne.sign_in("alice")
    sent = daphne.ask(alice, "/fast /echo one two three")
    rows = "SELECT state FROM chat_message WHERE public_id = ?"
    wait_for(lambda: daphne.rows(rows, sent["answer"])[0][0] == "completed")


def _status(server: DaphneServer, path: str) -> int:
    try:
        return requests.get(server.base_url + path, timeout=5).status_code
    except requests.ConnectionError:
        return 0


@pytest.mark.server
def test_it_refuses_a_body_over_the_limit_under_daphne(daphne):
    alice = daphne.sign_in("alice")
    answer = daphne.post(alice, "/c/", {"text": "x" * (6 * 1024 * 1024)})
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_large"
