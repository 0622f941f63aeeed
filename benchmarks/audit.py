"""What each page of the audit costs the database, against a seeded ledger, and what a long file costs memory.

    export DATABASE_URL=... STKWEB_DATA_DIR=...
    python manage.py setup && python manage.py seed 10000000
    python benchmarks/audit.py                    every page, best of three
    python benchmarks/audit.py --slowest          with the slowest statement of each that is over the target
    python benchmarks/audit.py --file             a CSV of up to a million calls

Time is what the driver took to execute and to fetch, in this process. It writes events into the audit log.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stkweb.settings")

import django

django.setup()

from django.contrib.auth import get_user_model  # noqa: E402 (after setup)
from django.db import connection  # noqa: E402
from django.db.backends.utils import CursorWrapper  # noqa: E402
from django.test import Client  # noqa: E402
from django.utils import timezone  # noqa: E402

from chat import audit  # noqa: E402
from chat.models import LedgerEntry  # noqa: E402

TARGET_MS, QUERIES = 300, 15
CONTROL = ("BEGIN", "COMMIT", "SAVE", "RELEASE")


@dataclass
class Spent:
    """What the database took, statement by statement: (seconds, SQL)."""

    statements: list[list[Any]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return sum(seconds for seconds, _sql in self.statements)

    @property
    def queries(self) -> int:
        return sum(not sql.startswith(CONTROL) for _seconds, sql in self.statements)


@contextmanager
def watched() -> Iterator[Spent]:
    """Take the time of statements and of fetching their rows, which SQLite reads only then."""
    spent = Spent()

    def execute(run: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        begun = time.perf_counter()
        try:
            return run(sql, params, many, context)
        finally:
            spent.statements.append([time.perf_counter() - begun, sql])

    def timed(name: str) -> Any:
        def fetch(self: Any, *args: Any) -> Any:
            begun = time.perf_counter()
            try:
                return getattr(self.cursor, name)(*args)
            finally:
                if spent.statements:
                    spent.statements[-1][0] += time.perf_counter() - begun

        return fetch

    names = ("fetchone", "fetchmany", "fetchall")
    for name in names:
        setattr(CursorWrapper, name, timed(name))
    try:
        with connection.execute_wrapper(execute):
            yield spent
    finally:
        for name in names:
            delattr(CursorWrapper, name)


def pages() -> dict[str, str]:
    """Every page by what it is, and its address; the year is that of the seed."""
    newest = LedgerEntry.objects.order_by("-pk").first()
    assert newest is not None, "seed first"
    zone: Any = timezone.get_default_timezone()
    last = newest.ended_at.astimezone(zone).date()
    year = f"?period=custom&from={last - timedelta(days=364)}&to={last}"
    middle = audit.midnight(last - timedelta(days=300), ZoneInfo("UTC")).isoformat().replace("+", "%2B")
    who, team, agent = newest.user_id, newest.team_id, newest.agent_id
    found = {"30 days": "", "today": "?period=today", "last month": "?period=last_month", "a year": year}
    for view in ("team", "agent", "model", "day", "calls"):
        found[f"a year by {view}" if view != "calls" else "a year, calls"] = f"{year}&view={view}"
    for stack in ("agent", "team", "person"):
        found[f"a year, bars of {stack}"] = f"{year}&stack={stack}"
    thirty, people = "?period=30d", "&stack=person"
    for what, days in (
        ("30 days in Kolkata's days", f"{thirty}&zone=Asia/Kolkata"),
        ("a year in Kolkata's days", f"{year}&zone=Asia/Kolkata"),
        ("a year in Tokyo's days", f"{year}&zone=Asia/Tokyo"),
    ):
        found[f"{what}, bars of agents"] = f"{days}&stack=agent"
        found[f"{what}, bars of people"] = f"{days}{people}"
        found[f"{what}, by day"] = f"{days}&view=day"
    found |= {
        "a year of one person": f"{year}&person={who}",
        "a year of one team, bars of agents": f"{year}&team={team}&stack=agent",
        "a year of one agent, bars of people": f"{year}&agent={agent}&stack=person",
        "a year, completed alone": f"{year}&outcome=completed",
        "a year by agent, completed alone": f"{year}&view=agent&outcome=completed",
        "a year, failed alone, bars of people": f"{year}&outcome=failed&stack=person",
        "a year, completed alone, bars of people": f"{year}&outcome=completed&stack=person",
        "a year, answers alone by day": f"{year}&purpose=answer&view=day",
        "a year in Lisbon's days": f"{year}&zone=Europe/Lisbon",
        "a year in Lisbon's days, bars of agents": f"{year}&zone=Europe/Lisbon&stack=agent",
        "a year in Lisbon's days, bars of people": f"{year}&zone=Europe/Lisbon&stack=person",
        "a year in Lisbon's days, completed alone": f"{year}&zone=Europe/Lisbon&outcome=completed",
        "a year in Lisbon's days, completed alone, bars of people": (
            f"{year}&zone=Europe/Lisbon&outcome=completed{people}"
        ),
        "today in Kolkata's hours, bars of people": f"?period=today&zone=Asia/Kolkata{people}",
        "calls, 300 days down": f"{year}&view=calls&after={middle}%20{newest.pk}",
        "calls of one person": f"{year}&view=calls&person={who}",
        "calls of one team, 300 days down": f"{year}&view=calls&team={team}&after={middle}%20{newest.pk}",
        "calls of one model": f"{year}&view=calls&model=words-small",
        "calls that there are none of": f"{year}&view=calls&certainty=estimated&outcome=failed",
        "calls of nobody's team": f"{year}&view=calls&team=0",
        "calls without usage": f"{year}&view=calls&certainty=unknown",
        "one call": f"calls/{newest.public_id}/",
        "reconcile": "reconcile/",
    }
    return {name: f"/admin/audit/{address}" for name, address in found.items()}


def browser() -> Client:
    """A browser of somebody who may see everything."""
    model = get_user_model()
    user, _made = model.objects.get_or_create(username="measuring", is_staff=True, is_superuser=True)
    client = Client(headers={"host": "localhost", "accept-language": "en"})
    client.force_login(user)
    return client


def measure(client: Client, slowest: bool) -> None:
    print("| page | queries | ms of the database |\n| --- | --- | --- |")
    over = 0
    for name, address in pages().items():
        best: Spent | None = None
        for _ in range(3):
            with watched() as spent:
                answer = client.get(address)
            assert answer.status_code == 200, (address, answer.status_code)
            if best is None or spent.seconds < best.seconds:
                best = spent
        assert best is not None
        ms = best.seconds * 1000
        bad = ms > TARGET_MS or best.queries > QUERIES
        over += bad
        mark = "**" if bad else ""
        print(f"| {name} | {best.queries} | {mark}{ms:.0f}{mark} |", flush=True)
        if bad and slowest:
            for seconds, sql in sorted(best.statements, reverse=True)[:2]:
                print(f"    {seconds * 1000:.0f} ms  {' '.join(sql.split())[:400]}")
    print(f"\n{over} pages over {TARGET_MS} ms or {QUERIES} queries.")


def take_file(client: Client, most: int = 1_000_000) -> None:
    """A CSV of the newest calls, in whole days, `most` at the most; what memory it takes beside a day's."""
    zone: Any = timezone.get_default_timezone()
    newest = LedgerEntry.objects.order_by("-pk").values_list("ended_at", flat=True)[0]
    last = newest.astimezone(zone).date()
    first, count = last, 0
    start, end = (audit.midnight(day, zone) for day in (last - timedelta(days=364), last + timedelta(days=1)))
    points = audit.series(audit.Filter(start, end, zone), "day")
    for point in reversed(points):
        if count + point.sums.calls > most:
            break
        count, first = count + point.sums.calls, point.start.astimezone(zone).date()
    base = f"?period=custom&view=calls&from={first}&to={last}"
    b"".join(client.get(f"/admin/audit/export.csv?period=custom&view=calls&from={last}&to={last}"))
    before, begun, length = memory(), time.perf_counter(), 0
    most_memory = before
    answer: Any = client.get(f"/admin/audit/export.csv{base}")
    for part in answer.streaming_content:
        length += len(part)
        most_memory = max(most_memory, memory())
    seconds = time.perf_counter() - begun
    print(
        f"CSV of {count} calls: {length / 1e6:.0f} MB in {seconds:.0f} s; resident memory"
        f" {before:.0f} MB before, {most_memory:.0f} MB at most: {most_memory - before:+.1f} MB"
    )


def memory() -> float:
    """Resident memory of this process, in MB."""
    pages_held = int(Path("/proc/self/statm").read_text().split()[1])
    return pages_held * resource.getpagesize() / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slowest", action="store_true")
    parser.add_argument("--file", action="store_true")
    chosen = parser.parse_args()
    newest = LedgerEntry.objects.order_by("-pk").first()
    assert newest is not None, "seed first"
    print(
        f"{connection.vendor}, {newest.pk} rows, {timezone.now():%Y-%m-%d}, load {os.getloadavg()[0]:.1f}\n"
    )
    if chosen.file:
        take_file(browser())
    else:
        measure(browser(), chosen.slowest)


if __name__ == "__main__":
    main()
