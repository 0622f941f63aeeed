"""`manage.py setup` and `serve`: a fresh folder becomes the product, and nothing is done twice."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import requests

from tests.real_server import Server, own_environment, running

STACKSPOT = {
    "STACKSPOT_REALM": "acme",
    "STACKSPOT_CLIENT_ID": "client-1",
    "STACKSPOT_CLIENT_SECRET": "planted-secret-61",
    "STACKSPOT_AGENT_ID": "01K6101856EC0MKJ8KN4S2B9CM",
}


@pytest.fixture
def fresh(tmp_path: Path) -> Server:
    """A server whose data folder is not there yet; on SQLite."""
    return Server(tmp_path / "data", {})


def setup(server: Server, **env: str) -> str:
    done = server.manage("setup", env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def agents(server: Server) -> list[tuple[str, str]]:
    return [(name, kind) for name, kind in server.rows("SELECT name, kind FROM chat_agent ORDER BY position")]


def test_it_makes_everything_once(fresh: Server) -> None:
    said = setup(fresh)
    found = re.search(r"user      (\S+)\n\s+password  (\S+)\n", said)
    assert found
    assert len(found[2]) >= 20
    events = "SELECT action, target, data FROM chat_auditevent WHERE action = 'person.created'"
    ((action, target, data),) = fresh.rows(events)
    assert (action, target) == ("person.created", "person:admin") and '"command": "setup"' in data
    assert found[2] not in data
    before = {path: path.read_bytes() for path in (fresh.data / "secrets").iterdir()}
    rows = fresh.rows("SELECT id, password FROM auth_user"), agents(fresh)

    assert "password" not in setup(fresh), "it is shown once"
    assert {path: path.read_bytes() for path in (fresh.data / "secrets").iterdir()} == before
    assert (fresh.rows("SELECT id, password FROM auth_user"), agents(fresh)) == rows
    with closing(sqlite3.connect(fresh.data / "stkweb.sqlite3")) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)

    with running(fresh):
        fresh.sign_in(found[1], found[2])
        assert found[2] not in fresh.log


def test_two_folders_have_two_passwords_and_two_keys(tmp_path: Path) -> None:
    one, two = Server(tmp_path / "one", {}), Server(tmp_path / "two", {})
    passwords = {re.search(r"password  (\S+)", setup(server))[1] for server in (one, two)}  # type: ignore[index]
    assert len(passwords) == 2
    for name in ("secret_key", "encryption_keys"):
        assert (one.data / "secrets" / name).read_text() != (two.data / "secrets" / name).read_text()


def test_it_makes_the_agent_of_the_environment(fresh: Server) -> None:
    said = setup(fresh, **STACKSPOT)
    assert 'The agent "StackSpot" was made' in said
    assert STACKSPOT["STACKSPOT_CLIENT_SECRET"] not in said
    assert agents(fresh) == [("StackSpot", "stackspot"), ("Demo", "demo")]
    setup(fresh, **STACKSPOT)
    assert len(agents(fresh)) == 2


def test_a_start_makes_the_agent_of_an_environment_that_came_later(fresh: Server, tmp_path: Path) -> None:
    setup(fresh)
    (tmp_path / "secret").write_text("planted-secret-62\n")
    fresh.env.update({**STACKSPOT, "STACKSPOT_CLIENT_SECRET_FILE": str(tmp_path / "secret")})
    with running(fresh):
        assert agents(fresh)[0] == ("StackSpot", "stackspot")
    assert "planted-secret" not in fresh.log


def test_a_half_set_environment_is_named_and_stops_nothing(fresh: Server) -> None:
    values = {**STACKSPOT, "STACKSPOT_REALM": ""}
    assert "set STACKSPOT_REALM too" in setup(fresh, **values)
    assert agents(fresh) == [("Demo", "demo")]


def test_it_does_not_serve_a_database_that_is_behind(fresh: Server) -> None:
    fresh.data.mkdir()
    keys = own_environment(fresh.data)
    assert keys["STKWEB_DATA_DIR"] == str(fresh.data)
    refused = fresh.manage(
        "serve", env={"STKWEB_ENCRYPTION_KEYS": "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyMTI="}
    )
    assert refused.returncode == 1
    assert "Run `manage.py setup` first" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_two_servers_do_not_share_a_folder_on_sqlite(make_server: Callable[..., Server]) -> None:
    first = make_server()
    if first.env.get("REDIS_URL"):
        pytest.skip("with Redis several servers may")
    second = Server(first.data, {})
    second.start(wait=False)
    assert second.process is not None
    assert second.process.wait(60) == 1
    assert "Another server is using this data folder" in second.log
    assert requests.get(f"{first.base_url}/readyz", timeout=10).status_code == 200


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("STKWEB_THREADS", "many", "STKWEB_THREADS='many' is not a whole number"),
        ("STKWEB_THREADS", "0", "is below 1"),
        ("STKWEB_IDLE_SECONDS", "-1", "is not a number above zero"),
        ("STKWEB_TRUST_PROXY", "perhaps", "is neither true nor false"),
        ("DATABASE_URL", "mysql://x/y", "names neither SQLite nor PostgreSQL"),
        ("REDIS_URL", "http://x", "begins with none of redis://, rediss:// and unix://"),
        ("STKWEB_SECRET_KEY_FILE", "/no/such/file", "cannot be read"),
        ("STKWEB_LISTEN", "8000x", "is not HOST:PORT"),
        ("STKWEB_PROCESSES", "2", "stkweb.E003"),
    ],
)
def test_a_setting_that_makes_no_sense_stops_the_start(
    _template, tmp_path: Path, name: str, value: str, said: str
) -> None:  # type: ignore[no-untyped-def]
    server = Server(tmp_path / "data", {})
    _template.copy_to(server.data)
    server.env.pop("REDIS_URL", None)
    done = server.manage("serve", env={name: value})
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
