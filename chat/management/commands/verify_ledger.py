"""`manage.py verify_ledger`: reads both chains to their end and names the first row that was touched."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from chat.actions.ledger import verify


class Command(BaseCommand):
    help = "Read the chains of the token ledger and the audit log; name the first row that was touched."

    def handle(self, *args: Any, **options: Any) -> None:
        found = verify()
        problems = []
        if found.broken is not None:
            problems.append(f"Entry {found.broken} of the ledger, or the one before it, was touched.")
        if found.cut is not None:
            problems.append(f"Entry {found.cut} of the ledger was there at an earlier look, and is not now.")
        if found.event is not None:
            problems.append(f"Event {found.event} of the audit log, or the one before it, was touched.")
        if problems:
            raise CommandError("\n".join(problems))
        self.stdout.write(f"The ledger is whole: {found.entries} entries, the last is {found.last}.")
        self.stdout.write("The audit log is whole.")
