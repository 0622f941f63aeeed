"""System checks: half-configured deployments are named before they hurt, with what to type.

Ids are stable: errors (E) keep `manage.py serve` from starting, warnings (W) are shown. Nothing is
changed here, and a database that is not there yet is nobody's fault.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError

from chat import limits
from chat.agents.configuration import ConfigurationError


@register(Tags.security)
def check_keys(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """E001, E002, W001: the keys that sign and encrypt."""
    found: list[CheckMessage] = []
    if not settings.ENCRYPTION_KEYS:
        found.append(
            Error(
                "There is no encryption key, so no agent's secret can be stored or read.",
                hint="Run `manage.py setup`, or set STKWEB_ENCRYPTION_KEYS.",
                id="stkweb.E001",
            )
        )
    for number, key in enumerate(settings.ENCRYPTION_KEYS, 1):
        try:
            Fernet(key)
        except ValueError:
            found.append(
                Error(
                    f"Encryption key number {number} is not a Fernet key.",
                    hint="Make one: python -c 'from cryptography.fernet import Fernet;"
                    " print(Fernet.generate_key().decode())'",
                    id="stkweb.E002",
                )
            )
    if settings.SECRET_KEY_IS_NEW:
        found.append(
            Warning(
                "SECRET_KEY was made for this start alone: the next one signs everybody out.",
                hint="Run `manage.py setup`, or set STKWEB_SECRET_KEY.",
                id="stkweb.W001",
            )
        )
    return found


@register()
def check_sdk_settings(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """E006: a STKAI_* variable that cannot be used, in the SDK's own words."""
    try:
        limits.sdk()
    except ConfigurationError as error:
        return [Error(f"{error}.", hint="See them all: manage.py agent explain", id="stkweb.E006")]
    return []


@register()
def check_files(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """E007, E008: what files need that is not here."""
    found: list[CheckMessage] = []
    if settings.S3_BUCKET and not (find_spec("storages") and find_spec("boto3")):
        found.append(
            Error(
                "STKWEB_S3_BUCKET is set, but what speaks S3 is not installed.",
                hint="Install the extra `s3`: pip install boto3 django-storages",
                id="stkweb.E007",
            )
        )
    if settings.CLAMAV_URL and not settings.CLAMAV_URL.startswith(("tcp://", "unix:///")):
        found.append(
            Error(
                "CLAMAV_URL is neither tcp://host:port nor unix:///path.",
                hint="A daemon on this machine is mostly unix:///run/clamav/clamd.ctl",
                id="stkweb.E008",
            )
        )
    return found


@register(Tags.security)
def check_agents(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """W002: a stored secret that the key at hand does not open."""
    from chat.models import Agent, SecretUnreadable

    found: list[CheckMessage] = []
    try:
        for agent in Agent.objects.exclude(sealed_secret=""):
            try:
                agent.secret()
            except SecretUnreadable:
                found.append(
                    Warning(
                        f"The secret of agent {agent.name!r} cannot be opened; it cannot be asked.",
                        hint="Put the former key back into STKWEB_ENCRYPTION_KEYS, or give the secret once"
                        " more: manage.py agent secret NAME --client-secret-file FILE",
                        id="stkweb.W002",
                    )
                )
    except (DatabaseError, ImproperlyConfigured):
        return []  # no tables yet, or no key: E001 says so
    return found


@register(Tags.compatibility)
def check_processes(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """E003, E004: what several processes need."""
    if settings.PROCESSES <= 1:
        return []
    found: list[CheckMessage] = []
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        found.append(
            Error(
                f"STKWEB_PROCESSES={settings.PROCESSES}, but SQLite serves one process.",
                hint="Set DATABASE_URL=postgres://USER:PASSWORD@HOST/NAME, or STKWEB_PROCESSES=1.",
                id="stkweb.E003",
            )
        )
    if settings.CHANNEL_LAYERS["default"]["BACKEND"].endswith("InMemoryChannelLayer"):
        found.append(
            Error(
                f"STKWEB_PROCESSES={settings.PROCESSES}, but the processes cannot reach each other.",
                hint="Set REDIS_URL=redis://HOST:6379/0, or STKWEB_PROCESSES=1.",
                id="stkweb.E004",
            )
        )
    return found


@register(Tags.compatibility)
def check_database(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """E005, W003: settings of the database that measurably lose requests."""
    config = settings.DATABASES["default"]
    if config["ENGINE"].endswith("postgresql") and config.get("CONN_MAX_AGE") != 0:
        return [
            Error(
                "CONN_MAX_AGE keeps PostgreSQL connections open, which leaks them under ASGI.",
                hint="Remove conn_max_age from DATABASE_URL; connections are pooled without it.",
                id="stkweb.E005",
            )
        ]
    path = Path(config["NAME"])
    if config["ENGINE"].endswith("sqlite3") and path.is_file() and _journal_mode(path) not in ("wal", ""):
        return [
            Warning(
                "The SQLite database is not in WAL mode: readers and the writer block each other.",
                hint="Run `manage.py setup`.",
                id="stkweb.W003",
            )
        ]
    return []


def _journal_mode(path: Path) -> str:
    """SQLite's journal mode; empty for a file that has no tables yet."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
                return ""
            return str(connection.execute("PRAGMA journal_mode").fetchone()[0])
    except sqlite3.Error:
        return ""


@register(Tags.security)
def check_network(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """W004, W005: how browsers reach it."""
    if settings.HTTPS and not settings.TRUST_PROXY:
        return [
            Warning(
                "Browsers come by https, but the proxy in front is not trusted to say so: everybody"
                " seems to sign in from its address.",
                hint="Have the proxy set X-Forwarded-Proto and X-Forwarded-For; set STKWEB_TRUST_PROXY=1.",
                id="stkweb.W004",
            )
        ]
    if not settings.HTTPS and not _is_loopback(settings.LISTEN):
        return [
            Warning(
                f"STKWEB_LISTEN={settings.LISTEN} is open to the network without https: passwords and"
                " questions can be read on the way.",
                hint="Put a proxy with TLS in front and name it: STKWEB_ORIGINS=https://HOST.",
                id="stkweb.W005",
            )
        ]
    return []


def _is_loopback(listen: str) -> bool:
    host = listen.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


CHECKS: Sequence[Any] = (check_keys, check_agents, check_processes, check_database, check_network)
