"""`manage.py rollups`: makes the sums by hour, day and month again from the ledger, or compares them."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from chat.actions.rollup_check import compare
from chat.actions.rollups import rebuild

#: Differences that are shown; more are counted.
SHOWN = 10


class Command(BaseCommand):
    help = "Make the roll-ups again from the ledger (--rebuild), or compare them with it (--compare)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--rebuild", action="store_true", help="make them again, a day at a time")
        what.add_argument("--compare", action="store_true", help="only say where they differ")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["rebuild"]:
            self.stdout.write(f"{rebuild()} roll-ups were made from the ledger.")
            return
        different = 0
        for one in compare():
            different += 1
            if different <= SHOWN:
                start = datetime.fromtimestamp(one.start, UTC).isoformat(timespec="minutes")
                self.stderr.write(
                    f"{start} {one.grain} key {one.key}: stored {one.stored}, rows {one.summed}"
                )
        if different:
            raise CommandError(f"{different} roll-ups differ from the ledger: manage.py rollups --rebuild")
        self.stdout.write("The roll-ups are what the ledger's rows add up to.")
