"""What operators look at: alive, ready with reasons, and numbers behind a token."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from django.test import Client
from websockets.sync.client import connect

from tests.real_server import Server, free_port, wait_for

TOKEN = "metrics-token-31"


@pytest.fixture
def counted(make_server: Callable[..., Server]) -> Server:
    return make_server(STKWEB_METRICS_TOKEN=TOKEN)


def numbers(server: Server) -> dict[str, float]:
    answer = requests.get(
        f"{server.base_url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10
    )
    assert answer.status_code == 200
    lines = (line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}


def test_it_counts_what_happens(counted: Server) -> None:
    alice = counted.sign_in("alice")
    cookie = "; ".join(f"{c.name}={c.value}" for c in alice.cookies)
    assert numbers(counted)["stkweb_sockets"] == 0
    with connect(counted.ws_url, additional_headers={"Cookie": cookie}, origin=counted.base_url) as socket:
        socket.recv(timeout=10)
        wait_for(lambda: numbers(counted)["stkweb_sockets"] == 1)
    wait_for(lambda: numbers(counted)["stkweb_sockets"] == 0)

    counted.ask(alice, "/fast hello")
    done = 'stkweb_turns_total{error="",outcome="completed"}'
    wait_for(lambda: numbers(counted).get(done) == 1)
    counted.ask(alice, "/fast /fail busy")
    wait_for(lambda: numbers(counted).get('stkweb_turns_total{error="busy",outcome="failed"}') == 1)
    found = numbers(counted)
    assert found["stkweb_turns_running"] == 0
    assert found["stkweb_deltas_total"] > 1
    assert found["stkweb_first_delta_seconds_count"] >= 1
    assert found["stkweb_save_seconds_count"] >= 1
    assert found["stkweb_process_resident_memory_bytes"] > 1e7


def test_the_numbers_name_nobody(counted: Server) -> None:
    counted.ask(counted.sign_in("alice"), "/fast planted-text")
    headers = {"Authorization": f"Bearer {TOKEN}"}
    text = requests.get(f"{counted.base_url}/metrics", headers=headers, timeout=10).text
    labels = set(re.findall(r'(\w+)="', text))
    assert labels <= {"outcome", "error", "le"}
    assert "alice" not in text
    assert "planted" not in text


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}])
def test_the_numbers_are_not_there_without_the_token(counted: Server, headers: dict[str, str]) -> None:
    missing = requests.get(f"{counted.base_url}/no-such-page", timeout=10)
    answer = requests.get(f"{counted.base_url}/metrics", headers=headers, timeout=10)
    assert (answer.status_code, answer.text) == (404, missing.text)


def test_without_a_token_in_the_settings_nobody_gets_them(client: Client, settings: Any) -> None:
    settings.METRICS_TOKEN = ""
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404


@pytest.mark.redis
@pytest.mark.postgres
def test_several_processes_are_added_up(make_server: Callable[..., Server]) -> None:
    server = make_server(STKWEB_METRICS_TOKEN=TOKEN, STKWEB_PROCESSES="2", STKWEB_SENDS_PER_MINUTE="100")
    sessions = [server.sign_in(name) for name in ("alice", "bob", "charlie")]
    for n in range(6):
        server.ask(sessions[n % 3], f"/fast {n}")
    done = 'stkweb_turns_total{error="",outcome="completed"}'
    wait_for(lambda: numbers(server).get(done) == 6, 20)
    assert numbers(server)["stkweb_turns_running"] == 0


# -- alive and ready -------------------------------------------------------------------------------


def test_it_is_alive_whatever_else_is_wrong(client: Client) -> None:
    answer = client.get("/livez")
    assert (answer.status_code, answer.content) == (200, b"ok\n")


def problems(client: Client) -> dict[str, str]:
    answer = client.get("/readyz")
    found: dict[str, str] = answer.json()["problems"]
    assert answer.status_code == (503 if found else 200)
    return found


@pytest.mark.django_db
def test_it_is_not_ready_while_nothing_runs_turns(client: Client) -> None:
    assert problems(client)["runtime"] == "is starting or stopping"
    assert "database" not in problems(client)


@pytest.mark.django_db
def test_it_names_redis_when_it_does_not_answer(client: Client, settings: Any) -> None:
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    assert problems(client)["channel_layer"] == "Redis does not answer"


@pytest.mark.django_db
def test_it_names_a_data_folder_that_is_gone(client: Client, settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "gone"
    assert problems(client)["disk"] == "the data folder is not there"


@pytest.mark.django_db
def test_it_names_a_disk_that_is_almost_full(
    client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    free = shutil.disk_usage(tmp_path).free
    monkeypatch.setattr("chat.views.health.FREE_BYTES", free * 2)
    assert problems(client)["disk"] == "is almost full"


def test_a_running_server_is_ready(shared_server: Server) -> None:
    answer = requests.get(f"{shared_server.base_url}/readyz", timeout=10)
    assert answer.json() == {"ready": True, "problems": {}}
