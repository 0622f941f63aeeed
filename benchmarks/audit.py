"""What the audit's sums cost the database, against a seeded ledger.

    DATABASE_URL=... python manage.py migrate && python manage.py seed 10000000
    DATABASE_URL=... python benchmarks/audit.py

Prints each question's queries and the seconds the database took for them, best of three.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stkweb.settings")

import django

django.setup()

from django.db import connection  # noqa: E402 (after setup)
from django.utils import timezone  # noqa: E402

from chat import audit  # noqa: E402
from chat.models import LedgerEntry  # noqa: E402

ZONE = ZoneInfo("America/Sao_Paulo")


def measured(question: Callable[[], Any]) -> tuple[int, float]:
    """(queries, seconds of the database) of the best of three."""
    best = (0, float("inf"))
    for _ in range(3):
        spent, count = 0.0, 0

        def timed(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            nonlocal spent, count
            begun = time.perf_counter()
            try:
                return execute(sql, params, many, context)
            finally:
                spent, count = spent + time.perf_counter() - begun, count + 1

        with connection.execute_wrapper(timed):
            question()
        best = min(best, (count, spent), key=lambda pair: pair[1])
    return best


def main() -> None:
    newest = LedgerEntry.objects.order_by("-pk").first()
    assert newest is not None, "seed first"
    end = audit.midnight((newest.ended_at + timedelta(days=1)).astimezone(ZONE).date(), ZONE)
    year = audit.Filter(audit.midnight((end - timedelta(days=365)).date(), ZONE), end, zone=ZONE)
    month = audit.Filter(audit.midnight((end - timedelta(days=30)).date(), ZONE), end, zone=ZONE)
    person = audit.Filter(year.start, year.end, ZONE, persons=(newest.user_id or 0,))
    team = audit.Filter(year.start, year.end, ZONE, teams=(newest.team_id or 0,))
    questions: dict[str, Callable[[], Any]] = {
        "report, a month": lambda: audit.report(month),
        "report, a year": lambda: audit.report(year),
        "report, a year and the one before": lambda: audit.reports([year, audit.before(year)]),
        "report, a year of a person": lambda: audit.report(person),
        "bars, a month by agent": lambda: audit.series(month, "day", by="agent"),
        "bars, a year": lambda: audit.series(year, "day"),
        "bars, a year by agent": lambda: audit.series(year, "day", by="agent"),
        "bars, a year by team": lambda: audit.series(year, "day", by="team"),
        "bars, a year of a person": lambda: audit.series(person, "day"),
        "bars, a year of a team": lambda: audit.series(team, "day", by="agent"),
        "50 calls, a year": lambda: list(audit.rows(year)[:50]),
        "50 calls, a year of a person": lambda: list(audit.rows(person)[:50]),
        "50 calls, a year of a team": lambda: list(audit.rows(team)[:50]),
    }
    print(f"{connection.vendor}, {newest.pk} rows, {timezone.now():%Y-%m-%d}")
    for name, question in questions.items():
        count, seconds = measured(question)
        print(f"{name:<36} {count:>3} queries {seconds * 1000:>8.1f} ms")


if __name__ == "__main__":
    main()
