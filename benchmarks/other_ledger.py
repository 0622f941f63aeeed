"""`manage.py` with another ledger, for benchmarks/ledger.py: BENCH_LEDGER names a file into which the CPU
seconds go that writing rows took (its thread's, database included), or is `none`: then no row is written."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stkweb.settings")

import django

django.setup()

from django.core.management import execute_from_command_line  # noqa: E402 (after setup)

from chat.models.ledger import LedgerQuerySet  # noqa: E402

HOW = os.environ["BENCH_LEDGER"]
append = LedgerQuerySet.append


def nothing(self: Any, entries: Any) -> None:
    """Keep none of them."""


def timed(self: Any, entries: Any) -> None:
    """Append, and say what it took: one line a transaction."""
    begun = time.thread_time()
    append(self, entries)
    with Path(HOW).open("a") as file:
        file.write(f"{time.thread_time() - begun:.6f} {len(entries)}\n")


LedgerQuerySet.append = nothing if HOW == "none" else timed  # type: ignore[method-assign]

if __name__ == "__main__":
    execute_from_command_line(["manage.py", *sys.argv[1:]])
