"""A person's own usage: their numbers and nobody else's, the budgets that concern them, asking for more."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from chat.models import (
    AuditEvent,
    Budget,
    BudgetGrant,
    BudgetPeriod,
    BudgetRequest,
    LedgerEntry,
    Membership,
)
from tests.models.conftest import make_entry

pytestmark = pytest.mark.django_db


@pytest.fixture
def client_of() -> Callable[[Any], Client]:
    def make(person: Any) -> Client:
        client = Client()
        client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
        return client

    return make


def spend(person: Any, **fields: Any) -> None:
    now = timezone.now()
    LedgerEntry.objects.append([make_entry(user_id=person.pk, started_at=now, ended_at=now, **fields)])


def test_it_shows_ones_own_numbers_alone(
    client_of: Callable[[Any], Client], alice: Any, bob: Any, django_assert_max_num_queries: Any
) -> None:
    spend(alice, user_tokens=1234, output_tokens=None)
    spend(bob, user_tokens=98765)
    alices = client_of(alice)
    with django_assert_max_num_queries(15):
        page = alices.get("/usage/").content.decode()
    assert "1,234" in page and "not reported" in page
    assert "98,765" not in page
    assert "No budget limits you." in page


def test_it_tells_what_was_reported_estimated_and_not_known_apart(
    client_of: Callable[[Any], Client], alice: Any
) -> None:
    spend(alice, user_tokens=1200, output_tokens=34)
    for _ in range(2):
        spend(alice, user_tokens=20, output_tokens=1, certainty="estimated")
    nothing = dict.fromkeys(("user_tokens", "enrichment_tokens", "output_tokens"))
    spend(alice, certainty="unknown", **nothing)
    page = client_of(alice).get("/usage/").content.decode()
    row = page[page.index("Estimated by us") :].split("</tr>")[1]
    cells = re.findall("<td>(.*?)</td>", row)
    assert cells == ["1,234 tokens · 1 call", "about 42 tokens · 2 calls", "1 call"]


def test_it_shows_how_far_budgets_reach_and_when_they_are_used_up(
    client_of: Callable[[Any], Client], alice: Any, bob: Any
) -> None:
    team = Group.objects.create(name="Data")
    Membership.objects.create(user=alice, team=team)
    common: dict[str, Any] = {"measure": "tokens", "period": "month"}
    Budget.objects.create(scope="team", team=team, limit=1000, **common)
    Budget.objects.create(scope="person", person=bob, limit=777, **common)
    spend(alice, user_tokens=400, output_tokens=50)
    page = client_of(alice).get("/usage/").content.decode()
    assert "a team: Data" in page and "450 tokens of 1,000 tokens used (45 %)" in page
    assert "777" not in page


def test_more_is_asked_for_with_a_reason_once(
    client_of: Callable[[Any], Client], alice: Any, bob: Any
) -> None:
    mine = Budget.objects.create(scope="everyone", limit=10, measure="tokens", period="day")
    foreign = Budget.objects.create(scope="person", person=bob, limit=1, measure="tokens", period="day")
    alices = client_of(alice)

    def ask(budget: Budget, reason: str) -> Any:
        sent = {"budget": budget.public_id, "reason": reason}
        return alices.post("/usage/more/", sent, headers={"Accept": "application/json"})

    assert ask(foreign, "please").status_code == 404
    assert ask(mine, " ").json()["error"]["code"] == "reason_missing"
    assert ask(mine, "The migration ends on Friday.").status_code == 302
    assert ask(mine, "again").json()["error"]["code"] == "asked_already"
    request = BudgetRequest.objects.get()
    assert (request.budget, request.person, request.reason) == (mine, alice, "The migration ends on Friday.")
    event = AuditEvent.objects.get(action="budget.asked")
    assert (event.actor, event.data["reason"]) == ("alice", "The migration ends on Friday.")
    assert "nobody has answered yet" in alices.get("/usage/").content.decode()


def test_a_forecast_needs_a_part_of_the_period(client_of: Callable[[Any], Client], alice: Any) -> None:
    one = Budget.objects.create(scope="everyone", limit=1000, measure="tokens", period="day")
    from chat import audit
    from chat.audit.allowances import allowances

    def until(hours: int) -> Any:
        return allowances(Budget.objects.all(), now=start + timedelta(hours=hours))[0].exhausted_at

    start, end = audit.budget_span("day", timezone.now())
    BudgetPeriod.objects.create(budget=one, start=start, used=500)
    assert until(1) is None
    assert until(6) == start + timedelta(hours=12)
    assert until(18) is None, "it reaches to the end"
    assert end - start == timedelta(days=1)


def test_the_answer_to_a_request_is_shown_to_who_asked(
    client_of: Callable[[Any], Client], alice: Any, bob: Any
) -> None:
    one = Budget.objects.create(scope="everyone", limit=1000, measure="tokens", period="month")
    now = timezone.now()
    asked = BudgetRequest.objects.create(budget=one, person=alice, reason="x", created_at=now)
    BudgetRequest.objects.filter(pk=asked.pk).update(declined_at=now)
    assert "it was declined on" in client_of(alice).get("/usage/").content.decode()
    grant = BudgetGrant.objects.create(budget=one, extra=500, until=now + timedelta(days=1))
    BudgetRequest.objects.create(budget=one, person=alice, reason="y", created_at=now, grant=grant)
    page = client_of(alice).get("/usage/").content.decode()
    assert "500 tokens are granted until" in page and "declined" not in page
    assert "You asked for more" not in client_of(bob).get("/usage/").content.decode()
