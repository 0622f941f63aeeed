"""Each half-configured deployment has its id and says what to type."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.conf import settings as django_settings
from django.core.checks import ERROR

from chat import checks
from chat.models import Agent

SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": "/nowhere/db", "CONN_MAX_AGE": None}
POSTGRES = {"ENGINE": "django.db.backends.postgresql", "NAME": "x", "CONN_MAX_AGE": 0}
IN_MEMORY = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
REDIS = {"default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer"}}


@pytest.fixture
def use_database(monkeypatch: pytest.MonkeyPatch) -> Any:
    """use_database(config): what the checks see; connections that are open are not touched."""
    return lambda config: monkeypatch.setitem(django_settings.DATABASES, "default", config)


def ids(check: Any) -> list[str]:
    found = check()
    for message in found:
        assert message.hint, f"{message.id} says what to do"
        assert (message.level == ERROR) == message.id.startswith("stkweb.E")
    return [message.id for message in found]


def test_it_finds_nothing_in_a_sound_deployment(settings: Any, use_database: Any) -> None:
    use_database(POSTGRES)
    settings.PROCESSES, settings.CHANNEL_LAYERS = 4, REDIS
    settings.HTTPS = settings.TRUST_PROXY = True
    settings.SECRET_KEY_IS_NEW = False
    for check in (checks.check_keys, checks.check_processes, checks.check_database, checks.check_network):
        assert ids(check) == []


def test_it_names_missing_and_unusable_keys(settings: Any) -> None:
    settings.SECRET_KEY_IS_NEW = True
    settings.ENCRYPTION_KEYS = []
    assert ids(checks.check_keys) == ["stkweb.E001", "stkweb.W001"]
    settings.SECRET_KEY_IS_NEW = False
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode(), "not-a-key"]
    assert ids(checks.check_keys) == ["stkweb.E002"]
    assert "number 2" in checks.check_keys()[0].msg
    assert "not-a-key" not in str(checks.check_keys()), "a key is never shown"


@pytest.mark.django_db
def test_it_names_the_agent_whose_secret_cannot_be_opened(settings: Any) -> None:
    for name in ("Good", "Bad"):
        agent = Agent(name=name, kind="stackspot")
        agent.set_secret("planted")
        agent.save()
    assert ids(checks.check_agents) == []
    Agent.objects.filter(name="Bad").update(sealed_secret="damaged")
    assert ids(checks.check_agents) == ["stkweb.W002"]
    assert "'Bad'" in checks.check_agents()[0].msg
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    assert ids(checks.check_agents) == ["stkweb.W002", "stkweb.W002"]


def test_it_refuses_several_processes_without_what_they_need(settings: Any, use_database: Any) -> None:
    use_database(SQLITE)
    settings.PROCESSES, settings.CHANNEL_LAYERS = 2, IN_MEMORY
    assert ids(checks.check_processes) == ["stkweb.E003", "stkweb.E004"]
    use_database(POSTGRES)
    assert ids(checks.check_processes) == ["stkweb.E004"]
    settings.PROCESSES = 1
    assert ids(checks.check_processes) == []


def test_it_refuses_persistent_postgres_connections(use_database: Any) -> None:
    for age in (60, None):
        use_database({**POSTGRES, "CONN_MAX_AGE": age})
        assert ids(checks.check_database) == ["stkweb.E005"]


def test_it_warns_of_sqlite_without_wal(use_database: Any, tmp_path: Path) -> None:
    path = tmp_path / "db.sqlite3"
    use_database({**SQLITE, "NAME": str(path)})
    assert ids(checks.check_database) == [], "there is no database yet"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (x)")
    assert ids(checks.check_database) == ["stkweb.W003"]
    connection.execute("PRAGMA journal_mode=WAL")
    assert ids(checks.check_database) == []
    connection.close()


@pytest.mark.parametrize(
    ("listen", "https", "trusted", "expected"),
    [
        ("127.0.0.1:8000", False, False, []),
        ("[::1]:8000", False, False, []),
        ("localhost:8000", False, False, []),
        ("0.0.0.0:8000", False, False, ["stkweb.W005"]),
        ("10.0.0.5:8000", False, True, ["stkweb.W005"]),
        (":8000", False, False, ["stkweb.W005"]),
        ("127.0.0.1:8000", True, False, ["stkweb.W004"]),
        ("0.0.0.0:8000", True, True, []),
    ],
)
def test_it_warns_of_passwords_in_the_clear(
    settings: Any, listen: str, https: bool, trusted: bool, expected: list[str]
) -> None:
    settings.LISTEN, settings.HTTPS, settings.TRUST_PROXY = listen, https, trusted
    assert ids(checks.check_network) == expected


def test_files_in_s3_need_what_speaks_it(settings: Any, monkeypatch: Any) -> None:
    settings.S3_BUCKET = "files"
    assert checks.check_files() == []
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    assert [found.id for found in checks.check_files()] == ["stkweb.E007"]


@pytest.mark.parametrize(("url", "fine"), [
    ("", True), ("tcp://127.0.0.1:3310", True), ("unix:///run/clamd.ctl", True), ("localhost:3310", False),
])  # fmt: skip
def test_the_scanner_s_address_is_one(settings: Any, url: str, fine: bool) -> None:
    settings.CLAMAV_URL = url
    assert [found.id for found in checks.check_files()] == ([] if fine else ["stkweb.E008"])
