"""`manage.py createsuperuser`: Django's own, told to the audit log."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.management.commands import createsuperuser
from django.db.models.signals import post_save

from chat.actions.recording import record_command
from chat.threads import write_transaction


class Command(createsuperuser.Command):
    def handle(self, *args: Any, **options: Any) -> str | None:
        def made(instance: Any, created: bool, **_: Any) -> None:
            if created:
                with write_transaction():
                    record_command(
                        "person.created", f"person:{instance.get_username()}", "createsuperuser",
                        is_superuser=True,
                    )  # fmt: skip

        # It asks at a terminal for as long as it likes: no transaction may be open meanwhile.
        post_save.connect(made, sender=get_user_model(), weak=False)
        try:
            return super().handle(*args, **options)
        finally:
            post_save.disconnect(made, sender=get_user_model())
