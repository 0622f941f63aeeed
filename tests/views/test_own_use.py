"""The line of own use at the foot of the list: which budget it names, what it says without one."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from chat.models import Budget, LedgerEntry, Membership
from chat.views.own_use import OwnUse, own_use
from tests.models.conftest import make_entry

pytestmark = pytest.mark.django_db


def spend(person: Any, **fields: Any) -> None:
    now = timezone.now()
    LedgerEntry.objects.append([make_entry(user_id=person.pk, started_at=now, ended_at=now, **fields)])


def budget(**fields: Any) -> Budget:
    return Budget.objects.create(**{"measure": "tokens", "period": "month", "limit": 1000, **fields})


def test_without_a_budget_it_tells_the_months_tokens(alice: Any, bob: Any) -> None:
    spend(bob, user_tokens=99, enrichment_tokens=0, output_tokens=0)
    assert own_use(alice) == OwnUse("0 tokens this month")
    spend(alice, user_tokens=1200, enrichment_tokens=30, output_tokens=4)
    assert own_use(alice) == OwnUse("1,234 tokens this month")


def test_what_was_not_reported_is_not_told_as_nothing(alice: Any) -> None:
    spend(alice, user_tokens=None, enrichment_tokens=None, output_tokens=None)
    assert own_use(alice) == OwnUse("This month: not reported")


@pytest.mark.parametrize(
    ("used", "percent", "level"), [(610, 61, ""), (800, 80, "warn"), (1000, 100, "bad"), (2500, 250, "bad")]
)
def test_ones_own_budget_is_told_with_its_percentage(alice: Any, used: int, percent: int, level: str) -> None:
    budget(scope="person", person=alice)
    spend(alice, user_tokens=used, enrichment_tokens=0, output_tokens=0)
    assert own_use(alice) == OwnUse(f"{percent} % of this month", percent, level)


def test_the_nearest_budget_is_told_and_of_those_the_one_that_reaches_least_far(
    alice: Any, bob: Any, demo_agent: Any
) -> None:
    team = Group.objects.create(name="Data")
    Membership.objects.create(user=alice, team=team)
    spend(alice, user_tokens=400, enrichment_tokens=0, output_tokens=0)
    budget(scope="agent", agent=demo_agent, limit=1)
    budget(scope="person", person=bob, limit=1)
    budget(scope="everyone", limit=1)
    assert own_use(alice).text == "Everyone: 40,000 % of this month"
    budget(scope="team", team=team, period="week")
    assert own_use(alice).text == "Data: 40 % of this week"
    budget(scope="person", person=alice, limit=100_000)
    assert own_use(alice).text == "0 % of this month"
    budget(scope="person", person=alice, limit=800, period="day")
    assert own_use(alice).text == "50 % of today"


def test_a_budget_of_nothing_is_used_up(alice: Any) -> None:
    budget(scope="person", person=alice, limit=0)
    assert own_use(alice) == OwnUse("100 % of this month", 100, "bad")


def test_page_and_address_say_the_same(alice: Any) -> None:
    budget(scope="person", person=alice)
    spend(alice, user_tokens=610, enrichment_tokens=0, output_tokens=0)
    client = Client()
    assert client.get("/usage/now/", headers={"Accept": "application/json"}).status_code == 401
    client.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    found = client.get("/usage/now/")
    assert found.json() == {"text": "61 % of this month", "percent": 61, "level": ""}
    assert found.headers["Cache-Control"].startswith("max-age=0")
    page = client.get("/").content.decode()
    assert "61 % of this month" in page and '<rect width="61"' in page
