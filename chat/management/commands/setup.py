"""`manage.py setup`: everything a fresh data folder needs, and nothing twice.

Secrets, tables, static files, the demo agent, and the first administrator, whose random password
is printed once and stored nowhere.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connection

from chat.actions.agents import add_agent
from chat.actions.recording import record_command
from chat.management import environment
from chat.models import Agent
from chat.threads import write_transaction

DEMO_EXAMPLES = [
    "Write a migration plan for our orders database, without downtime",
    "Explique o que é idempotência, com um exemplo",
    "What is the formula for compound interest?",
]


class Command(BaseCommand):
    help = "Prepare the data folder: secrets, tables, static files, demo agent, first administrator."
    requires_system_checks: list[str] = []  # it makes what they look for

    def handle(self, *args: Any, **options: Any) -> None:
        self._folders()
        self._secret("secret_key", secrets.token_urlsafe(50))
        self._secret("encryption_keys", Fernet.generate_key().decode())
        settings.ENCRYPTION_KEYS = settings.ENCRYPTION_KEYS or self._read("encryption_keys").split()
        call_command("migrate", interactive=False, verbosity=0)
        if connection.vendor == "sqlite":
            # Kept in the file; set on every connection it would need the write lock each time.
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA journal_mode=WAL")
        call_command("collectstatic", interactive=False, verbosity=0)
        self._demo_agent()
        environment.make_agent(self.stdout.write)
        self._administrator()

    def _folders(self) -> None:
        for folder, mode in ((settings.DATA_DIR, 0o755), (settings.DATA_DIR / "secrets", 0o700)):
            folder.mkdir(mode=mode, parents=True, exist_ok=True)

    def _path(self, name: str) -> Path:
        return Path(settings.DATA_DIR) / "secrets" / name

    def _read(self, name: str) -> str:
        return self._path(name).read_text(encoding="utf-8")

    def _secret(self, name: str, value: str) -> None:
        if self._path(name).exists():
            return
        descriptor = os.open(self._path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(value + "\n")

    def _demo_agent(self) -> None:
        if not Agent.objects.exists():
            add_agent(
                name="Demo",
                kind=Agent.Kind.DEMO,
                examples=DEMO_EXAMPLES,
            )

    def _administrator(self) -> None:
        users = get_user_model().objects
        if users.exists():
            return
        password = secrets.token_urlsafe(15)
        with write_transaction():
            users.create_superuser("admin", email="", password=password)
            record_command("person.created", "person:admin", "setup", is_superuser=True)
        self.stdout.write(
            "\n  The first administrator was made. This password is shown once and stored nowhere:\n\n"
            f"      user      admin\n      password  {password}\n"
        )
