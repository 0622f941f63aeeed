"""What the address of an audit page chooses: filters, time zone, and the same in files."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from ulid import ULID

from chat.models import (
    LedgerEntry,
)
from tests.audit.conftest import body, cells
from tests.security.conftest import of_alice

__all__ = ["of_alice"]
pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("query", "calls"),
    [
        ("outcome=failed", 1),
        ("certainty=estimated", 1),
        ("agent=7", 5),
        ("agent=8", 0),
        ("team=0", 5),
        ("provider=StackSpot", 5),
        ("provider=elsewhere", 0),
        ("purpose=answer&outcome=stopped", 1),
        ("purpose=command", 0),
        ("conversation=01ARZ3NDEKTSV4RRFFQ69G5FAV", 0),
        ("conversation=no-id&provider=%00", 5),
        ("period=today", 2),
        ("period=custom&from=1999-01-01&to=1999-01-31", 0),
        ("outcome=no-such&certainty=&person=x", 0),
        ("period=custom&from=2026-02-31&to=x&page=-1&sort=no&view=no&team=1e9&after=x", 5),
        ("model=%00&person=%00&after=%00", 5),
    ],
)
def test_the_address_is_the_filter(query: str, calls: int, page: Client, known: Any) -> None:
    assert page.get(f"/admin/audit/?{query}").context["total"].calls == calls
    listed = page.get(f"/admin/audit/?{query}&view=calls")
    if "view=no" not in query:
        assert len(listed.context["calls"]) == calls


def test_several_values_of_a_field_are_chips_that_can_be_taken_away(
    page: Client, known: Any, alice: Any, bob: Any, book: Callable[..., LedgerEntry]
) -> None:
    book("a command", user=1, output=1)
    both = f"person={alice.pk}&person={bob.pk}&outcome=completed&outcome=stopped"
    answer = page.get(f"/admin/audit/?{both}")
    assert answer.context["total"].calls == 4
    assert len(page.get(f"/admin/audit/?{both}&view=calls").context["calls"]) == 4
    chips = answer.context["query"].chips
    assert [str(chip.label) for chip in chips] == ["alice", "bob", "completed", "stopped"]
    assert page.get(f"/admin/audit/{chips[0].address}").context["total"].calls == 2, "alice is taken away"
    assert page.get(f"/admin/audit/{chips[3].address}").context["total"].calls == 3
    text = answer.content.decode()
    for name, value in (("person", alice.pk), ("person", bob.pk), ("outcome", "stopped")):
        assert f'<input type="hidden" name="{name}" value="{value}">' in text, (
            "the form adds to what is chosen"
        )
    exported = cells(page.get(f"/admin/audit/export.csv?{both}&view=calls"))
    assert {row["username"] for row in exported} == {"alice", "bob"} and len(exported) == 4


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Asia/Kolkata", "America/Sao_Paulo"])
def test_a_time_zone_of_ones_choice_cuts_days_everywhere_alike(
    page: Client, book: Callable[..., LedgerEntry], alice: Any, zone: str
) -> None:
    here = ZoneInfo(zone)
    for hours in range(0, 96, 5):
        book(alice, user=hours + 1, output=0, at=timezone.now() - timedelta(hours=hours, minutes=7))
    answer = page.get(f"/admin/audit/?zone={zone}&view=day&period=7d")
    assert f"days of {zone}" in answer.content.decode()
    days: dict[str, int] = {}
    for entry in LedgerEntry.objects.all():
        day = f"{entry.ended_at.astimezone(here):%Y-%m-%d}"
        days[day] = days.get(day, 0) + (entry.user_tokens or 0)
    shown = {line.label: line.sums.tokens for line, _address in answer.context["lines"]}
    assert shown == days
    rows = cells(page.get(f"/admin/audit/export.csv?zone={zone}&view=day&period=7d"))
    assert {row["day"]: int(row["tokens"]) for row in rows} == days
    found = json.loads(body(page.get(f"/admin/audit/export.json?zone={zone}&view=day&period=7d")))
    assert {row["day"]: row["tokens"] for row in found["rows"]} == days
    assert found["manifest"]["time_zone"] == zone == found["manifest"]["filter"]["zone"]
    calls = page.get(f"/admin/audit/?zone={zone}&view=calls&period=7d")
    newest = LedgerEntry.objects.latest("ended_at").ended_at.astimezone(here)
    assert f"{newest:%H:%M:%S}" in calls.content.decode()


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Midway"])
def test_the_last_call_is_of_the_day_of_the_pages_time_zone(
    page: Client, book: Callable[..., LedgerEntry], alice: Any, zone: str
) -> None:
    """Of these two zones one is always a day away from UTC."""
    row = book(alice)
    text = page.get(f"/admin/audit/?zone={zone}&period=7d").content.decode().split('id="table"')[1]
    assert f'<span class="quiet">{row.ended_at.astimezone(ZoneInfo(zone)):%m/%d/%Y}</span>' in text


def test_no_time_zone_but_a_real_one_is_taken(page: Client, known: Any) -> None:
    for zone in ("Nowhere/At_All", "../../etc/passwd", "%00"):
        assert str(page.get(f"/admin/audit/?zone={zone}").context["query"].filter.zone) == settings.TIME_ZONE


def test_the_filters_of_a_person_lead_to_their_calls(page: Client, known: Any, alice: Any) -> None:
    line, address = page.get("/admin/audit/?sort=label").context["lines"][0]
    assert line.label == "alice"
    found = page.get(f"/admin/audit/{address}").context["calls"]
    assert {call.user_id for call in found} == {alice.pk}
    assert len(found) == 2


FIELDS: dict[str, dict[str, Any]] = {
    "provider": {"provider": "models.example"},
    "purpose": {"purpose": "batch"},
    "conversation": {"conversation_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV"},
}


@pytest.mark.parametrize("field", FIELDS)
def test_screen_and_files_agree_to_the_unit_under_every_filter(
    field: str, page: Client, known: Any, alice: Any, book: Callable[..., LedgerEntry]
) -> None:
    for n, hours in enumerate((0, 5, 72, 28 * 24)):
        at = timezone.now() - timedelta(hours=hours)
        book(alice, user=1 + n, enrichment=10 * n if n else None, output=100, at=at, **FIELDS[field])
    chosen = f"{field}={next(iter(FIELDS[field].values()))}"
    for view in ("person", "team", "agent", "model", "day"):
        answer = page.get(f"/admin/audit/?{chosen}&view={view}")
        shown = {line.label: (line.sums.calls, line.sums.tokens) for line, _ in answer.context["lines"]}
        total = answer.context["total"]
        assert (total.calls, total.tokens, total.enrichment_tokens) == (4, 470, 60)
        assert sum(value or 0 for value in answer.context["chart"].totals) == 470
        rows = cells(page.get(f"/admin/audit/export.csv?{chosen}&view={view}"))
        assert {row[view]: (int(row["calls"]), int(row["tokens"])) for row in rows} == shown
        found = json.loads(body(page.get(f"/admin/audit/export.json?{chosen}&view={view}")))
        assert {row[view]: (row["calls"], row["tokens"]) for row in found["rows"]} == shown
        assert found["manifest"]["filter"][field] == next(iter(FIELDS[field].values()))
    assert len(page.get(f"/admin/audit/?{chosen}&view=calls").context["calls"]) == 4
    if field == "conversation":
        assert page.get(f"/admin/audit/?{chosen.replace('01ARZ', '%2001arz')}+").context["total"].calls == 4
    assert len(cells(page.get(f"/admin/audit/export.csv?{chosen}&view=calls"))) == 4


def test_a_call_leads_to_the_calls_of_its_conversation(
    page: Client, known: Any, alice: Any, book: Callable[..., LedgerEntry]
) -> None:
    began = timezone.now() - timedelta(days=90)
    conversation = str(ULID.from_datetime(began))
    rows = [
        book(alice, at=began + timedelta(days=days), conversation_id=conversation) for days in (0, 1, 80, 90)
    ]
    listed = page.get("/admin/audit/?view=calls&agent=7")
    address = f"{listed.context['of_conversation']}{conversation}"
    assert f'href="{address.replace("&", "&amp;")}#table"' in listed.content.decode()
    found = page.get(f"/admin/audit/{address}")
    assert [call.pk for call in found.context["calls"]] == [rows[3].pk, rows[2].pk]
    assert [str(chip.label) for chip in found.context["query"].chips] == ["Architect", conversation]
    one = page.get(f"/admin/audit/calls/{rows[0].public_id}/")
    whole = page.get(f"/admin/audit/{one.context['of_conversation']}")
    assert [call.pk for call in whole.context["calls"]] == [row.pk for row in rows[::-1]], (
        "its id says when a conversation began"
    )
    command = book("a command", conversation_id="")
    assert page.get(f"/admin/audit/calls/{command.public_id}/").context["of_conversation"] == ""
    odd = book("a seed", conversation_id="C" + "0" * 25)
    assert "conversation=C0" in page.get(f"/admin/audit/calls/{odd.public_id}/").context["of_conversation"]
