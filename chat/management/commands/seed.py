"""`manage.py seed`: fills an empty installation with a believable year, to look at and to measure.

Entries are chained like all others; they go in by COPY on PostgreSQL, in one transaction that makes the
table's indexes at its end, and by many at once on SQLite. The roll-ups are made from them at the end. Nobody
can sign in as the people it makes up.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from django.utils import timezone

from chat.actions.rollups import rebuild
from chat.management.seeding import AGENTS, CURRENCY, PRICES, MadeUp, Person, calls, people, price_days
from chat.models import Agent, LedgerEntry, Membership, Price
from chat.models.ledger import DIGESTED, digest_of
from chat.models.prices import Prices, amount_of

#: Rows of one transaction on SQLite.
BATCH = 20_000
COLUMNS = (*DIGESTED, "digest")


class Command(BaseCommand):
    help = "Make up a year of a team of 60: people, teams, agents, prices and ledger entries."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("rows", type=int, help="how many ledger entries, such as 100000")

    def handle(self, *args: Any, **options: Any) -> None:
        if LedgerEntry.objects.exists():
            raise CommandError("There are ledger entries here. Seed an empty installation.")
        now = timezone.now()
        staff = people()
        with transaction.atomic():
            rows = _Rows(staff, now)
        started = timezone.now()
        made = rows.of(calls(now, options["rows"], staff))
        if connection.vendor == "postgresql":
            with transaction.atomic(), _without_indexes():
                _copy(made)
        else:
            while batch := list(islice(made, BATCH)):
                with transaction.atomic():
                    _insert(batch)
        self.stdout.write(f"{options['rows']} ledger entries in {_since(started)} s.")
        started = timezone.now()
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        count = rebuild()
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        self.stdout.write(f"{count} roll-ups in {_since(started)} s.")


class _Rows:
    """Made-up calls as rows of the ledger, chained."""

    def __init__(self, staff: list[Person], now: datetime) -> None:
        self._agents = [_agent(*agent[:3]) for agent in AGENTS]
        self._people = _accounts(staff)
        first, second = price_days(now)
        for agent in self._agents:
            for day, parts in zip((first, second), PRICES.get(agent.name, ()), strict=False):
                user, enrichment, output, cached = parts
                Price.objects.create(
                    agent_id=agent.pk, agent_name=agent.name, currency=CURRENCY, user=user, output=output,
                    enrichment=enrichment, cached=cached, valid_from=day, created_at=now, created_by="seed",
                )  # fmt: skip
        self._prices = Prices.now()
        self._held: dict[tuple[int, date], Price | None] = {}

    def of(self, made: Iterator[MadeUp]) -> Iterator[list[Any]]:
        """Values of COLUMNS. By hand: instances of the model take five times as long."""
        previous = ""
        for number, call in enumerate(made, 1):
            values = [*self._values(number, call), previous]
            previous = digest_of(values)
            yield [*values, previous]

    def _values(self, number: int, call: MadeUp) -> list[Any]:
        agent, model = self._agents[call.agent], AGENTS[call.agent][2]
        started = call.ended_at - timedelta(milliseconds=call.duration_ms)
        price = self._price(call.agent, model, started)
        parts: Any = price.parts if price else (None,) * 5
        provider = agent.kind if agent.kind == "stackspot" else "models.example"
        upstream = f"call-{number}" if call.certainty == "reported" else ""
        return [
            number, f"{number:026d}", *self._people[call.person], agent.pk, agent.name, provider, model,
            call.purpose, f"C{number // 6:025d}", f"M{number:025d}", "", call.user_tokens,
            call.enrichment_tokens, call.output_tokens, call.cached_tokens, None, None, call.certainty,
            call.outcome, call.error_code, upstream, started, call.ended_at, call.first_delta_ms,
            call.duration_ms, price.pk if price else None, *parts, price.currency if price else "",
            amount_of(parts, call) if price else None,
        ]  # fmt: skip

    def _price(self, agent: int, model: str, started: datetime) -> Price | None:
        place = (agent, timezone.localtime(started, timezone.get_default_timezone()).date())
        if place not in self._held:
            self._held[place] = self._prices.of(self._agents[agent].pk, model, place[1])
        return self._held[place]


def _agent(name: str, kind: str, model: str) -> Agent:
    agent, _ = Agent.objects.get_or_create(
        name=name,
        defaults={"kind": kind, "agent_id": model, "enabled": False, "description": "Made up by seed."},
    )
    return agent


def _accounts(staff: list[Person]) -> list[tuple[int, str, int, str]]:
    found = []
    for person in staff:
        team, _ = Group.objects.get_or_create(name=person.team)
        user, made = get_user_model().objects.get_or_create(
            username=person.username,
            defaults={"first_name": person.first_name, "last_name": person.last_name},
        )
        if made:
            user.set_unusable_password()
            user.save()
            Membership.objects.create(user=user, team=team)
        found.append((user.pk, user.get_username(), team.pk, team.name))
    return found


def _since(moment: datetime) -> str:
    return f"{(timezone.now() - moment).total_seconds():.0f}"


@contextmanager
def _without_indexes() -> Iterator[None]:
    """Without the ledger's secondary indexes: kept while rows come in, they take longer than made at once."""
    indexes = LedgerEntry._meta.indexes
    with connection.schema_editor() as editor:
        for index in indexes:
            editor.remove_index(LedgerEntry, index)
    yield
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL maintenance_work_mem = '512MB'")
    with connection.schema_editor() as editor:
        for index in indexes:
            editor.add_index(LedgerEntry, index)


def _copy(rows: Iterator[list[Any]]) -> None:
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY chat_ledgerentry ({', '.join(COLUMNS)}) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row(row)


def _insert(rows: list[list[Any]]) -> None:
    adapt = connection.ops.adapt_datetimefield_value
    marks = ", ".join(["%s"] * len(COLUMNS))
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO chat_ledgerentry ({', '.join(COLUMNS)}) VALUES ({marks})",  # noqa: S608
            [[adapt(v) if v.__class__ is datetime else v for v in row] for row in rows],
        )
