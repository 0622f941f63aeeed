"""Attention on the audit pages: budgets near their end, requests for more, jumps, failing agents, links."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from chat import audit
from chat.actions.budgets import ask_for_more
from chat.admin.audit import attention
from chat.audit.allowances import allowances
from chat.models import (
    Budget,
    BudgetGrant,
    BudgetPeriod,
    Conversation,
    LedgerEntry,
    Share,
)
from tests.security.conftest import of_alice

__all__ = ["of_alice"]
pytestmark = pytest.mark.django_db


def test_the_budget_shows_what_was_used_before_it_was_set_too(page: Client, known: dict[str, int]) -> None:
    """Nothing was held against it yet, and still it says what a person's own page says."""
    Budget.objects.create(scope="everyone", measure="tokens", limit=4000, period="month")
    start, end = audit.budget_span("month", timezone.now())
    found = page.get("/admin/audit/").context["budget"]
    assert found.used == audit.report(audit.Filter(start, end)).total.tokens
    assert found.limit == 4000


def test_attention_names_budgets_near_their_end(page: Client, alice: Any) -> None:
    for limit, used in ((1000, 1000), (1000, 510), (1000, 10)):
        budget = Budget.objects.create(
            scope="person", person=alice, measure="tokens", limit=limit, period="month"
        )
        start, _end = audit.budget_span("month", timezone.now())
        BudgetPeriod.objects.create(budget=budget, start=start, used=used)
    lines = page.get("/admin/audit/").context["attention"]
    assert [line.kind for line in lines] == ["over", "quota"]
    assert lines[0].text.startswith("The budget of alice is used up: 100%.")
    assert lines[1].text.startswith("The budget of alice is used to 51%."), (
        "not only where its pace is too fast"
    )
    BudgetGrant.objects.create(
        budget=Budget.objects.earliest("pk"), extra=9000, until=timezone.now() + timedelta(days=1)
    )
    kinds = [line.kind for line in page.get("/admin/audit/").context["attention"]]
    assert kinds == ["quota"]


def test_attention_names_those_who_wait_for_more_of_a_budget_until_they_are_answered(
    page: Client, alice: Any, staff: Any
) -> None:
    budget = Budget.objects.create(scope="everyone", measure="tokens", limit=1000, period="month")
    other = Budget.objects.create(scope="person", person=alice, measure="tokens", limit=1, period="day")
    ask_for_more(alice, budget=other.public_id, reason="More").delete()
    asked = ask_for_more(alice, budget=budget.public_id, reason="The migration")
    (line,) = page.get("/admin/audit/").context["attention"]
    assert (line.kind, line.text) == ("asked", "1 person asks for more of the budget of everyone.")
    staff.user_permissions.add(Permission.objects.get(codename="view_budgetrequest"))
    listed = page.get(line.address)
    assert [row.pk for row in listed.context["cl"].result_list] == [asked.pk]
    assert "everyone together: 1,000 tokens / month" in listed.content.decode()
    asked.declined_at = timezone.now()
    asked.save()
    assert page.get("/admin/audit/").context["attention"] == []
    assert not page.get(line.address).context["cl"].result_list


def test_attention_names_jumps_failing_agents_and_calls_without_usage(
    page: Client, book: Callable[..., LedgerEntry], alice: Any, bob: Any
) -> None:
    noon = timezone.now()
    for days in range(2, 9):
        book(alice, user=1000, output=0, at=noon - timedelta(days=days))
        book(bob, user=2000, output=0, at=noon - timedelta(days=days))
    book(alice, user=100_000, output=0, at=noon - timedelta(days=9))  # of which a median takes no notice
    assert page.get("/admin/audit/").context["attention"] == []
    for n in range(30):
        book(alice, user=500, output=0, outcome="failed" if n < 3 else "completed")
    book(bob, user=19_000, output=0)  # not quite ten times
    book(bob, user=None, output=None)
    lines = page.get("/admin/audit/").context["attention"]
    assert [line.kind for line in lines] == ["jump", "failing", "unknown"]
    assert lines[0].text.startswith("alice used 15 times")
    for line in lines:
        assert page.get(line.address).status_code == 200


@pytest.mark.parametrize(("hours", "said"), [(2, False), (3, True), (11, False)])
def test_attention_names_a_budget_that_its_pace_uses_up(alice: Any, hours: int, said: bool) -> None:
    """Not before a tenth of its period is over, nor where it reaches to the end."""
    Budget.objects.create(scope="person", person=alice, measure="tokens", limit=1000, period="day")
    start, _end = audit.budget_span("day", timezone.now())
    BudgetPeriod.objects.create(budget=Budget.objects.get(), start=start, used=400)
    found = allowances(attention.budgets(), now=start + timedelta(hours=hours))
    lines = attention.lines(found, audit.Report([]))
    assert [(line.kind, line.text) for line in lines] == (
        [("quota", f"At this pace the budget of alice is used up on {start:%Y-%m-%d} 07:30.")] if said else []
    )


def test_attention_names_share_links_about_to_end_and_leads_to_them(
    page: Client, staff: Any, alice: Any
) -> None:
    now = timezone.now()
    row = Conversation.objects.create(owner=alice, title="t", updated_at=now)
    soon, _later = (
        Share.objects.create(
            token_hash=str(days), conversation=row, owner=alice, audience="colleagues", created_at=now,
            expires_at=now + timedelta(days=days),
        )
        for days in (2, 4)
    )  # fmt: skip
    (line,) = page.get("/admin/audit/").context["attention"]
    assert (line.kind, line.text) == ("links", "1 share link ends within 3 days.")
    staff.user_permissions.add(Permission.objects.get(codename="view_share"))
    assert list(page.get(line.address).context["cl"].result_list) == [soon]
