"""`manage.py changepassword`: Django's own, told to the audit log."""

from __future__ import annotations

import getpass
from typing import Any

from django.contrib.auth.management.commands import changepassword

from chat.actions.recording import record_command
from chat.threads import write_transaction


class Command(changepassword.Command):
    def handle(self, *args: Any, **options: Any) -> str | None:
        said = super().handle(*args, **options)  # raises where nothing was changed
        with write_transaction():
            name = options["username"] or getpass.getuser()
            record_command("person.password_changed", f"person:{name}", "changepassword")
        return said
